"""The answer to ``POST /v1/classify``: from the bytes of a body to the bytes of an answer, or a ProblemError."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from model.classifier import BALANCED
from model.errors import UnknownNameError
from service import results
from service.live import LiveModel
from service.observation import Observation, Observer
from service.problems import ProblemError, from_validation, too_large
from service.results import Asked, Identifier
from service.schemas import ClassifyIn, Options
from service.settings import Settings

_AT_ONCE_PASSAGES = 128
_AT_ONCE_CHARACTERS = 200_000
_SHORT_BODY = 20_000
_DEFAULTS = Options.model_validate({})


def answer(
    body: bytes,
    live: LiveModel,
    settings: Settings,
    observer: Observer,
    observation: Observation | None,
) -> bytes:
    """Classifies what the body holds; one model answers for all of it."""
    asked, texts, identifiers = _read(body, settings)
    found = classify_passages(live, texts, to_asked(asked), identifiers, settings.request_seconds)
    observer.classified(observation, live.classifier, texts, found, comparable=is_comparable(asked))
    return orjson.dumps({"model": live.describe(asked.operating_point), "results": found})


def classify_passages(
    live: LiveModel,
    texts: Sequence[str],
    asked: Asked,
    identifiers: Sequence[Identifier] | None,
    seconds: float,
    max_characters: int | None = None,
) -> list[dict[str, Any]]:
    """A Result for each text, cut at `max_characters`; a ProblemError where a topic is unknown, or where it takes longer than `seconds`."""
    given_up = time.monotonic() + seconds
    found: list[dict[str, Any]] = []
    try:
        for part in _parts(texts):
            if found and time.monotonic() > given_up:
                raise ProblemError(
                    503,
                    f"given up after {seconds:g} s, with {len(found)} of {len(texts)} passages "
                    "classified; send fewer at once",
                    "given-up",
                    limit=seconds,
                )
            found += results.classify(
                live.classifier,
                texts[part],
                asked,
                None if identifiers is None else identifiers[part],
                max_characters,
            )
    except UnknownNameError as error:
        raise ProblemError(422, f"topics: {error}", where="topics") from None
    return found


def to_asked(options: Options) -> Asked:
    """The options in the words of `service.results`."""
    return Asked(
        options.operating_point,
        options.explain,
        None if options.topics is None else tuple(options.topics),
    )


def is_comparable(options: Options) -> bool:
    """Whether the topics given are those that training data's rates are of: all of them, at ``balanced``."""
    return options.topics is None and options.operating_point == BALANCED


def check_length(text: str, place: str, settings: Settings) -> None:
    """A ProblemError where a passage is longer than the settings allow."""
    if len(text) > settings.max_characters:
        raise too_large(
            f"{place}: {len(text)} characters, at most {settings.max_characters}",
            settings.max_characters,
            place,
        )


def check_number(passages: int, settings: Settings) -> None:
    """A ProblemError where there are more passages than the settings allow."""
    if passages > settings.max_passages:
        raise too_large(
            f"{passages} passages, at most {settings.max_passages} in a request",
            settings.max_passages,
            "passages",
        )


def _read(body: bytes, settings: Settings) -> tuple[Options, list[str], list[Identifier] | None]:
    """Options, texts and their identifiers; None where there are no identifiers."""
    text = _text_alone(body)
    if text is not None:
        check_length(text, "text", settings)
        return _DEFAULTS, [text], None
    asked = _validated(body)
    if asked.passages is None:
        text = asked.text or ""
        check_length(text, "text", settings)
        return asked, [text], None
    check_number(len(asked.passages), settings)
    for i, passage in enumerate(asked.passages):
        check_length(passage.text, f"passages[{i}].text", settings)
    return asked, [p.text for p in asked.passages], [p.id for p in asked.passages]


def _text_alone(body: bytes) -> str | None:
    """The text of the commonest body, a short text and nothing else, without a schema; None for any other body, good or bad."""
    if len(body) > _SHORT_BODY:
        return None
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict) or len(content) != 1:
        return None
    text = content.get("text")
    return text if isinstance(text, str) else None


def _validated(body: bytes) -> ClassifyIn:
    try:
        return ClassifyIn.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from None


def _parts(texts: Sequence[str]) -> Iterator[slice]:
    """Runs of texts that are classified between two looks at the clock; at least one."""
    start = characters = 0
    for end, text in enumerate(texts):
        characters += len(text)
        if end > start and (characters > _AT_ONCE_CHARACTERS or end - start >= _AT_ONCE_PASSAGES):
            yield slice(start, end)
            start, characters = end, len(text)
    yield slice(start, len(texts))
