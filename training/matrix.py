"""TF-IDF of very many texts in bounded memory: the same terms and values as `training.pipeline.fit_features`, in files.

Texts are read once, into numbers of their words on disk; what each distinct word gives (stem, prefix, concepts) is worked out once. Terms
are then counted and the matrix written a chunk of texts at a time, in arrays, and the matrix is memory-mapped, so that processes share it.

Pairs of words are what grows: most of them stand in one text alone, and each would cost a place in a dictionary. They are counted twice:
first all of them into a table of `CELLS` counters, at a place made from the pair, which can only count too many; then exactly those whose
counter reaches the least frequency. No count is wrong and no term is lost. The least frequency is raised until at most `most` terms can
reach it; pairs that share a counter can raise it a little more than it had to be.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.pipeline import FeatureUnion

from model.errors import PassageError
from model.lexicon import MOST_CONCEPTS, Lexicon
from model.tables import SPREAD
from model.text import word_terms, words
from training.pipeline import CONCEPTS, WORDS, Parameters, assemble_features

CELLS = 1 << 25
"""Counters for pairs, 134 MB."""
_PARTS_OF_CELLS = 64
MOST_TERMS = 1 << 18
"""Terms of words; concepts and their pairs come on top."""
_CHUNK = 5_000
_NONE = -1

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """Texts as numbers of their words, end to end; text i stands from `starts[i]` to `starts[i + 1]`.

    By the number of a word: `stems` and `prefixes` are places in `terms`, shape (n_words,), and `concepts` are numbers of the lexicon's,
    shape (n_words, MOST_CONCEPTS); -1 where there is none.
    """

    numbers: npt.NDArray[np.int32]
    starts: IntArray
    terms: list[str]
    stems: IntArray
    prefixes: IntArray
    concepts: npt.NDArray[np.int16]

    def chunks(self, n_texts: int) -> Iterator[Chunk]:
        """The first `n_texts` texts, some thousand at a time."""
        for first in range(0, n_texts, _CHUNK):
            last = min(first + _CHUNK, n_texts)
            lengths = np.diff(self.starts[first : last + 1])
            listed = np.asarray(self.numbers[self.starts[first] : self.starts[last]], np.int64)
            yield Chunk(self, last - first, np.repeat(np.arange(last - first), lengths), listed)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some texts: the number of each word, and the text that it stands in, shape (n_words,).

    A term is given as the text's place times a base plus the term's number, each once, ascending.
    """

    reading: Reading
    n_texts: int
    texts: IntArray
    numbers: IntArray

    def singles(self) -> IntArray:
        """Stems and prefixes in texts, over the number of terms."""
        found = np.concatenate(
            (self.reading.stems[self.numbers], self.reading.prefixes[self.numbers])
        )
        texts = np.concatenate((self.texts, self.texts))
        return np.unique((texts * len(self.reading.terms) + found)[found != _NONE])

    def pairs(self) -> IntArray:
        """Pairs of neighbouring stems in texts, over the square of the number of terms."""
        base = len(self.reading.terms)
        stems = self.reading.stems[self.numbers]
        first, second = stems[:-1], stems[1:]
        both = (first != _NONE) & (second != _NONE) & (self.texts[:-1] == self.texts[1:])
        return np.unique(((self.texts[:-1] * base + first) * base + second)[both])

    def concepts(self, n_concepts: int) -> IntArray:
        """Concepts and their pairs in texts, over the square of one more than there are: a pair, or a concept and `n_concepts`."""
        base = n_concepts + 1
        found = self.reading.concepts[self.numbers]
        single = np.unique((self.texts[:, None] * base + found)[found != _NONE])
        texts, numbers = np.divmod(single, base)
        listed = [single * base + n_concepts]
        for apart in range(1, len(single)):
            together = texts[:-apart] == texts[apart:]
            if not together.any():
                break
            listed.append((single[:-apart] * base + numbers[apart:])[together])
        return np.sort(np.concatenate(listed))


def read(texts: Iterable[str], lexicon: Lexicon, folder: Path) -> Reading:
    """Reads texts into a file in the folder."""
    met = _numbers_as_met()
    starts = array("q", [0])
    path = folder / "words"
    with path.open("wb") as stream:
        for text in texts:
            numbers = array("i", [met[word] for word in words(text)])
            numbers.tofile(stream)
            starts.append(starts[-1] + len(numbers))
    if not starts[-1]:
        raise PassageError("the passages hold no words to learn from")
    terms = _numbers_as_met()
    stems, prefixes = np.full(len(met), _NONE, np.int64), np.full(len(met), _NONE, np.int64)
    concepts = np.full((len(met), MOST_CONCEPTS), _NONE, np.int16)
    for word, number in met.items():
        found = word_terms(word)
        if found is not None:
            stems[number], prefixes[number] = terms[found[0]], terms[found[1]]
        listed = lexicon.concepts_of(word)
        concepts[number, : len(listed)] = listed
    mapped = np.memmap(path, np.int32, "r")
    return Reading(mapped, np.array(starts, np.int64), list(terms), stems, prefixes, concepts)


def _numbers_as_met() -> defaultdict[str, int]:
    """Numbers each new key as it is met."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


@dataclass(frozen=True, slots=True)
class Block:
    """Terms of a block in the order of their columns, their keys, and their idf, shape (n_terms,)."""

    terms: list[str]
    keys: IntArray
    idf: FloatArray

    @classmethod
    def of(cls, names: Mapping[int, str], counts: IntArray, n_texts: int) -> Block:
        """A block of terms by their keys, in how many of the texts each stands."""
        keys = np.array(list(names), np.int64)
        listed = list(names.values())
        order = np.array(sorted(range(len(listed)), key=listed.__getitem__), np.int64)
        idf = np.log((n_texts + 1) / (counts + 1.0)) + 1.0
        return cls([listed[place] for place in order], keys[order], idf[order])

    def columns(self, keys: IntArray) -> IntArray:
        """The column of each key; -1 where it is not in the block."""
        order = np.argsort(self.keys)
        ascending = self.keys[order]
        places = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
        return np.where(ascending[places] == keys, order[places], _NONE)


@dataclass(frozen=True, slots=True)
class Terms:
    """The columns: words, then concepts; the least number of texts that a term of words stands in."""

    words: Block
    concepts: Block | None
    min_df: int


def count(reading: Reading, n_texts: int, lexicon: Lexicon, least: int, most: int) -> Terms:
    """Counts the terms of the first `n_texts` texts; those of words are at most `most`, each in `least` texts or more."""
    base = len(reading.terms)
    singles, cells = np.zeros(base, np.int64), np.zeros(CELLS, np.int32)
    for chunk in reading.chunks(n_texts):
        singles += np.bincount(chunk.singles() % base, minlength=base)
        np.add.at(cells, _cells(chunk.pairs() % base**2), 1)
    min_df = _least_frequency(singles, cells, least, most)
    pairs, pair_counts = _pairs(reading, n_texts, cells, min_df)
    kept = np.flatnonzero(singles >= min_df)
    names = {base**2 + term: reading.terms[term] for term in kept.tolist()}
    names |= {
        key: f"{reading.terms[key // base]} {reading.terms[key % base]}" for key in pairs.tolist()
    }
    if not names:
        raise PassageError("the passages hold no words to learn from")
    counts = np.concatenate((singles[kept], pair_counts))
    return Terms(
        Block.of(names, counts, n_texts), _count_concepts(reading, n_texts, lexicon, least), min_df
    )


def _cells(pairs: IntArray) -> IntArray:
    """The counter of each pair."""
    shift = np.uint64(65 - CELLS.bit_length())
    return ((pairs.astype(np.uint64) * SPREAD) >> shift).astype(np.int64)


def _least_frequency(singles: IntArray, cells: npt.NDArray[np.int32], least: int, most: int) -> int:
    """The smallest frequency from `least` on that at most `most` terms have."""
    longest = int(max(singles.max(), cells.max())) + 2
    counts = np.bincount(singles, minlength=longest)
    for part in np.array_split(cells, _PARTS_OF_CELLS):  # bincount copies what it counts
        counts += np.bincount(part, minlength=longest)
    at_least = counts[::-1].cumsum()[::-1]
    few = np.flatnonzero(at_least[least:] <= most)
    return least + int(few[0]) if len(few) else longest


def _pairs(
    reading: Reading, n_texts: int, cells: npt.NDArray[np.int32], min_df: int
) -> tuple[IntArray, IntArray]:
    """Keys of the pairs that stand in enough texts, and in how many."""
    base = len(reading.terms)
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for chunk in reading.chunks(n_texts):
        found = chunk.pairs() % base**2
        found = found[cells[_cells(found)] >= min_df]
        keys, places = np.unique(np.concatenate((keys, found)), return_inverse=True)
        ones = np.ones(len(found), np.int64)
        counts = np.bincount(places, np.concatenate((counts, ones))).astype(np.int64)
    enough = counts >= min_df
    return keys[enough], counts[enough]


def _count_concepts(reading: Reading, n_texts: int, lexicon: Lexicon, least: int) -> Block | None:
    names, n = lexicon.concepts, len(lexicon.concepts)
    counts = np.zeros((n + 1) ** 2, np.int64)
    for chunk in reading.chunks(n_texts):
        found = chunk.concepts(n) % len(counts)
        counts += np.bincount(found, minlength=len(counts))
    kept = np.flatnonzero(counts >= least)
    listed = {
        key: names[a] if b == n else f"{names[a]} & {names[b]}"
        for key in kept.tolist()
        for a, b in [divmod(key, n + 1)]
    }
    return Block.of(listed, counts[kept], n_texts) if listed else None


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix on disk, shape (n_texts, n_features), float32; pickled as the name of its folder."""

    folder: Path
    n_features: int

    def parts(self, start: int, stop: int, size: int) -> list[sparse.csr_matrix]:
        """Rows from `start` to `stop`, memory-mapped, in parts of `size` rows."""
        ends = np.load(self.folder / "ends.npy")
        values = np.memmap(self.folder / "values", np.float32, "r")
        columns = np.memmap(self.folder / "columns", np.int32, "r")
        listed = []
        for first in range(start, stop, size):
            last = min(first + size, stop)
            here = slice(ends[first], ends[last])
            starts = (ends[first : last + 1] - ends[first]).astype(np.int32)
            shape = last - first, self.n_features
            listed.append(sparse.csr_matrix((values[here], columns[here], starts), shape=shape))
        return listed


def write(
    reading: Reading, terms: Terms, lexicon: Lexicon, parameters: Parameters, folder: Path
) -> Matrix:
    """Writes the matrix of all texts read into the folder."""
    n_texts, base = len(reading.starts) - 1, len(reading.terms)
    n_concepts = len(lexicon.concepts)
    lengths = []
    with (folder / "values").open("wb") as values, (folder / "columns").open("wb") as columns:
        for chunk in reading.chunks(n_texts):
            texts, keys = np.divmod(chunk.singles(), base)
            pair_texts, pairs = np.divmod(chunk.pairs(), base**2)
            texts, keys = (
                np.concatenate((texts, pair_texts)),
                np.concatenate((keys + base**2, pairs)),
            )
            listed = [_weighed(chunk, terms.words, texts, keys, parameters.word_scale)]
            if terms.concepts is not None:
                texts, keys = np.divmod(chunk.concepts(n_concepts), (n_concepts + 1) ** 2)
                listed.append(
                    _weighed(chunk, terms.concepts, texts, keys, parameters.concept_scale)
                )
            whole = sparse.csr_matrix(sparse.hstack(listed))
            whole.data.astype(np.float32).tofile(values)
            whole.indices.astype(np.int32).tofile(columns)
            lengths.append(np.diff(whole.indptr))
    ends = np.concatenate(([0], np.cumsum(np.concatenate(lengths), dtype=np.int64)))
    np.save(folder / "ends.npy", ends)
    return Matrix(folder, whole.shape[1])


def _weighed(
    chunk: Chunk, block: Block, texts: IntArray, keys: IntArray, scale: float
) -> sparse.csr_matrix:
    """TF-IDF of a block, each text of length `scale`."""
    columns = block.columns(keys)
    known = columns != _NONE
    texts, columns = texts[known], columns[known]
    idf = block.idf[columns]
    lengths = np.sqrt(np.bincount(texts, idf**2, minlength=chunk.n_texts))
    shape = chunk.n_texts, len(block.terms)
    weighed = sparse.csr_matrix((scale * idf / lengths[texts], (texts, columns)), shape=shape)
    weighed.sort_indices()
    return weighed


def vectorizers(terms: Terms, parameters: Parameters, lexicon: Lexicon) -> FeatureUnion:
    """The fitted blocks as scikit-learn has them."""
    blocks = {WORDS: terms.words, CONCEPTS: terms.concepts}
    fitted = {name: (block.terms, block.idf) for name, block in blocks.items() if block is not None}
    return assemble_features(parameters, lexicon, fitted)
