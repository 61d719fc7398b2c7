"""Fitting on very many passages: one matrix on disk, one part of the events held out, topics side by side.

What differs from `training.train.fit` and why: counting and fitting go through files, so that memory does not grow with the passages; the
vocabulary is bounded; nothing is translated, as so many passages have the words of both languages by themselves; and instead of five
folds one part of the events is held out, some `MOST_HELD_OUT` passages, which is plenty to calibrate on. Terms are counted on the passages
outside that part. Each topic is fitted twice: on these, for scores of those held out, and then from there on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from sklearn.pipeline import FeatureUnion

from model.errors import PassageError
from model.lexicon import Lexicon
from training import matrix, regression
from training.heldout import MOST_KEPT_SHARE, event_place
from training.matrix import Matrix
from training.passages import Passage
from training.pipeline import Parameters, least_frequency, prior_log_odds
from training.progress import Progress

FROM = 100_000
"""Passages from which on training goes this way by itself."""
MOST_HELD_OUT = 25_000
_TOPICS_AT_ONCE = 8
_ROWS = 20_000

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LargeFit:
    """Uncalibrated weights, shape (1 + n_topics, n_features), and log-odds of the passages held out, shape (len(judged), 1 + n_topics).

    `judged` are the places of these passages, `parameters` those that were used.
    """

    features: FeatureUnion
    coefficients: FloatArray
    intercepts: FloatArray
    judged: IntArray
    scores: FloatArray
    parameters: Parameters


def fit_large(
    passages: Sequence[Passage],
    y_true: BoolArray,
    parameters: Parameters,
    lexicon: Lexicon,
    folder: Path,
    jobs: int,
    progress: Progress,
) -> LargeFit:
    """Fits on all passages with the files in a folder; `y_true` has shape (n_passages, 1 + n_topics), scope first."""
    inside, judged = _split(passages)
    order = np.concatenate((inside, judged))
    steps = 3
    progress("reading", 0, steps)
    reading = matrix.read((passages[i].text for i in order.tolist()), lexicon, folder)
    progress("reading", 1, steps)
    least = least_frequency(parameters, len(inside))
    terms = matrix.count(reading, len(inside), lexicon, least, matrix.MOST_TERMS)
    progress("reading", 2, steps)
    used = replace(parameters, min_df=terms.min_df, n_folds=1, translated_weight=0.0)
    written = matrix.write(reading, terms, lexicon, parameters, folder)
    features = matrix.vectorizers(terms, used, lexicon)
    del reading, terms
    progress("reading", steps, steps)
    fits = _fit_side_by_side(written, len(inside), y_true[order], used, jobs, progress)
    weights = np.concatenate([fitted for fitted, _ in fits], axis=1)
    scores = np.concatenate([scored for _, scored in fits], axis=1)
    return LargeFit(features, weights[:-1].T.copy(), weights[-1].copy(), judged, scores, used)


def _split(passages: Sequence[Passage]) -> tuple[IntArray, IntArray]:
    """Places of the passages to learn from and of those held out, by a hash of their events; PassageError where either has none."""
    share = min(MOST_KEPT_SHARE, MOST_HELD_OUT / len(passages))
    held_out = np.array([event_place(passage.event) < share for passage in passages])
    if held_out.all() or not held_out.any():
        raise PassageError("the passages belong to too few events: there is nothing to hold out")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _fit_side_by_side(
    written: Matrix,
    n_inside: int,
    y_true: BoolArray,
    parameters: Parameters,
    jobs: int,
    progress: Progress,
) -> list[tuple[FloatArray, FloatArray]]:
    """Groups of topics, in processes; the groups do not depend on how many."""
    n_topics = y_true.shape[1]
    groups = np.array_split(np.arange(n_topics), -(-n_topics // _TOPICS_AT_ONCE))
    tasks = [delayed(_fit_group)(written, n_inside, y_true[:, g], parameters) for g in groups]
    progress("fitting", 0, len(tasks))
    fits = []
    for fitted in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        fits.append(fitted)
        progress("fitting", len(fits), len(tasks))
    return fits


def _fit_group(
    written: Matrix, n_inside: int, y_true: BoolArray, parameters: Parameters
) -> tuple[FloatArray, FloatArray]:
    """Weights of some topics fitted to all rows, biases last, and log-odds of the rows after the first `n_inside` by a fit to those."""
    n_texts = len(y_true)
    weights = _fit_topics(written, y_true[:n_inside], parameters, None)
    scores = np.concatenate(
        [part @ weights[:-1] + weights[-1] for part in written.parts(n_inside, n_texts, _ROWS)]
    )
    return _fit_topics(written, y_true, parameters, weights), scores


def _fit_topics(
    written: Matrix, y_true: BoolArray, parameters: Parameters, start: FloatArray | None
) -> FloatArray:
    """Weights and biases; a topic without both classes gets its smoothed prior alone."""
    weights = np.zeros((written.n_features + 1, y_true.shape[1]))
    weights[-1] = [prior_log_odds(topic) for topic in y_true.T]
    both = np.flatnonzero(y_true.any(axis=0) & ~y_true.all(axis=0))
    if len(both):
        begin = None if start is None else start[:, both]
        weights[:, both] = regression.fit_topics(written, y_true[:, both], parameters, begin)
    return weights
