"""What stands before Flask: a bounded number of places, a request id, the clock.

A worker answers with several threads (see `service.server`), so that a client that sends or reads slowly holds nobody up. Each request
takes a place; when all are taken the next is answered 503 with ``Retry-After`` at once, rather than wait in a queue without end. Liveness,
readiness and metrics need no place. Reading slow bodies has places of its own, so that slow clients do not take those of the others; and
calls that wait for somebody else, the client of a stream or the database, get no more than half of the places, so that none of them shuts
classification out. Bodies beyond some size share a number of bytes, as memory is what a worker dies of.
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
_WAITING = ("/v1/feedback", "/v1/review")
_SMALL_BODY, _PIECE = 65_536, 262_144
_LARGEST_BODIES = 8
"""Large bodies of one worker hold as many bytes as so many of the largest."""

_NO_PLACE_NEEDED = frozenset(("/healthz", "/readyz", "/metrics"))

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Places:
    """A number of places; `take` never waits."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = threading.Lock()

    def take(self, number: int = 1) -> bool:
        """Takes places; whether there were so many."""
        with self._lock:
            if self._free < number:
                return False
            self._free -= number
            return True

    def leave(self, number: int = 1) -> None:
        """Gives places back."""
        with self._lock:
            self._free += number


class _Held:
    """What one request holds until its answer is out."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: list[tuple[Places, int]] = []

    def take(self, places: Places, number: int = 1) -> bool:
        """Takes places, to be given back with all others; whether there were so many."""
        if not places.take(number):
            return False
        self._taken.append((places, number))
        return True

    def leave(self) -> None:
        """Gives everything back."""
        for places, number in self._taken:
            places.leave(number)
        self._taken.clear()


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
        self._waiting = Places(max(settings.queue // 2, 1))
        self._large = Places(_LARGEST_BODIES * settings.max_body_bytes)
        self._computing: dict[int, float] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request, and notes it when the last byte of the answer is out."""
        observation = environ[ENVIRON_KEY] = Observation.of(environ)
        response = _Response(start_response, observation)
        held = _Held()
        if environ["PATH_INFO"] in _NO_PLACE_NEEDED:
            return self._answer(environ, response, held)
        try:
            found, body = self._read(environ, held)
        except BaseException:
            held.leave()
            raise
        if not found or not self._take_place(environ, held):
            held.leave()
            return self._turn_away(response)
        key = id(observation)
        self._computing[key] = time.monotonic()
        try:
            if body is not None:
                if len(body) <= self._max_body and self._direct.takes(environ):
                    return self._answer_directly(body, response, held)
                environ["wsgi.input"] = io.BytesIO(body)
            return self._answer(environ, response, held)
        finally:
            del self._computing[key]

    def oldest_request(self) -> float | None:
        """Since when the request computes that has computed longest, in `time.monotonic`; streams are none of them."""
        return min(list(self._computing.values()), default=None)

    def _take_place(self, environ: Environ, held: _Held) -> bool:
        if environ["PATH_INFO"].startswith(_WAITING) or _is_stream(environ):
            return held.take(self._waiting) and held.take(self._answering)
        return held.take(self._answering)

    def _read(self, environ: Environ, held: _Held) -> tuple[bool, bytes | None]:
        """Reads a body before a place is taken; False where too much is being read already, None where it is left to the views.

        Left to them are streams, and bodies that will be refused for their length. At most one byte too many is read of a body that does
        not say its length.
        """
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return True, None
        if not chunked and not 0 < length <= self._max_body:
            return True, None
        if _is_stream(environ):
            return True, None
        if not self._reading.take():
            return False, None
        try:
            body = self._read_pieces(
                environ["wsgi.input"], self._max_body + 1 if chunked else length, held
            )
        finally:
            self._reading.leave()
        if body is None:
            return False, None
        if chunked:
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(len(body))
        return True, body

    def _read_pieces(self, stream: Any, length: int, held: _Held) -> bytes | None:
        """So many bytes, or as many as there are; None where large bodies hold too many already. Only bytes that came are counted."""
        piece: bytes = stream.read(min(length, _SMALL_BODY))
        pieces, missing = [piece], length - len(piece)
        while piece and missing:
            piece = stream.read(min(missing, _PIECE))
            if not held.take(self._large, len(piece)):
                return None
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def _answer(self, environ: Environ, response: _Response, held: _Held) -> Iterable[bytes]:
        streams = False
        try:
            content = self._inner(environ, response.start)
            streams = not response.has_length
            if streams:
                return _Stream(content, lambda: self._end(response, held))
            return [_joined(content)]
        finally:
            if not streams:
                self._end(response, held)

    def _answer_directly(self, body: bytes, response: _Response, held: _Held) -> Iterable[bytes]:
        try:
            answer = self._direct.answer(body, response.observation)
            response.start_whole(*answer)
        finally:
            self._end(response, held)
        return [answer[-1]]

    def _turn_away(self, response: _Response) -> Iterable[bytes]:
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
        self._observer.answered(response.observation)
        return [body]

    def _end(self, response: _Response, held: _Held) -> None:
        held.leave()
        self._observer.answered(response.observation)


def _is_stream(environ: Environ) -> bool:
    content_type: str = environ.get("CONTENT_TYPE", "")
    return content_type.startswith(NDJSON)


class _Response:
    """Adds headers to an answer as it starts, and remembers its status."""

    __slots__ = ("_start", "has_length", "observation")

    def __init__(self, start: StartResponse, observation: Observation) -> None:
        self._start = start
        self.observation = observation
        self.has_length = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        observation = self.observation
        observation.status = int(status[:3])
        self.has_length = any(name == "Content-Length" for name, _ in headers)
        headers.append((REQUEST_ID_HEADER, observation.request_id))
        if observation.version is not None:
            headers.append((MODEL_HEADER, observation.version))
        return self._start(status, headers, exc_info) if exc_info else self._start(status, headers)

    def start_whole(self, status: int, line: str, content_type: str, body: bytes) -> None:
        """Starts an answer of which all is there."""
        observation = self.observation
        observation.status = status
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            (REQUEST_ID_HEADER, observation.request_id),
        ]
        if observation.version is not None:
            headers.append((MODEL_HEADER, observation.version))
        self._start(line, headers)


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
