"""Calibration and operating points, from scores of passages that were held out of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.classifier import OPERATING_POINTS, sigmoid

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

PRECISION_AIM = 0.90
RECALL_AIM = 0.90
_FEWEST_POSITIVES = 5
_SLOPE_PRIOR = 1.0
_NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True)
class OperatingThreshold:
    """The threshold of one topic at one operating point, with the precision and recall it gave on held-out passages.

    `reached` is False where the aim of the operating point cannot be had; the threshold is then the nearest to it.
    """

    topic: str
    threshold: float
    precision: float
    recall: float
    reached: bool

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {
            "topic": self.topic,
            "threshold": self.threshold,
            "precision": round(self.precision, 4),
            "recall": round(self.recall, 4),
            "reached": self.reached,
        }


def fit_sigmoid(scores: FloatArray, y_true: BoolArray) -> tuple[float, float]:
    """Slope and intercept of ``sigmoid(slope * score + intercept)``, fitted to held-out scores, shape (n,).

    Platt's method (1999) with his smoothed targets, by Newton's method; a weak prior keeps the slope near 1 where there is little to
    learn from. Too few positives to learn from: the scores stay as they are.
    """
    n_positive = int(y_true.sum())
    n_negative = len(y_true) - n_positive
    if min(n_positive, n_negative) < _FEWEST_POSITIVES:
        return 1.0, 0.0
    target = np.where(y_true, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    design = np.column_stack((scores, np.ones_like(scores)))
    weights = np.array([1.0, 0.0])
    prior = np.array([_SLOPE_PRIOR, 0.0])
    for _ in range(_NEWTON_STEPS):
        probability = sigmoid(design @ weights)
        gradient = design.T @ (probability - target) + prior * (weights - [1.0, 0.0])
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(prior + 1e-9), gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    slope = float(np.clip(weights[0], 0.1, 10.0))
    return slope, float(weights[1])


def operating_points(
    probabilities: FloatArray, y_true: BoolArray, topics: Sequence[str]
) -> dict[str, list[OperatingThreshold]]:
    """Thresholds of each operating point, in the topics' order, from held-out probabilities, shape (n, n_topics)."""
    choose = {"balanced": _balanced, "precision": _precise, "recall": _complete}
    points: dict[str, list[OperatingThreshold]] = {}
    for point in OPERATING_POINTS:
        points[point] = [
            choose[point](topic, *_curve(probabilities[:, t], y_true[:, t]))
            for t, topic in enumerate(topics)
        ]
    return points


def _curve(scores: FloatArray, y_true: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Thresholds, descending, with the precision and recall each gives; midway between neighbouring scores."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.append(ordered[1:] != ordered[:-1], True)
    true_positives = np.cumsum(y_true[order])[last_of_tie]
    given = np.arange(1, len(scores) + 1)[last_of_tie]
    distinct = ordered[last_of_tie]
    midway = (distinct + np.append(distinct[1:], 0.0)) / 2
    recall = true_positives / max(int(y_true.sum()), 1)
    return midway, true_positives / given, recall


def _balanced(
    topic: str, thresholds: FloatArray, precision: FloatArray, recall: FloatArray
) -> OperatingThreshold:
    """The highest F1."""
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(f1.argmax())
    if f1[best] == 0.0:
        return OperatingThreshold(topic, 0.5, 0.0, 0.0, False)
    return _at(topic, best, thresholds, precision, recall, True)


def _precise(
    topic: str, thresholds: FloatArray, precision: FloatArray, recall: FloatArray
) -> OperatingThreshold:
    """The most recall at `PRECISION_AIM` or better; else the most precision among thresholds that give anything right."""
    enough = np.flatnonzero((precision >= PRECISION_AIM) & (recall > 0))
    if len(enough):
        return _at(topic, int(enough[-1]), thresholds, precision, recall, True)
    best = int(np.where(recall > 0, precision, -1.0).argmax())
    return _at(topic, best, thresholds, precision, recall, False)


def _complete(
    topic: str, thresholds: FloatArray, precision: FloatArray, recall: FloatArray
) -> OperatingThreshold:
    """The most precision at `RECALL_AIM` or better."""
    enough = np.flatnonzero(recall >= RECALL_AIM)
    if len(enough):
        best = int(enough[precision[enough].argmax()])
        return _at(topic, best, thresholds, precision, recall, True)
    return _at(topic, len(thresholds) - 1, thresholds, precision, recall, False)


def _at(
    topic: str,
    place: int,
    thresholds: FloatArray,
    precision: FloatArray,
    recall: FloatArray,
    reached: bool,
) -> OperatingThreshold:
    return OperatingThreshold(
        topic,
        float(thresholds[place]),
        float(precision[place]),
        float(recall[place]),
        reached,
    )
