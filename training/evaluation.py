"""How good a model is on labelled passages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

FEWEST_POSITIVES = 3
"""Positives a topic needs to count in macro-F1 and mean average precision."""
CALIBRATION_BINS = 15


def label_matrix(topics_of: Sequence[Sequence[str]], topics: Sequence[str]) -> BoolArray:
    """Labels as a matrix, shape (n_passages, n_topics); topics that the model does not have are left out."""
    columns = {topic: column for column, topic in enumerate(topics)}
    y_true = np.zeros((len(topics_of), len(topics)), dtype=bool)
    for row, listed in enumerate(topics_of):
        for topic in listed:
            if topic in columns:
                y_true[row, columns[topic]] = True
    return y_true


def evaluate(
    y_true: BoolArray,
    y_score: FloatArray,
    given: BoolArray,
    thresholds: FloatArray,
    topics: Sequence[str],
    languages: Sequence[str],
) -> dict[str, Any]:
    """Every figure of a model on some passages.

    `y_true`, `y_score` (calibrated probabilities) and `given` (the model's decisions) have shape (n_passages, n_topics), `thresholds`
    shape (n_topics,).
    """
    by_language = np.asarray(languages)
    return {
        **_figures(y_true, y_score, given),
        "per_topic": _per_topic(y_true, given, thresholds, topics),
        "per_language": {
            str(language): _figures(y_true[rows], y_score[rows], given[rows])
            for language in sorted(set(languages))
            for rows in [by_language == language]
        },
    }


def _figures(y_true: BoolArray, y_score: FloatArray, given: BoolArray) -> dict[str, Any]:
    precision, recall, f1 = prf(int((y_true & given).sum()), int(given.sum()), int(y_true.sum()))
    enough = np.flatnonzero(y_true.sum(axis=0) >= FEWEST_POSITIVES)
    per_topic = [
        prf(
            int((y_true[:, t] & given[:, t]).sum()),
            int(given[:, t].sum()),
            int(y_true[:, t].sum()),
        )[2]
        for t in enough
    ]
    nothing = ~y_true.any(axis=1)
    return {
        "n": len(y_true),
        "micro_f1": _rounded(f1),
        "macro_f1": _rounded(float(np.mean(per_topic)) if per_topic else 0.0),
        "precision": _rounded(precision),
        "recall": _rounded(recall),
        "false_topic_rate": _rounded(
            float(given[nothing].any(axis=1).mean()) if nothing.any() else 0.0
        ),
        "ece": _rounded(calibration_error(y_true, y_score)),
        "map": mean_average_precision(y_true, y_score),
    }


def mean_average_precision(y_true: BoolArray, y_score: FloatArray) -> float:
    """Mean over the topics with enough positives; 0 where there is none."""
    enough = np.flatnonzero(y_true.sum(axis=0) >= FEWEST_POSITIVES)
    listed = [average_precision_score(y_true[:, t], y_score[:, t]) for t in enough]
    return _rounded(float(np.mean(listed)) if listed else 0.0)


def _per_topic(
    y_true: BoolArray, given: BoolArray, thresholds: FloatArray, topics: Sequence[str]
) -> dict[str, dict[str, float | int]]:
    listed: dict[str, dict[str, float | int]] = {}
    for t, topic in enumerate(topics):
        support = int(y_true[:, t].sum())
        precision, recall, f1 = prf(
            int((y_true[:, t] & given[:, t]).sum()), int(given[:, t].sum()), support
        )
        listed[topic] = {
            "precision": _rounded(precision),
            "recall": _rounded(recall),
            "f1": _rounded(f1),
            "support": support,
            "threshold": float(thresholds[t]),
        }
    return listed


def prf(true_positives: int, given: int, wanted: int) -> tuple[float, float, float]:
    """Precision, recall and F1 of counts; 0 where there is nothing to divide by."""
    precision = true_positives / given if given else 0.0
    recall = true_positives / wanted if wanted else 0.0
    f1 = 2 * true_positives / (given + wanted) if given + wanted else 0.0
    return precision, recall, f1


def calibration_error(y_true: BoolArray, y_score: FloatArray) -> float:
    """Expected calibration error (Naeini et al. 2015) over all pairs of passage and topic, in 15 bins of equal width."""
    if not y_true.size:
        return 0.0
    scores, labels = y_score.ravel(), y_true.ravel()
    bins = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    confidence = np.bincount(bins, weights=scores, minlength=CALIBRATION_BINS)
    accuracy = np.bincount(bins, weights=labels, minlength=CALIBRATION_BINS)
    filled = counts > 0
    return float(np.abs(confidence - accuracy)[filled].sum() / len(scores))


def bootstrap_events(
    event_numbers: IntArray, n_events: int, n_samples: int, seed: int
) -> npt.NDArray[np.int64]:
    """How often each passage is drawn when events are drawn with replacement, shape (n_samples, n_passages)."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, n_events, size=(n_samples, n_events))
    counts = np.stack([np.bincount(sample, minlength=n_events) for sample in drawn])
    return counts[:, event_numbers]


def bootstrap_f1(y_true: BoolArray, given: BoolArray, draws: IntArray) -> FloatArray:
    """Micro-F1 of each bootstrap sample, shape (n_samples,); `draws` as from `bootstrap_events`."""
    right = draws @ (y_true & given).sum(axis=1)
    total = draws @ (y_true.sum(axis=1) + given.sum(axis=1))
    f1: FloatArray = 2 * right / np.maximum(total, 1)
    return f1


def interval(samples: FloatArray, level: float = 0.95) -> tuple[float, float]:
    """The central interval of bootstrap samples."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return _rounded(float(low)), _rounded(float(high))


def _rounded(value: float) -> float:
    return round(value, 4)
