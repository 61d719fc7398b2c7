from __future__ import annotations

import numpy as np
import pytest

from training import evaluation

Y_TRUE = np.array([[1, 0], [1, 1], [0, 0], [0, 0], [1, 0]], dtype=bool)
Y_SCORE = np.array([[0.9, 0.1], [0.8, 0.7], [0.6, 0.2], [0.1, 0.1], [0.2, 0.8]])
LANGUAGES = ["fr", "fr", "en", "en", "en"]


def figures():
    return evaluation.evaluate(
        Y_TRUE, Y_SCORE, Y_SCORE >= 0.5, np.array([0.5, 0.5]), ("a", "b"), LANGUAGES
    )


def test_figures_are_those_of_the_definitions():
    found = figures()
    # given: a on 0, 1, 2; b on 1, 4; right: a on 0, 1; b on 1
    assert found["n"] == 5
    assert found["precision"] == pytest.approx(3 / 5)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["micro_f1"] == pytest.approx(2 * 3 / 9, abs=1e-4)
    assert found["false_topic_rate"] == 0.5
    assert found["macro_f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["map"] == pytest.approx((1 + 1 + 3 / 4) / 3, abs=1e-4)


def test_topics_and_languages_are_listed():
    found = figures()
    assert found["per_topic"]["a"] == {
        "precision": 0.6667,
        "recall": 0.6667,
        "f1": 0.6667,
        "support": 3,
        "threshold": 0.5,
    }
    assert found["per_language"]["fr"]["micro_f1"] == 1.0
    assert found["per_language"]["en"]["n"] == 3


def test_topics_unknown_to_the_model_are_left_out():
    labels = evaluation.label_matrix([("b", "zzz"), ()], ("a", "b"))
    assert labels.tolist() == [[False, True], [False, False]]


def test_calibration_error_is_the_gap_between_score_and_share():
    assert evaluation.calibration_error(np.array([[True, False]]), np.array([[1.0, 0.0]])) == 0.0
    quarter = np.array([[True], [False], [False], [False]])
    assert evaluation.calibration_error(quarter, np.full((4, 1), 0.25)) == 0.0
    assert evaluation.calibration_error(quarter, np.full((4, 1), 0.75)) == pytest.approx(0.5)


def test_the_bootstrap_draws_whole_events():
    draws = evaluation.bootstrap_events(np.array([0, 0, 1, 2]), 3, 50, seed=1)
    assert draws.shape == (50, 4)
    assert np.array_equal(draws[:, 0], draws[:, 1])
    assert (draws[:, [0, 2, 3]].sum(axis=1) == 3).all()
    f1 = evaluation.bootstrap_f1(Y_TRUE[:4], Y_SCORE[:4] >= 0.5, draws)
    low, high = evaluation.interval(f1)
    assert 0 <= low <= evaluation.prf(3, 4, 3)[2] <= high <= 1
