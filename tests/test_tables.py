from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import ArtifactError
from model.tables import WEIGHT_STEPS, PairTable, Tables, pair_keys, pair_order
from tests.conftest import copy_version

rows_of_stems = st.integers(0, 40)


@given(st.sets(st.tuples(rows_of_stems, rows_of_stems)), st.lists(rows_of_stems, max_size=60))
def test_pairs_of_neighbours_are_found_where_they_stand_and_no_others(known, stems):
    pairs = np.array(sorted(known), dtype=np.int64).reshape(-1, 2)
    keys = pair_keys(pairs[:, 0], pairs[:, 1])
    keys = keys[pair_order(keys)]
    places, numbers = PairTable.of(keys).find(np.array(stems, dtype=np.uint64))
    neighbours = list(pairwise(stems))
    assert places.tolist() == [i for i, pair in enumerate(neighbours) if pair in known]
    for place, number in zip(places.tolist(), numbers.tolist(), strict=True):
        assert divmod(int(keys[number]), 2**32) == neighbours[place]


def test_a_large_table_looks_at_few_keys_a_pair():
    generator = np.random.default_rng(0)
    keys = np.unique(pair_keys(*generator.integers(0, 30_000, (2, 200_000))))
    assert len(PairTable.of(keys[pair_order(keys)]).probes) <= 8


def test_keys_in_another_order_are_refused():
    keys = pair_keys(np.arange(100), np.arange(100))
    ordered = keys[pair_order(keys)]
    with pytest.raises(ValueError, match="order of their buckets"):
        PairTable.of(ordered[::-1].copy())


def test_the_order_of_the_rows_does_not_change_a_sum(version, classifier):
    tables = classifier._tables
    assert np.array_equal(tables.rows * WEIGHT_STEPS, np.rint(tables.rows * WEIGHT_STEPS))
    generator = np.random.default_rng(0)
    rows = generator.permutation(tables.nothing)[:500]
    starts = np.array([0, 400])
    expected = tables.log_odds(rows, starts)
    for _ in range(20):
        shuffled = np.concatenate((generator.permutation(rows[:400]), rows[400:][::-1]))
        assert np.array_equal(tables.log_odds(shuffled, starts), expected)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("rows.npy", np.zeros((5, 3), np.float32), "shape"),
        ("rows.npy", np.zeros((5, 26)), "expected 2 of float32"),
        ("pairs.npy", np.arange(50, dtype=np.uint64)[::-1].copy(), "order of their buckets"),
        ("concept_rows.npy", np.zeros((2, 2), np.int32), "shape"),
    ],
)
def test_an_array_of_another_make_is_refused_by_name(
    version, classifier, tmp_path, name, array, message
):
    folder = copy_version(version, tmp_path / "copy")
    np.save(folder / name, array)
    with pytest.raises(ArtifactError, match=message) as error:
        Tables.load(folder, classifier.manifest, 10, len(classifier._tables.concept_rows))
    assert name in str(error.value)
