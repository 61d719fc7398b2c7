"""What stands before Flask: a bounded number of places, a request id, the clock.

A worker answers with several threads (see `service.server`), so that a client that sends or reads slowly holds nobody up. Each request
takes a place; when all are taken the next is answered 503 with ``Retry-After`` at once, rather than wait in a queue without end. Liveness,
readiness and metrics need no place. Reading slow bodies has places of its own, so that slow clients do not take those of the others.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
from flask import Flask

from service import problems
from service.direct import DirectClassification
from service.live import ModelSource
from service.observation import ENVIRON_KEY, MODEL_HEADER, REQUEST_ID_HEADER, Observation, Observer
from service.settings import Settings

RETRY_SECONDS = 1
NDJSON = "application/x-ndjson"
_NO_PLACE_NEEDED = frozenset(("/healthz", "/readyz", "/metrics"))

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Places:
    """A number of places; `take` never waits."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes a place; whether there was one."""
        with self._lock:
            if self._free <= 0:
                return False
            self._free -= 1
            return True

    def leave(self) -> None:
        """Gives a place back."""
        with self._lock:
            self._free += 1


class Front:
    """A WSGI application around another."""

    def __init__(
        self, app: Flask, settings: Settings, source: ModelSource, observer: Observer
    ) -> None:
        self._inner: Application = app.wsgi_app
        self._direct = DirectClassification(app, settings, source, observer)
        self._observer = observer
        self._max_body = settings.max_body_bytes
        self._answering = Places(settings.queue)
        self._reading = Places(settings.slow_bodies)
        self._computing: dict[int, float] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request, and notes it when the last byte of the answer is out."""
        observation = environ[ENVIRON_KEY] = Observation.of(environ)
        response = _Response(start_response, observation)
        if environ["PATH_INFO"] in _NO_PLACE_NEEDED:
            return self._answer(environ, response, observation, None)
        if not self._read(environ) or not self._answering.take():
            return self._turn_away(response, observation)
        key = id(observation)
        self._computing[key] = time.monotonic()
        try:
            if self._direct.takes(environ):
                return self._answer_directly(environ, response, observation)
            return self._answer(environ, response, observation, self._answering)
        finally:
            del self._computing[key]

    def oldest_request(self) -> float | None:
        """Since when the request computes that has computed longest, in `time.monotonic`; streams are none of them."""
        return min(list(self._computing.values()), default=None)

    def _read(self, environ: Environ) -> bool:
        """Reads a body before a place is taken; False where too many are being read already.

        Streams, and bodies that will be refused for their length, are left to the views. At most one byte too many is read of a body that
        does not say its length.
        """
        chunked = environ.get("HTTP_TRANSFER_ENCODING") is not None
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return True
        if not chunked and not 0 < length <= self._max_body:
            return True
        if environ.get("CONTENT_TYPE", "").startswith(NDJSON):
            return True
        if not self._reading.take():
            return False
        try:
            body = environ["wsgi.input"].read(self._max_body + 1 if chunked else length)
        finally:
            self._reading.leave()
        environ["wsgi.input"] = io.BytesIO(body)
        if chunked:
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(len(body))
        return True

    def _answer(
        self,
        environ: Environ,
        response: _Response,
        observation: Observation,
        place: Places | None,
    ) -> Iterable[bytes]:
        streams = False
        try:
            content = self._inner(environ, response.start)
            streams = not response.has_length
            if streams:
                return _Stream(content, lambda: self._end(observation, place))
            return [_joined(content)]
        finally:
            if not streams:
                self._end(observation, place)

    def _answer_directly(
        self, environ: Environ, response: _Response, observation: Observation
    ) -> Iterable[bytes]:
        try:
            status, content_type, body = self._direct.answer(environ, observation)
            response.start(
                status, [("Content-Type", content_type), ("Content-Length", str(len(body)))]
            )
        finally:
            self._end(observation, self._answering)
        return [body]

    def _turn_away(self, response: _Response, observation: Observation) -> Iterable[bytes]:
        self._observer.metrics.turned_away()
        document = problems.problem(
            503,
            f"all places are taken; try again in {RETRY_SECONDS} s",
            "busy",
        )
        body = orjson.dumps(document) + b"\n"
        response.start(
            "503 Service Unavailable",
            [
                ("Content-Type", problems.CONTENT_TYPE),
                ("Content-Length", str(len(body))),
                ("Retry-After", str(RETRY_SECONDS)),
            ],
        )
        self._observer.answered(observation)
        return [body]

    def _end(self, observation: Observation, place: Places | None) -> None:
        if place is not None:
            place.leave()
        self._observer.answered(observation)


class _Response:
    """Adds headers to an answer as it starts, and remembers its status."""

    __slots__ = ("_observation", "_start", "has_length")

    def __init__(self, start: StartResponse, observation: Observation) -> None:
        self._start = start
        self._observation = observation
        self.has_length = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        observation = self._observation
        observation.status = int(status[:3])
        self.has_length = any(name == "Content-Length" for name, _ in headers)
        headers.append((REQUEST_ID_HEADER, observation.request_id))
        if observation.version is not None:
            headers.append((MODEL_HEADER, observation.version))
        return self._start(status, headers, exc_info) if exc_info else self._start(status, headers)


class _Stream:
    """An answer that is sent piece by piece; `end` is called once, when it is closed."""

    def __init__(self, content: Iterable[bytes], end: Callable[[], None]) -> None:
        self._content = content
        self._pieces = iter(content)
        self._end = end
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Ends the answer, whether all of it was sent or the client went away."""
        if self._ended:
            return
        self._ended = True
        try:
            _close(self._content)
        finally:
            self._end()


def _joined(content: Iterable[bytes]) -> bytes:
    try:
        return b"".join(content)
    finally:
        _close(content)


def _close(content: Iterable[bytes]) -> None:
    close = getattr(content, "close", None)
    if close is not None:
        close()
