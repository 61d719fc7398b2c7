"""What the classifier answers: frozen results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one stretch of the text adds to a topic's log-odds; ``text == original[start:end]``, offsets in code points."""

    text: str
    start: int
    end: int
    contribution: float


@dataclass(frozen=True, slots=True)
class Explanation(Sequence[Contribution]):
    """Why a topic got its score: ``bias + sum of contributions == log_odds``, strongest contribution first."""

    topic: str
    bias: float
    log_odds: float
    contributions: tuple[Contribution, ...] = field(repr=False)

    @overload
    def __getitem__(self, index: int) -> Contribution: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Contribution, ...]: ...
    def __getitem__(self, index: int | slice) -> Contribution | tuple[Contribution, ...]:
        return self.contributions[index]

    def __len__(self) -> int:
        return len(self.contributions)

    def __iter__(self) -> Iterator[Contribution]:
        return iter(self.contributions)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The classifier's answer for one text.

    `scores` are calibrated probabilities of every topic, in the model's order; `scope` is the probability that the text is about online
    platforms at all. `topics` are those that reach their threshold at the operating point asked for in a text that is in scope, most
    probable first. `reasons` say why a person should look: see `model.review`.
    """

    topics: tuple[str, ...]
    scores: dict[str, float]
    scope: float
    language: str
    vocabulary_coverage: float
    reasons: tuple[str, ...]

    @property
    def needs_review(self) -> bool:
        """Whether there is any reason for a person to look."""
        return bool(self.reasons)
