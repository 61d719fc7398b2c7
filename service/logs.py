"""Logs: one JSON object a line on standard error, never a word of a passage.

Every line has `time` (UTC, ISO 8601), `level`, `logger` and `message`; a line for a request has the keys of `service.observation` beside
them. What an exception says may quote its input, so of an exception only its type and the lines of code that it passed are logged; the
project's own exceptions are written for users and are quoted.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from model.errors import VigieError

_OWN = "vigie"
_QUOTING = ("trafilatura", "htmldate", "justext", "readability", "urllib3")
"""Libraries whose records may quote what they read."""

_DETAILS = "details"
_PIPE_BYTES = 4096
"""PIPE_BUF of Linux: a write of so many bytes to a pipe is never split."""

_MEANT = ("Configuration allows spawning up to", "Websockets are not supported on WSGI")


class JsonFormatter(logging.Formatter):
    """A record as one JSON object; `extra={"details": {...}}` adds keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _DETAILS, {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = describe(record.exc_info[1])
        return to_line(line)


class KnownRemarks(logging.Filter):
    """Leaves out what granian says at every start about settings that are meant."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        return not str(record.msg).startswith(_MEANT)


class AccessLog:
    """Lines of requests, written some at a time: a system call lets go of Python's lock, in the middle of an answer if each line had its own.

    No write is longer than what a pipe takes whole, so that workers that share one do not mix their lines.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger(_OWN)
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._size = 0
        self._descriptor: int | None
        try:
            self._descriptor = sys.stderr.fileno()
        except (AttributeError, OSError, ValueError):
            self._descriptor = None

    @property
    def enabled(self) -> bool:
        """Whether requests are logged at the level set."""
        return self._logger.isEnabledFor(logging.INFO)

    def add(self, line: dict[str, Any]) -> None:
        """Adds a line; writes those before it where they would be too many with it."""
        encoded = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        with self._lock:
            if self._size + len(encoded) > _PIPE_BYTES:
                self._write()
            self._lines.append(encoded)
            self._size += len(encoded)

    def flush(self) -> None:
        """Writes what was added; where nobody reads any more, it is lost."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        content = b"".join(self._lines)
        self._lines, self._size = [], 0
        try:
            if self._descriptor is None:
                sys.stderr.write(content.decode())
            elif content:
                os.write(self._descriptor, content)
        except (OSError, ValueError):
            return


def configure(level: str) -> None:
    """Sends the service's and the server's records to standard error as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.getLogger(_OWN).setLevel(level.upper())
    for name in _QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    root = logging.getLogger()
    if not any(isinstance(known.formatter, JsonFormatter) for known in root.handlers):
        root.addHandler(handler)


def server_configuration() -> dict[str, Any]:
    """The same format for granian's own records, as `logging.config` reads it."""
    return {
        "formatters": {"json": {"()": "service.logs.JsonFormatter"}},
        "filters": {"known": {"()": "service.logs.KnownRemarks"}},
        "handlers": {
            "json": {
                "class": "logging.StreamHandler",
                "filters": ["known"],
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {"_granian": {"handlers": ["json"], "propagate": False}},
    }


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as UTC, ISO 8601 with milliseconds."""
    whole = int(seconds)
    return f"{_to_second(whole)}.{int((seconds - whole) * 1000):03d}+00:00"


@lru_cache(maxsize=2)
def _to_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def describe(error: BaseException) -> dict[str, Any]:
    """Type and way of an exception; its words only where they are the project's own."""
    frames = traceback.extract_tb(error.__traceback__)
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, VigieError):
        described["says"] = str(error)
    return described


def to_line(content: dict[str, Any]) -> str:
    """One line of JSON."""
    return orjson.dumps(content, default=str).decode()
