from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from model import Taxonomy
from model.lexicon import Lexicon
from training import matrix, regression
from training.evaluation import label_matrix
from training.pipeline import Parameters, fit_topic

PARAMETERS = replace(Parameters.load(), tol=1e-3)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def problem(passages, tmp_path_factory):
    """The matrix of some passages, and the labels of their commonest topics."""
    folder = tmp_path_factory.mktemp("matrix")
    lexicon = Lexicon.default()
    reading = matrix.read([p.text for p in passages], lexicon, folder)
    terms = matrix.count(reading, len(passages), lexicon, 2, 10**9)
    written = matrix.write(reading, terms, lexicon, PARAMETERS, folder)
    y_true = label_matrix([p.topics for p in passages], Taxonomy.default().slugs)
    return written, y_true[:, np.argsort(-y_true.sum(axis=0))[:6]]


def fitted(problem, columns, **options):
    written, y_true = problem
    return regression.fit_topics(
        written, y_true[:, columns], PARAMETERS, tolerance=TOLERANCE, **options
    )


def test_weights_are_those_of_liblinear(problem):
    written, y_true = problem
    weights = fitted(problem, range(6))
    features = sparse.csr_matrix(sparse.vstack(written.parts(0, len(y_true), 1000)), dtype=float)
    for topic in range(6):
        expected, bias = fit_topic(features, y_true[:, topic], PARAMETERS, 0)
        assert np.abs(weights[:-1, topic] - expected).max() < 0.01 * np.abs(expected).max()
        assert weights[-1, topic] == pytest.approx(bias, abs=0.02)


def test_a_topic_does_not_depend_on_its_neighbours_nor_on_the_parts_read(problem, monkeypatch):
    together = fitted(problem, range(6))
    monkeypatch.setattr(regression, "_ROWS", 100)
    alone = fitted(problem, [3])
    assert np.abs(together[:, 3] - alone[:, 0]).max() < 1e-3 * np.abs(alone).max()


def test_another_start_comes_to_the_same_weights(problem):
    expected = fitted(problem, [0, 1])
    near = fitted(problem, [0, 1], start=expected)
    assert np.allclose(near, expected, rtol=1e-9, atol=0)
    far = np.random.default_rng(0).normal(0, 1, expected.shape)
    found = fitted(problem, [0, 1], start=far.copy())
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
