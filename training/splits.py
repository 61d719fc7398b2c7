"""Splits that keep an event whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold

from model.errors import PassageError

IntArray = npt.NDArray[np.int64]


def event_folds(events: Sequence[str], n_folds: int, seed: int) -> IntArray:
    """The fold of each passage, shape (n_passages,): every event in one fold, folds about equally large.

    Fewer events than folds give as many folds as there are events; PassageError under two.
    """
    n_events = len(set(events))
    if n_events < 2:
        raise PassageError("all passages belong to one event: there is nothing to hold out")
    folds = np.empty(len(events), np.int64)
    splitter = GroupKFold(min(n_folds, n_events), shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(events)), groups=events)):
        folds[held_out] = fold
    return folds


def event_numbers(events: Sequence[str]) -> tuple[IntArray, int]:
    """The number of each passage's event, and the number of events."""
    _, numbers = np.unique(np.asarray(events, dtype=object).astype(str), return_inverse=True)
    return numbers.astype(np.int64), int(numbers.max()) + 1
