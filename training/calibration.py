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
MORE_LIKELY_THAN_NOT = 0.5
"""Where scope decides, the least probability at which the balanced point gives a topic."""
FEED_WITHOUT_TOPIC = 0.75
"""Share of passages without topic in a feed of news; more than among the passages learnt from, most of which were written for a topic."""
_FEWEST_FOR_SCOPE = 20
_MISSED_AT_RECALL = 0.02
_FEWEST_POSITIVES = 5
_SLOPE_PRIOR = 1.0
_NEWTON_STEPS = 50
_SMALLEST_STEP = 1e-9


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
    loss = _sigmoid_loss(design, target, prior, weights)
    for _ in range(_NEWTON_STEPS):
        probability = sigmoid(design @ weights)
        gradient = design.T @ (probability - target) + prior * (weights - [1.0, 0.0])
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(prior + 1e-9), gradient)
        # A full step can leap to where the sigmoid is flat; halved until it is a gain, as Lin, Lin and Weng (2007) do.
        while (tried := _sigmoid_loss(design, target, prior, weights - step)) > loss:
            step *= 0.5
            if np.abs(step).max() < _SMALLEST_STEP:
                break
        weights, loss = weights - step, tried
        if np.abs(step).max() < _SMALLEST_STEP:
            break
    slope = float(np.clip(weights[0], 0.1, 10.0))
    return slope, float(weights[1])


def _sigmoid_loss(
    design: FloatArray, target: FloatArray, prior: FloatArray, weights: FloatArray
) -> float:
    """What the fit of the sigmoid makes small: the log-loss and the prior's penalty."""
    scores = design @ weights
    penalty = 0.5 * (prior * (weights - [1.0, 0.0]) ** 2).sum()
    return float((np.logaddexp(0.0, scores) - target * scores).sum() + penalty)


@dataclass(frozen=True, slots=True)
class ScopeThresholds:
    """The probability of being in scope that a text needs at each operating point; 0 everywhere where scope decides nothing."""

    thresholds: dict[str, float]
    weight_without_topic: float

    @property
    def decides(self) -> bool:
        """Whether a text has to be in scope at all."""
        return any(threshold > 0.0 for threshold in self.thresholds.values())


def scope_thresholds(scope: FloatArray, in_scope: BoolArray) -> ScopeThresholds:
    """Thresholds for scope from held-out probabilities, shape (n,).

    A feed of news holds more passages without topic than the passages learnt from do, `FEED_WITHOUT_TOPIC` of them: each of these
    counts for `weight_without_topic`. A text is in scope when it is more likely than not under that share; for the recall point, when
    it is above all but a few of the passages with topics. Passages that have that share already, or next to none without topic, are
    taken as they are: then the topics' own thresholds decide.
    """
    without = int((~in_scope).sum())
    if min(without, len(in_scope) - without) < _FEWEST_FOR_SCOPE:
        return ScopeThresholds(dict.fromkeys(OPERATING_POINTS, 0.0), 1.0)
    share = without / len(in_scope)
    odds = FEED_WITHOUT_TOPIC / (1 - FEED_WITHOUT_TOPIC) * (1 - share) / share
    if odds <= 1.0:
        return ScopeThresholds(dict.fromkeys(OPERATING_POINTS, 0.0), 1.0)
    likely = odds / (1 + odds)
    lenient = float(np.quantile(scope[in_scope], _MISSED_AT_RECALL))
    thresholds = dict.fromkeys(OPERATING_POINTS, likely) | {"recall": min(lenient, likely)}
    return ScopeThresholds(thresholds, odds)


def operating_points(
    probabilities: FloatArray, scope: FloatArray, y_true: BoolArray, topics: Sequence[str]
) -> tuple[ScopeThresholds, dict[str, list[OperatingThreshold]]]:
    """Thresholds of each operating point, topics in order.

    `probabilities` and `y_true` have shape (n, n_topics), `scope` shape (n,); all of them held out.
    """
    labelled: BoolArray = np.any(y_true, axis=1)
    scopes = scope_thresholds(scope, labelled)
    weights = np.where(labelled, 1.0, scopes.weight_without_topic)
    points: dict[str, list[OperatingThreshold]] = {}
    for point in OPERATING_POINTS:
        in_scope = scope >= scopes.thresholds[point]
        points[point] = []
        for t, topic in enumerate(topics):
            scores = np.where(in_scope, probabilities[:, t], 0.0)
            threshold, reached = _choose(point, scores, y_true[:, t], weights, scopes)
            points[point].append(_measured(topic, threshold, scores, y_true[:, t], reached))
    return scopes, points


def _choose(
    point: str,
    scores: FloatArray,
    y_true: BoolArray,
    weights: FloatArray,
    scopes: ScopeThresholds,
) -> tuple[float, bool]:
    """The threshold of one topic at one operating point, and whether it reaches the point's aim."""
    if point == "precision":
        return _precise(*_curve(scores, y_true, np.ones_like(weights)))
    if point == "recall":
        return _complete(*_curve(scores, y_true, np.ones_like(weights)))
    threshold, reached = _balanced(*_curve(scores, y_true, weights))
    if scopes.decides:
        threshold = max(threshold, MORE_LIKELY_THAN_NOT)
    return threshold, reached


def _curve(
    scores: FloatArray, y_true: BoolArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Thresholds, descending, with the precision and recall each gives; midway between neighbouring scores above 0."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.append(ordered[1:] != ordered[:-1], True) & (ordered > 0.0)
    true_positives = np.cumsum(y_true[order])[last_of_tie]
    given = np.cumsum(weights[order])[last_of_tie]
    distinct = ordered[last_of_tie]
    midway = (distinct + np.append(distinct[1:], 0.0)) / 2
    recall = true_positives / max(int(y_true.sum()), 1)
    return midway, true_positives / given, recall


def _balanced(
    thresholds: FloatArray, precision: FloatArray, recall: FloatArray
) -> tuple[float, bool]:
    """The highest F1."""
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    if not len(f1) or f1.max() == 0.0:
        return MORE_LIKELY_THAN_NOT, False
    return float(thresholds[f1.argmax()]), True


def _precise(
    thresholds: FloatArray, precision: FloatArray, recall: FloatArray
) -> tuple[float, bool]:
    """The most recall at `PRECISION_AIM` or better; else the most precision among thresholds that give anything right."""
    right = np.where(recall > 0, precision, -1.0)
    enough = np.flatnonzero(right >= PRECISION_AIM)
    if len(enough):
        return float(thresholds[enough[-1]]), True
    if not len(right) or right.max() < 0:
        return MORE_LIKELY_THAN_NOT, False
    return float(thresholds[right.argmax()]), False


def _complete(
    thresholds: FloatArray, precision: FloatArray, recall: FloatArray
) -> tuple[float, bool]:
    """The most precision at `RECALL_AIM` or better; else the lowest threshold."""
    enough = np.flatnonzero(recall >= RECALL_AIM)
    if len(enough):
        return float(thresholds[enough[precision[enough].argmax()]]), True
    return (float(thresholds[-1]) if len(thresholds) else 0.0), False


def _measured(
    topic: str, threshold: float, scores: FloatArray, y_true: BoolArray, reached: bool
) -> OperatingThreshold:
    """The threshold with the precision and recall that it gives on the held-out passages."""
    given = scores >= threshold
    right = int((given & y_true).sum())
    return OperatingThreshold(
        topic,
        threshold,
        right / max(int(given.sum()), 1),
        right / max(int(y_true.sum()), 1),
        reached,
    )
