"""Decisions about many texts as columns: what `Prediction` says of one text, without an object a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt

from model.prediction import Prediction
from model.review import REASONS

COVERAGE_DIGITS = 4
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions about n texts at one operating point, scores and topics in two steps as in `Prediction`.

    `scores` are calibrated probabilities, shape (n, n_topics), `scope` that of being in scope, shape (n,). `given` are the columns of the topics given, text after text and the
    most probable first within a text; `n_given`, shape (n,), says how many are each text's. `languages` are codes, `coverage` the share
    of known words, `reasons` has shape (n, len(REASONS)), columns in the order of `model.review.REASONS`.
    """

    scores: FloatArray
    scope: FloatArray
    given: IntArray
    n_given: IntArray
    languages: list[str]
    coverage: FloatArray
    reasons: npt.NDArray[np.bool_]

    @property
    def needs_review(self) -> npt.NDArray[np.bool_]:
        """Whether there is any reason for a person to look, shape (n,)."""
        found: npt.NDArray[np.bool_] = np.any(self.reasons, axis=1)
        return found

    def predictions(self, topics: Sequence[str]) -> list[Prediction]:
        """The decisions as a `Prediction` a text; `topics` are the names of the columns."""
        given = topic_lists(self, topics)
        columns = (
            given,
            self.scores.tolist(),
            self.scope.tolist(),
            self.languages,
            self.coverage.tolist(),
            reason_lists(self),
        )
        return [
            Prediction(
                found, dict(zip(topics, scores, strict=True)), scope, language, coverage, reasons
            )
            for found, scores, scope, language, coverage, reasons in zip(*columns, strict=True)
        ]

    def followed_by(self, others: list[Decisions]) -> Decisions:
        """These decisions and then the others'."""
        if not others:
            return self
        every = [self, *others]
        return Decisions(
            np.concatenate([d.scores for d in every]),
            np.concatenate([d.scope for d in every]),
            np.concatenate([d.given for d in every]),
            np.concatenate([d.n_given for d in every]),
            [language for d in every for language in d.languages],
            np.concatenate([d.coverage for d in every]),
            np.concatenate([d.reasons for d in every]),
        )


def topic_lists(decisions: Decisions, topics: Sequence[str]) -> list[tuple[str, ...]]:
    """The names of each text's topics, most probable first."""
    given = [topics[column] for column in decisions.given.tolist()]
    listed = []
    start = 0
    for end in decisions.n_given.cumsum().tolist():
        listed.append(tuple(given[start:end]))
        start = end
    return listed


def reason_lists(decisions: Decisions) -> list[tuple[str, ...]]:
    """The reasons of each text by name; a few patterns stand for all texts."""
    names: dict[tuple[bool, ...], tuple[str, ...]] = {}
    listed = []
    for row in decisions.reasons.tolist():
        pattern = tuple(row)
        if pattern not in names:
            names[pattern] = tuple(compress(REASONS, pattern))
        listed.append(names[pattern])
    return listed


def ordered(given: npt.NDArray[np.bool_], scores: FloatArray) -> tuple[IntArray, IntArray]:
    """Columns of the topics given, text after text and the most probable first, and how many each text has."""
    texts, topics = given.nonzero()
    order = np.lexsort((-scores[texts, topics], texts))
    return topics[order], np.bincount(texts, minlength=len(given))


def rounded(values: FloatArray, digits: int) -> FloatArray:
    """Python's `round` of every value, bit for bit; `numpy.round` differs where a value is within rounding error of a tie."""
    scale = 10.0**digits
    scaled = values * scale
    nearest = np.rint(scaled)
    found: FloatArray = nearest / scale
    doubtful = np.abs(np.abs(scaled - nearest) - 0.5) < 1e-6
    if doubtful.any():
        found[doubtful] = [round(value, digits) for value in values[doubtful].tolist()]
    return found
