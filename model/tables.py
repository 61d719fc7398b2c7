"""The arrays of a version: rows of weights, and where to find the row of a pair of stems or of concepts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import ArtifactError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WEIGHT_STEPS = 2.0**24
"""Weights are whole multiples of one part in these, so that sums of them in float64 are exact: their order does not matter."""

_SHORTEST = 1e-6
_HALF = np.uint64(32)
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio, odd: Knuth's multiplicative hashing, The Art of Computer Programming, volume 3, 6.4."""


@dataclass(frozen=True, slots=True)
class PairTable:
    """Finds pairs of stems: `keys` lie by the bucket that they hash to, those of bucket b from `starts[b]` on.

    `probes` are 0, 1, … as many as the largest bucket has keys. A key stands in its own bucket alone, so looking on into the next one
    does no harm; the last buckets start early enough to be looked through without leaving the table.
    """

    keys: npt.NDArray[np.uint64]
    starts: IntArray
    probes: IntArray
    shift: np.uint64

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint64]) -> PairTable:
        """The table of keys in the order that `pair_order` gives; ValueError where they have another."""
        shift = _shift(len(keys))
        buckets = _buckets(keys, shift)
        if np.any(buckets[1:] < buckets[:-1]):
            raise ValueError("keys are not in the order of their buckets")
        sizes = np.bincount(buckets, minlength=1)
        largest = int(sizes.max())
        starts = np.minimum(sizes.cumsum() - sizes, len(keys) - largest)
        return cls(keys, starts, np.arange(largest), shift)

    def find(self, stems: npt.NDArray[np.uint64]) -> tuple[IntArray, IntArray]:
        """Of the pairs of neighbours among stems, shape (n,), those in the table: places of the first stem, and numbers of the key."""
        n_probes = len(self.probes)
        if not n_probes or len(stems) < 2:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        keys = stems[:-1] << _HALF
        keys |= stems[1:]
        # Buckets after the last that holds a key are not in `starts`; in no other bucket will their keys be found.
        first = self.starts.take(_buckets(keys, self.shift), mode="clip")
        candidates = (first[:, None] + self.probes).ravel()
        found = (self.keys.take(candidates) == keys.repeat(n_probes)).nonzero()[0]
        return found // n_probes, candidates.take(found)


def pair_keys(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """The key of each pair of rows of stems."""
    return (first.astype(np.uint64) << _HALF) | second.astype(np.uint64)


def pair_order(keys: npt.NDArray[np.uint64]) -> IntArray:
    """The order in which `pairs.npy` holds keys: by bucket, then ascending."""
    return np.lexsort((keys, _buckets(keys, _shift(len(keys)))))


def _shift(n_keys: int) -> np.uint64:
    """The bits of a hash that are dropped to have some four buckets a key."""
    return np.uint64(62 - n_keys.bit_length())


def _buckets(keys: npt.NDArray[np.uint64], shift: np.uint64) -> IntArray:
    return ((keys * SPREAD) >> shift).view(np.int64)


@dataclass(frozen=True, slots=True)
class Tables:
    """The arrays of a version.

    `rows` holds the squared idf of a term, its weight for being in scope, and its weight for each topic: first the terms of single
    words, then pairs of stems in the order of `pairs`, then concepts and pairs of concepts, whose rows are in `concept_rows`, last a
    row of zeros. `bias` has the columns of `rows` without the first, `scales` the lengths of the two blocks; `ones`
    are as many as there are rows, to sum them with.
    """

    rows: npt.NDArray[np.float32]
    ones: FloatArray
    pairs: PairTable
    concept_rows: npt.NDArray[np.int32]
    n_terms: int
    bias: FloatArray
    scales: FloatArray

    @classmethod
    def load(cls, folder: Path, manifest: dict[str, Any], n_terms: int, n_concepts: int) -> Tables:
        """Reads a version's arrays, memory-mapped; ArtifactError names the one at fault."""
        rows = _load_array(folder / "rows.npy", np.float32, 2)
        keys = _load_array(folder / "pairs.npy", np.uint64, 1)
        concept_rows = _load_array(folder / "concept_rows.npy", np.int32, 2)
        bias = np.array([manifest["scope"]["bias"], *manifest["bias"]], dtype=np.float64)
        expected = {
            "rows.npy": (rows.shape[1:], (2 + len(manifest["topics"]),)),
            "concept_rows.npy": (concept_rows.shape, (n_concepts,) * 2),
            "manifest.json, bias": (bias.shape, (1 + len(manifest["topics"]),)),
        }
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise ArtifactError(f"{folder / name}: shape {found}, expected {wanted}")
        try:
            pairs = PairTable.of(keys)
        except ValueError as error:
            raise ArtifactError(f"{folder / 'pairs.npy'}: {error}") from error
        scales = np.array([manifest["blocks"][name] for name in ("words", "concepts")], np.float64)
        return cls(rows, np.ones(len(rows)), pairs, concept_rows, n_terms, bias, scales)

    @property
    def nothing(self) -> int:
        """The row that adds nothing."""
        return len(self.rows) - 1

    def find_pairs(self, stems: IntArray) -> tuple[IntArray, IntArray]:
        """Of the pairs of neighbours among rows of stems, those that the model has: places of the first stem, and rows of the pair."""
        places, numbers = self.pairs.find(stems.view(np.uint64))
        numbers += self.n_terms
        return places, numbers

    def log_odds(self, active: IntArray, starts: IntArray) -> FloatArray:
        """Log-odds of n texts from their active rows, shape (n, 1 + n_topics).

        `active` holds the rows of each text's words, text after text, then those of each text's concepts; `starts`, shape (2 n,), where
        each text's begin. None is without rows.
        """
        sums = np.empty((len(starts), self.rows.shape[1]))
        begin = starts.tolist()
        for place, (start, end) in enumerate(pairwise([*begin, len(active)])):
            # Run by run, so that what is gathered is still in the processor's nearest cache when it is summed.
            gathered = self.rows.take(active[start:end], axis=0)
            np.dot(self.ones[: end - start], gathered, out=sums[place])
        n = len(starts) // 2
        # A block of which nothing is known has sums of 0; any length will do.
        lengths = np.maximum(np.sqrt(sums[:, :1]), _SHORTEST)
        weighted = sums[:, 1:] * (self.scales.repeat(n)[:, None] / lengths)
        log_odds: FloatArray = weighted[:n] + weighted[n:]
        log_odds += self.bias
        return log_odds


def _load_array(path: Path, dtype: type, n_dimensions: int) -> npt.NDArray[Any]:
    """A table, memory-mapped; never unpickles."""
    try:
        loaded: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"{path}: not a table: {error}") from error
    if loaded.dtype != dtype or loaded.ndim != n_dimensions:
        raise ArtifactError(
            f"{path}: {loaded.ndim} dimensions of {loaded.dtype}, "
            f"expected {n_dimensions} of {np.dtype(dtype)}"
        )
    return loaded.view(np.ndarray)
