"""NDJSON in and out: a passage a line in, a Result or a problem a line out, in the same order, with flat memory however long it is.

Lines are read, classified and sent in turn, so a client that reads slowly slows its own reading down and nothing piles up. One version
answers for the whole stream. The limit of a body does not apply; that of a passage does, and no line may be longer than a body may be.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import orjson
from pydantic import ValidationError

from service import results
from service.classification import check_length, is_comparable, to_asked
from service.live import LiveModel
from service.observation import Observation, Observer
from service.problems import ProblemError, from_validation, problem, too_large
from service.schemas import Options, PassageIn
from service.settings import Settings

CONTENT_TYPE = "application/x-ndjson"
BATCH = 256
_LEAST_READ, _MOST_READ = 4096, 65_536
_QUICK_SECONDS = 0.01
_LOG = logging.getLogger("vigie")


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it came, without its newline; `content` is None where it was too long to be kept."""

    number: int
    content: bytes | None


class StreamedClassification:
    """Answers a stream of passages with one model."""

    def __init__(
        self,
        live: LiveModel,
        options: Options,
        settings: Settings,
        observer: Observer,
        observation: Observation | None,
    ) -> None:
        self._live = live
        self._settings = settings
        self._observer = observer
        self._observation = observation
        self._asked = to_asked(options)
        self._comparable = is_comparable(options)
        results.check_topics(live.classifier, self._asked.topics)
        if observation is not None:
            observation.version = live.classifier.version

    def answer(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Lines of the answer, some at a time."""
        for lines in read_lines(stream, self._settings.max_body_bytes):
            for start in range(0, len(lines), BATCH):
                try:
                    yield self._answer_batch(lines[start : start + BATCH])
                except Exception:  # noqa: BLE001 - the answer has begun: a problem is its last line
                    _LOG.exception("a stream failed")
                    document = problem(500, "an error of the service itself; its log says more")
                    yield orjson.dumps(document) + b"\n"
                    return

    def _answer_batch(self, lines: list[Line]) -> bytes:
        answers: list[dict[str, Any]] = []
        passages: list[PassageIn] = []
        places: list[int] = []
        for line in lines:
            try:
                passages.append(self._passage(line))
                places.append(len(answers))
                answers.append({})
            except ProblemError as error:
                answers.append({**error.to_json(), "line": line.number})
        texts = [passage.text for passage in passages]
        identifiers = [passage.id for passage in passages]
        classifier = self._live.classifier
        found = results.classify(classifier, texts, self._asked, identifiers) if texts else []
        for place, result in zip(places, found, strict=True):
            answers[place] = result
        self._observer.classified(
            self._observation, classifier, texts, found, comparable=self._comparable
        )
        return b"".join([orjson.dumps(answer) + b"\n" for answer in answers])

    def _passage(self, line: Line) -> PassageIn:
        if line.content is None:
            limit = self._settings.max_body_bytes
            raise too_large(f"line: longer than {limit} bytes", limit, "line")
        try:
            passage = PassageIn.model_validate_json(line.content)
        except ValidationError as error:
            raise from_validation(error) from None
        check_length(passage.text, "text", self._settings)
        return passage


def read_lines(stream: IO[bytes], longest: int) -> Iterator[list[Line]]:
    """Lines that are not blank, as many at a time as have come; one longer than `longest` bytes is dropped as it comes.

    A read waits for all the bytes that it asks for, so reads start small and grow as long as bytes come quickly.
    """
    number, size = 1, _LEAST_READ
    rest: list[bytes] = []
    held, dropping = 0, False
    while True:
        began = time.monotonic()
        chunk = stream.read(size)
        quick = time.monotonic() - began < _QUICK_SECONDS
        size = min(size * 2, _MOST_READ) if quick else _LEAST_READ
        if not chunk:
            break
        *whole, tail = chunk.split(b"\n")
        lines = []
        for piece in whole:
            rest.append(piece)
            too_long = dropping or held + len(piece) > longest
            content = None if too_long else b"".join(rest)
            if content is None or content.strip():
                lines.append(Line(number, content))
            number += 1
            rest, held, dropping = [], 0, False
        if lines:
            yield lines
        held += len(tail)
        dropping = dropping or held > longest
        rest = [] if dropping else [*rest, tail]
    last = None if dropping else b"".join(rest)
    if last is None or last.strip():
        yield [Line(number, last)]
