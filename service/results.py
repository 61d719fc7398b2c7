"""A classifier's answers in the words of the contract: the same over HTTP, in bulk and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from model.classifier import Classifier
from model.decisions import Decisions, rounded
from model.errors import UnknownNameError, unknown_name
from model.prediction import Explanation, Prediction

SCORE_DIGITS = 6
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
    predictions = classifier.predict(read, asked.operating_point)
    results = []
    for i, (text, prediction) in enumerate(zip(read, predictions, strict=True)):
        identifier = None if identifiers is None else identifiers[i]
        result = _result(prediction, identifier, asked.topics, len(text) < len(texts[i]))
        if asked.explain:
            explained = asked.topics or prediction.topics
            result["explanation"] = {
                explanation.topic: _explanation(explanation)
                for explanation in classifier.explain_topics(text, explained)
            }
        results.append(result)
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
    scores = rounded(decisions.scores, SCORE_DIGITS)
    scope = rounded(decisions.scope, SCORE_DIGITS)
    return Columns(replace(decisions, scores=scores, scope=scope), truncated)


def check_topics(classifier: Classifier, topics: Sequence[str] | None) -> None:
    """Raises UnknownNameError for the first topic that the model does not have."""
    for topic in topics or ():
        if topic not in classifier.topics:
            raise UnknownNameError(unknown_name("topic", topic, classifier.topics))


def _result(
    prediction: Prediction,
    identifier: Identifier,
    topics: tuple[str, ...] | None,
    truncated: bool,
) -> dict[str, Any]:
    scores, given = prediction.scores, prediction.topics
    if topics is not None:
        scores = {topic: scores[topic] for topic in topics}
        given = tuple([topic for topic in given if topic in scores])
    return {
        "id": identifier,
        "language": prediction.language,
        "topics": given,
        "scope": round(prediction.scope, SCORE_DIGITS),
        "scores": {topic: round(score, SCORE_DIGITS) for topic, score in scores.items()},
        "needs_review": prediction.needs_review,
        "reasons": prediction.reasons,
        "truncated": truncated,
        "vocabulary_coverage": prediction.vocabulary_coverage,
    }


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
