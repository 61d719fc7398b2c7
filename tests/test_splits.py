from __future__ import annotations

import numpy as np
import pytest

from model import PassageError
from training.splits import event_folds, event_numbers


def test_an_event_stays_in_one_fold_and_folds_are_about_equal():
    events = [f"e{i % 100}" for i in range(300)]
    folds = event_folds(events, 5, seed=1)
    for event in set(events):
        assert len({int(f) for f, e in zip(folds, events, strict=True) if e == event}) == 1
    assert np.bincount(folds).tolist() == [60] * 5


def test_folds_depend_on_the_seed_alone():
    events = [f"e{i}" for i in range(50)]
    assert np.array_equal(event_folds(events, 5, 1), event_folds(events, 5, 1))
    assert not np.array_equal(event_folds(events, 5, 1), event_folds(events, 5, 2))


def test_fewer_events_give_fewer_folds_and_one_event_none():
    assert set(event_folds(["a", "b", "a"], 5, 0).tolist()) == {0, 1}
    with pytest.raises(PassageError, match="one event"):
        event_folds(["a", "a"], 5, 0)


def test_events_are_numbered():
    numbers, n = event_numbers(["b", "a", "b"])
    assert (numbers.tolist(), n) == ([1, 0, 1], 2)
