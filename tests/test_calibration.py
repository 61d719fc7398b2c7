from __future__ import annotations

import numpy as np
import pytest

from model.classifier import OPERATING_POINTS, sigmoid
from training.calibration import (
    FEED_WITHOUT_TOPIC,
    MORE_LIKELY_THAN_NOT,
    fit_sigmoid,
    operating_points,
    scope_thresholds,
)


def test_the_sigmoid_recovers_slope_and_intercept():
    generator = np.random.default_rng(3)
    scores = generator.normal(0, 2, 20_000)
    y_true = generator.random(20_000) < sigmoid(2.0 * scores - 1.0)
    slope, intercept = fit_sigmoid(scores, y_true)
    assert slope == pytest.approx(2.0, rel=0.05)
    assert intercept == pytest.approx(-1.0, abs=0.08)


def test_too_few_positives_leave_scores_as_they_are():
    assert fit_sigmoid(np.arange(10.0), np.arange(10) > 6) == (1.0, 0.0)


@pytest.mark.parametrize(("offset", "spread"), [(-30.0, 1.0), (40.0, 8.0), (0.0, 5.0)])
def test_scores_far_from_zero_are_brought_to_the_frequency_of_the_topic(offset, spread):
    generator = np.random.default_rng(5)
    y_true = np.arange(1000) < 30
    scores = offset + spread * (generator.normal(0, 1, 1000) + y_true)
    slope, intercept = fit_sigmoid(scores, y_true)
    assert abs(intercept) < 1000
    assert sigmoid(slope * scores + intercept).mean() == pytest.approx(0.03, rel=0.2)


def test_scores_that_mislead_do_not_turn_the_order_round():
    scores = np.linspace(-3, 3, 200)
    assert fit_sigmoid(scores, scores < 0)[0] > 0


def test_each_operating_point_reaches_its_aim_or_says_that_it_does_not():
    generator = np.random.default_rng(4)
    y_true = generator.random((4000, 2)) < 0.2
    good = sigmoid(np.where(y_true[:, 0], 2.0, -2.0) + generator.normal(0, 1.2, 4000))
    scores = np.column_stack((good, generator.random(4000)))
    scope = np.ones(4000)
    _, points = operating_points(scores, scope, y_true, ("good", "random"))
    assert tuple(points) == OPERATING_POINTS
    for point, topics in points.items():
        for column, entry in enumerate(topics):
            given = scores[:, column] >= entry.threshold
            right = (given & y_true[:, column]).sum()
            assert entry.precision == pytest.approx(right / given.sum()), point
            assert entry.recall == pytest.approx(right / y_true[:, column].sum()), point
    assert points["precision"][0].precision >= 0.90
    assert points["precision"][0].reached
    assert not points["precision"][1].reached
    assert points["recall"][0].recall >= 0.90
    assert points["recall"][1].reached


def test_the_balanced_threshold_has_the_best_f1_where_scope_does_not_decide():
    scores = np.array([[0.9], [0.8], [0.7], [0.2], [0.1]])
    y_true = np.array([[True], [True], [False], [True], [False]])
    scopes, points = operating_points(scores, np.ones(5), y_true, ("t",))
    assert not scopes.decides
    (entry,) = points["balanced"]
    assert entry.threshold == pytest.approx(0.15)
    assert (entry.precision, entry.recall) == (0.75, 1.0)


def test_where_scope_decides_a_topic_has_to_be_more_likely_than_not():
    y_true = np.repeat([True, False], 100)[:, None]
    scores = np.where(y_true, 0.3, 0.1)
    scopes, points = operating_points(scores, y_true[:, 0].astype(float), y_true, ("t",))
    assert scopes.decides
    assert points["balanced"][0].threshold == MORE_LIKELY_THAN_NOT
    assert points["balanced"][0].recall == 0.0
    assert points["recall"][0].recall == 1.0


def test_scope_is_asked_for_as_in_a_feed_with_more_passages_without_topic():
    in_scope = np.arange(1000) < 600
    scope = np.where(in_scope, 0.99, 0.01)
    scopes = scope_thresholds(scope, in_scope)
    odds = FEED_WITHOUT_TOPIC / (1 - FEED_WITHOUT_TOPIC) * 0.6 / 0.4
    assert scopes.weight_without_topic == pytest.approx(odds)
    assert scopes.thresholds["balanced"] == pytest.approx(odds / (1 + odds))
    assert scopes.thresholds["recall"] <= scopes.thresholds["balanced"]


def test_texts_out_of_scope_get_no_topic_whatever_its_score():
    y_true = np.repeat([True, False], 100)[:, None]
    scores = np.full((200, 1), 0.9)
    _, points = operating_points(scores, y_true[:, 0].astype(float), y_true, ("t",))
    assert points["balanced"][0].precision == 1.0


def test_a_topic_without_positives_is_not_reached():
    scores = np.array([[0.2], [0.3]])
    _, points = operating_points(scores, np.ones(2), np.zeros((2, 1), bool), ("t",))
    assert not points["balanced"][0].reached
    assert points["balanced"][0].threshold == MORE_LIKELY_THAN_NOT


def test_passages_shaped_like_a_feed_already_are_taken_as_they_are():
    in_scope = np.arange(1000) < 200
    scopes = scope_thresholds(in_scope * 0.9, in_scope)
    assert not scopes.decides
    assert scopes.weight_without_topic == 1.0
