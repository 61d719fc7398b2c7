from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from training.evidence import count, factors


def test_passages_of_a_topic_are_counted_for_each_term():
    features = sparse.csr_matrix([[0.5, 0.0], [0.2, 0.7], [0.0, 0.1]])
    y_true = np.array([[True, False], [True, True], [False, True]])
    assert count(features, y_true).tolist() == [[2, 1], [1, 2]]


def test_terms_that_tell_the_topic_apart_weigh_more_than_those_that_are_everywhere():
    positive = np.array([[90.0], [10.0], [0.0]])
    passages = np.array([100, 100, 90])
    everywhere, telling, against = 1, 0, 2
    found = factors(positive, passages, np.array([100]), 1000, 0.5)[:, 0]
    assert found[telling] > found[against] > found[everywhere]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_factors_have_mean_square_one(share):
    generator = np.random.default_rng(0)
    passages = generator.integers(2, 200, 50)
    positive = np.floor(passages[:, None] * generator.random((50, 3)))
    found = factors(positive, passages, np.array([300, 400, 500]), 2000, share)
    assert np.allclose((found**2).mean(axis=0), 1.0)
    assert np.allclose(found, 1.0) == (share == 0.0)


def test_terms_are_alike_where_none_tells_the_topic_apart():
    found = factors(np.array([[50.0], [50.0]]), np.array([100, 100]), np.array([50]), 100, 0.5)
    assert found.tolist() == [[1.0], [1.0]]
