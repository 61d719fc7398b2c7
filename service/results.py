"""A classifier's answers in the words of the contract: the same over HTTP, in bulk and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from model.classifier import Classifier
from model.decisions import Decisions, reason_lists, topic_lists
from model.errors import UnknownNameError, unknown_name
from model.prediction import Explanation, Prediction

SCORE_DIGITS = 6
_SCALE = 10.0**SCORE_DIGITS
"""Probabilities are rounded as ``floor(p * scale + 0.5) / scale``: the same to the last bit one by one and in arrays, and half the time
of `round`."""

Identifier = str | int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What to answer: `topics` None for all."""

    operating_point: str = "balanced"
    explain: bool = False
    topics: tuple[str, ...] | None = None


def classify(
    classifier: Classifier,
    texts: Sequence[str],
    asked: Asked,
    identifiers: Sequence[Identifier] | None = None,
    max_characters: int | None = None,
) -> list[dict[str, Any]]:
    """A Result for each text; texts are cut at `max_characters`, and the Result says so.

    UnknownNameError names a topic that the model does not have.
    """
    check_topics(classifier, asked.topics)
    read = texts if max_characters is None else [text[:max_characters] for text in texts]
    if len(read) == 1:
        results = [_result(classifier.predict(read, asked.operating_point)[0], asked.topics)]
    else:
        results = _results(classifier, read, asked)
    for i, (text, result) in enumerate(zip(read, results, strict=True)):
        if identifiers is not None:
            result["id"] = identifiers[i]
        result["truncated"] = len(text) < len(texts[i])
        if asked.explain:
            explained = asked.topics or result["topics"]
            result["explanation"] = {
                explanation.topic: _explanation(explanation)
                for explanation in classifier.explain_topics(text, explained)
            }
    return results


@dataclass(frozen=True, slots=True)
class Columns:
    """What Results say of n texts, in columns: as `decisions`, with probabilities rounded as in a Result; `truncated` has shape (n,)."""

    decisions: Decisions
    truncated: npt.NDArray[np.bool_]


def classify_columns(
    classifier: Classifier, texts: Sequence[str], operating_point: str, max_characters: int
) -> Columns:
    """What `classify` says of each text, as columns: for archives, where a Result a text costs more than its score."""
    read = [text[:max_characters] for text in texts]
    decisions = classifier.decisions(read, operating_point)
    truncated = np.array([len(text) > max_characters for text in texts], dtype=bool)
    return Columns(_rounded(decisions), truncated)


def check_topics(classifier: Classifier, topics: Sequence[str] | None) -> None:
    """Raises UnknownNameError for the first topic that the model does not have."""
    for topic in topics or ():
        if topic not in classifier.topics:
            raise UnknownNameError(unknown_name("topic", topic, classifier.topics))


def _rounded(decisions: Decisions) -> Decisions:
    scores, scope = (
        np.floor(values * _SCALE + 0.5) / _SCALE for values in (decisions.scores, decisions.scope)
    )
    return replace(decisions, scores=scores, scope=scope)


def _result(prediction: Prediction, topics: tuple[str, ...] | None) -> dict[str, Any]:
    """The Result for one text, by itself quicker than in columns."""
    scores, given = prediction.scores, prediction.topics
    if topics is not None:
        scores = {topic: scores[topic] for topic in topics}
        given = tuple([topic for topic in given if topic in scores])
    return {
        "id": None,
        "language": prediction.language,
        "topics": given,
        "scope": int(prediction.scope * _SCALE + 0.5) / _SCALE,
        "scores": {topic: int(score * _SCALE + 0.5) / _SCALE for topic, score in scores.items()},
        "needs_review": prediction.needs_review,
        "reasons": prediction.reasons,
        "truncated": False,
        "vocabulary_coverage": float(prediction.vocabulary_coverage),
    }


def _results(classifier: Classifier, texts: Sequence[str], asked: Asked) -> list[dict[str, Any]]:
    """The Results for several texts: rounded all at once."""
    decisions = _rounded(classifier.decisions(texts, asked.operating_point))
    topics, scores = classifier.topics, decisions.scores
    given = topic_lists(decisions, topics)
    if asked.topics is not None:
        topics = asked.topics
        scores = scores[:, [classifier.topics.index(topic) for topic in topics]]
        given = [tuple([topic for topic in found if topic in topics]) for found in given]
    return [
        {
            "id": None,
            "language": language,
            "topics": found,
            "scope": scope,
            "scores": dict(zip(topics, row, strict=True)),
            "needs_review": bool(reasons),
            "reasons": reasons,
            "truncated": False,
            "vocabulary_coverage": coverage,
        }
        for language, found, scope, row, reasons, coverage in zip(
            decisions.languages,
            given,
            decisions.scope.tolist(),
            scores.tolist(),
            reason_lists(decisions),
            decisions.coverage.tolist(),
            strict=True,
        )
    ]


def _explanation(explanation: Explanation) -> list[dict[str, Any]]:
    return [
        {
            "text": part.text,
            "start": part.start,
            "end": part.end,
            "contribution": round(part.contribution, 9),
        }
        for part in explanation
    ]
