"""Logistic regressions of several topics at once over a matrix on disk.

The objective is that of `training.pipeline.fit_topic`: half the squared weights, the bias among them, plus C times the sum of log-losses.
The method is a trust-region Newton method with conjugate gradients (Lin, Weng and Keerthi 2008). The matrix is read a part at a time and
each step is taken for all topics together, so one pass through it serves them all. Each topic has its own trust region and stops by
itself; what it comes to depends on no other. The weights that are looked for are those of features multiplied by the factors of
`training.evidence`; what comes out has them folded in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training import evidence
from training.matrix import Matrix
from training.pipeline import Parameters

_ROWS = 20_000
_NEWTON_STEPS = 100
_CONJUGATE_STEPS = 100
_RESIDUAL = 0.1
_ACCEPTED, _POOR, _GOOD = 1e-4, 0.25, 0.75
_SHRINK, _HALVE, _GROW = 0.25, 0.5, 4.0

TOLERANCE = 0.001

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


def fit_topics(
    matrix: Matrix,
    y_true: BoolArray,
    parameters: Parameters,
    start: FloatArray | None = None,
    tolerance: float = TOLERANCE,
) -> FloatArray:
    """Weights of topics and, in the last row, their biases, shape (n_features + 1, n_topics), fitted to as many rows as there are labels.

    `y_true` has shape (n_texts, n_topics), each topic of both classes. `start` are weights to begin from; `tolerance` is the
    share of the first gradient's length at which a topic ends, where its classes are equally large.
    """
    n_texts = len(y_true)
    parts = matrix.parts(0, n_texts, _ROWS)
    factors = _factors(parts, y_true, parameters.evidence_share)
    problem = _Problem(parts, y_true, parameters.C, factors)
    nothing = np.zeros(factors.shape)
    every = np.arange(y_true.shape[1])
    first = _norm(problem.gradient(nothing, problem.scores(nothing, every), every))
    rarer = np.minimum(y_true.sum(axis=0), (~y_true).sum(axis=0))
    enough = tolerance * np.maximum(rarer, 1) / n_texts * first
    return factors * _minimised(problem, nothing if start is None else start / factors, enough)


def _factors(parts: list[sparse.csr_matrix], y_true: BoolArray, share: float) -> FloatArray:
    """The factor of each feature for each topic, and 1 for the bias, shape (n_features + 1, n_topics)."""
    n_features, n_topics = parts[0].shape[1], y_true.shape[1]
    positive, passages = np.zeros((n_features, n_topics)), np.zeros(n_features)
    first = 0
    for part in parts:
        positive += evidence.count(part, y_true[first : first + part.shape[0]])
        passages += part.getnnz(axis=0)
        first += part.shape[0]
    factors = evidence.factors(positive, passages, y_true.sum(axis=0), len(y_true), share)
    return np.concatenate((factors, np.ones((1, n_topics))))


def _minimised(problem: _Problem, weights: FloatArray, enough: FloatArray) -> FloatArray:
    """Newton steps within a trust region each, until each topic's gradient is short enough."""
    every = np.arange(weights.shape[1])
    scores = problem.scores(weights, every)
    loss = problem.loss(weights, scores, every)
    gradient = problem.gradient(weights, scores, every)
    radius = _norm(gradient)
    going = every[_norm(gradient) > enough]
    for step in range(_NEWTON_STEPS):
        if not len(going):
            break
        curvature = problem.curvature(scores, going)
        move, residual = _direction(curvature, gradient[:, going], radius[going])
        tried = weights[:, going] + move
        tried_scores = problem.scores(tried, going)
        tried_loss = problem.loss(tried, tried_scores, going)
        along = _dot(gradient[:, going], move)
        expected = -0.5 * (along - _dot(move, residual))
        gained = loss[going] - tried_loss
        if step == 0:
            radius[going] = np.minimum(radius[going], _norm(move))
        radius[going] = _radius(radius[going], _norm(move), gained, expected, along)
        better = gained > _ACCEPTED * expected
        moved = going[better]
        weights[:, moved], loss[moved] = tried[:, better], tried_loss[better]
        scores[:, moved] = tried_scores[:, better]
        gradient[:, moved] = problem.gradient(weights[:, moved], scores[:, moved], moved)
        # What no longer gains more than rounding is as good as it gets.
        exhausted = np.abs(gained) <= 1e-10 * np.abs(loss[going])
        going = going[(_norm(gradient[:, going]) > enough[going]) & ~exhausted]
    return weights


def _radius(
    radius: FloatArray,
    length: FloatArray,
    gained: FloatArray,
    expected: FloatArray,
    along: FloatArray,
) -> FloatArray:
    """The next trust region: larger where the quadratic model foretold the gain, smaller where it did not."""
    bend = -gained - along
    safe = np.where(bend > 0, bend, 1.0)
    factor = np.where(bend > 0, np.maximum(_SHRINK, -0.5 * along / safe), _GROW)
    scaled = factor * length
    shrunk = np.minimum(np.maximum(scaled, _SHRINK * length), _HALVE * radius)
    kept = np.maximum(_SHRINK * radius, np.minimum(scaled, _HALVE * radius))
    widened = np.maximum(_SHRINK * radius, np.minimum(scaled, _GROW * radius))
    grown = np.maximum(radius, np.minimum(scaled, _GROW * radius))
    conditions = [
        gained < _ACCEPTED * expected,
        gained < _POOR * expected,
        gained < _GOOD * expected,
    ]
    return np.select(conditions, [shrunk, kept, widened], grown)


def _direction(
    curvature: Callable[[FloatArray, IntArray], FloatArray],
    gradient: FloatArray,
    radius: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Steps that nearly solve Newton's equations within the radius, and what is left of the equations, by conjugate gradients."""
    move = np.zeros_like(gradient)
    residual = -gradient
    heading = residual.copy()
    squared = _dot(residual, residual)
    enough = _RESIDUAL * _norm(gradient)
    going = np.flatnonzero(np.sqrt(squared) > enough)
    for _ in range(_CONJUGATE_STEPS):
        if not len(going):
            break
        direction, so_far = heading[:, going], move[:, going]
        bent = curvature(direction, going)
        length = squared[going] / _dot(direction, bent)
        inner, across, outer = (
            _dot(so_far, so_far),
            _dot(so_far, direction),
            _dot(direction, direction),
        )
        beyond = inner + 2 * length * across + length**2 * outer > radius[going] ** 2
        room = np.maximum(radius[going] ** 2 - inner, 0.0)
        to_edge = (np.sqrt(across**2 + outer * room) - across) / outer
        length = np.where(beyond, to_edge, length)
        move[:, going] = so_far + length * direction
        left = residual[:, going] - length * bent
        residual[:, going] = left
        before, squared[going] = squared[going], _dot(left, left)
        heading[:, going] = left + squared[going] / before * direction
        going = going[(np.sqrt(squared[going]) > enough[going]) & ~beyond]
    return move, residual


@dataclass(frozen=True, slots=True)
class _Problem:
    parts: list[sparse.csr_matrix]
    y_true: BoolArray
    cost: float
    factors: FloatArray

    def scores(self, weights: FloatArray, topics: IntArray) -> Scores:
        """Log-odds of the topics that the columns of the weights are of, shape (n_texts, len(topics))."""
        single = (weights * self.factors[:, topics]).astype(np.float32)
        return np.concatenate([part @ single[:-1] + single[-1] for part in self.parts])

    def loss(self, weights: FloatArray, scores: Scores, topics: IntArray) -> FloatArray:
        """The objective of the topics that the columns of weights and scores are of."""
        margins = np.where(self.y_true[:, topics], -scores, scores)
        summed = np.logaddexp(0.0, margins).sum(axis=0, dtype=np.float64)
        return np.asarray(0.5 * _dot(weights, weights) + self.cost * summed)

    def gradient(self, weights: FloatArray, scores: Scores, topics: IntArray) -> FloatArray:
        """The gradient for the topics that the columns of weights and scores are of."""
        errors = _probability(scores) - self.y_true[:, topics].astype(np.float32)
        return weights + self.cost * self._back(errors, topics)

    def curvature(
        self, scores: Scores, topics: IntArray
    ) -> Callable[[FloatArray, IntArray], FloatArray]:
        """The product of the second derivatives, at the scores of some topics, with a direction for some of those."""
        probability = _probability(scores[:, topics])
        bend = probability * (1 - probability)

        def product(directions: FloatArray, among: IntArray) -> FloatArray:
            moved = self.scores(directions, topics[among]) * bend[:, among]
            return directions + self.cost * self._back(moved, topics[among])

        return product

    def _back(self, values: Scores, topics: IntArray) -> FloatArray:
        """The transposed matrix, with its column of ones for the bias, times values of shape (n_texts, len(topics))."""
        summed = np.zeros((len(self.factors), len(topics)))
        first = 0
        for part in self.parts:
            here = values[first : first + part.shape[0]]
            summed[:-1] += part.T @ here
            summed[-1] += here.sum(axis=0, dtype=np.float64)
            first += part.shape[0]
        return summed * self.factors[:, topics]


def _probability(scores: Scores) -> Scores:
    halves: Scores = np.tanh(scores * np.float32(0.5))
    return (halves + np.float32(1)) * np.float32(0.5)


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Column by column."""
    products: FloatArray = np.einsum("ij,ij->j", a, b)
    return products


def _norm(a: FloatArray) -> FloatArray:
    return np.sqrt(_dot(a, a))
