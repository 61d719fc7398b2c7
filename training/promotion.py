"""Whether a challenger may take the live model's place.

Both models are judged on passages that neither has learnt from: those that the live version held out (see `training.heldout`), scored
by each model's fits that saw nothing of their event, and those of the challenger's held-out passages that the live version never met.
Labels are those that the live version was trained with, where it knows the passage: a challenger trained on wrong labels cannot make
them its measure.

The challenger is refused when it is worse beyond chance: when the whole interval of the difference in F1 (bootstrap over events)
lies below zero, over all passages, in one language, or, at a stricter level because there are many of them, on one topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.classifier import Classifier
from training import evaluation
from training.heldout import given_by_text, read_heldout
from training.passages import Passage, text_key
from training.splits import event_numbers

_SAMPLES = 1000
_LEVEL = 0.95
_TOPIC_LEVEL = 0.999
_FEWEST_POSITIVES = 10

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Difference:
    """Challenger minus live in F1 on one part of the passages, with its interval."""

    part: str
    support: int
    live: float
    challenger: float
    low: float
    high: float

    @property
    def worse(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < 0.0

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {
            "part": self.part,
            "support": self.support,
            "live": round(self.live, 4),
            "challenger": round(self.challenger, 4),
            "interval": [round(self.low, 4), round(self.high, 4)],
            "worse": self.worse,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger against live model, part by part."""

    live: str
    challenger: str
    passages: int
    differences: tuple[Difference, ...]
    missing_topics: tuple[str, ...]

    @property
    def promote(self) -> bool:
        """Whether the challenger is nowhere worse beyond chance, and knows every topic of the live model."""
        return not self.missing_topics and not any(d.worse for d in self.differences)

    @property
    def reason(self) -> str:
        """The decision in a sentence."""
        if self.missing_topics:
            return f"lacks topics of the live model: {', '.join(self.missing_topics)}"
        overall = self.differences[0]
        change = (
            f"micro-F1 {overall.live:.3f} → {overall.challenger:.3f} on {self.passages} "
            f"held-out passages, difference {overall.low:+.3f} to {overall.high:+.3f}"
        )
        worse = [d.part for d in self.differences if d.worse]
        if worse:
            return f"worse on {', '.join(worse)}; {change}"
        return f"not worse on any part; {change}"

    def to_json(self) -> dict[str, Any]:
        """As it is printed with ``--json`` and written to the promotion log."""
        return {
            "live": self.live,
            "challenger": self.challenger,
            "passages": self.passages,
            "promote": self.promote,
            "reason": self.reason,
            "differences": [difference.to_json() for difference in self.differences],
        }


def compare(live_folder: Path, challenger_folder: Path, seed: int = 0) -> Comparison:
    """Compares two versions on their held-out passages, over the topics that both have."""
    live, challenger = Classifier.load(live_folder), Classifier.load(challenger_folder)
    missing = tuple(topic for topic in live.topics if topic not in challenger.topics)
    topics = [topic for topic in live.topics if topic in challenger.topics]
    passages, given = _judge(live, live_folder, challenger, challenger_folder, topics)
    y_true = evaluation.label_matrix([p.topics for p in passages], topics)
    numbers, n_events = event_numbers([p.event for p in passages])
    draws = evaluation.bootstrap_events(numbers, n_events, _SAMPLES, seed)
    differences = [_difference("all passages", y_true, given, draws, _LEVEL)]
    languages = np.array([p.lang for p in passages])
    for language in sorted(set(languages.tolist())):
        rows = np.flatnonzero(languages == language)
        part = (given[0][rows], given[1][rows])
        differences.append(
            _difference(f"language {language}", y_true[rows], part, draws[:, rows], _LEVEL)
        )
    for t, topic in enumerate(topics):
        if y_true[:, t].sum() >= _FEWEST_POSITIVES:
            column = slice(t, t + 1)
            part = (given[0][:, column], given[1][:, column])
            differences.append(_difference(topic, y_true[:, column], part, draws, _TOPIC_LEVEL))
    return Comparison(live.version, challenger.version, len(passages), tuple(differences), missing)


def _judge(
    live: Classifier,
    live_folder: Path,
    challenger: Classifier,
    challenger_folder: Path,
    topics: Sequence[str],
) -> tuple[list[Passage], tuple[BoolArray, BoolArray]]:
    """Held-out passages, and the topics that the live model and the challenger gave them, each shape (n_passages, n_topics)."""
    kept = read_heldout(live_folder, live.topics)
    ours = read_heldout(challenger_folder, challenger.topics)
    known = {text_key(p.text) for p in kept.passages}
    new = [i for i, p in enumerate(ours.passages) if text_key(p.text) not in known]
    new_passages = [ours.passages[i] for i in new]
    given_while_held_out = given_by_text(ours)
    by_challenger = challenger.decide([p.text for p in kept.passages])
    for i, passage in enumerate(kept.passages):
        held_out = given_while_held_out.get(text_key(passage.text))
        if held_out is not None:
            by_challenger[i] = held_out
    by_live = np.concatenate((kept.given, live.decide([p.text for p in new_passages])))
    by_challenger = np.concatenate((by_challenger, ours.given[new]))
    return [*kept.passages, *new_passages], (
        _columns(live, topics, by_live),
        _columns(challenger, topics, by_challenger),
    )


def _difference(
    part: str,
    y_true: BoolArray,
    given: tuple[BoolArray, BoolArray],
    draws: npt.NDArray[np.int64],
    level: float,
) -> Difference:
    live, challenger = (
        evaluation.prf(int((y_true & g).sum()), int(g.sum()), int(y_true.sum()))[2] for g in given
    )
    samples = evaluation.bootstrap_f1(y_true, given[1], draws) - evaluation.bootstrap_f1(
        y_true, given[0], draws
    )
    low, high = evaluation.interval(samples, level)
    return Difference(part, int(y_true.sum()), live, challenger, low, high)


def _columns(model: Classifier, topics: Sequence[str], given: BoolArray) -> BoolArray:
    selected: BoolArray = given[:, [model.topics.index(topic) for topic in topics]]
    return selected
