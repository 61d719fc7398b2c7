"""What the classifier knows of each word, looked up once a distinct word: news repeats its words."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.language import LanguageVotes
from model.lexicon import MOST_CONCEPTS, Lexicon
from model.text import LONGEST_WORD, fold, folded_terms

MOST_WORDS = 50_000
"""Distinct words remembered, some 20 MB; past that the memory starts anew."""

NO_ROW = -1
NO_CONCEPT = -1
UNKNOWN_STEM = 2**32 - 1
"""Stands for the row of a stem that the model does not have; no pair holds it."""

WordEntry = tuple[int, int, tuple[int, ...], tuple[int, ...], int]
"""One word: its number, the row of its stem, the rows that it has, its concepts' numbers, its kind of vote."""
NUMBER: Final = 0
STEM: Final = 1
ROWS: Final = 2
CONCEPTS: Final = 3
VOTE: Final = 4


@dataclass(frozen=True, slots=True)
class WordArrays:
    """The entries of words by their number, for looking up many at once.

    `stems` and `votes` have shape (n,); `rows` (n, 2), filled up with `NO_ROW`; `concepts` (n, MOST_CONCEPTS), filled up with
    `NO_CONCEPT`.
    """

    stems: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]
    concepts: npt.NDArray[np.int16]
    votes: npt.NDArray[np.int16]

    @classmethod
    def of(cls, entries: Sequence[WordEntry]) -> WordArrays:
        """The arrays of some entries, in their order."""
        n = len(entries)
        arrays = cls(
            np.array([entry[STEM] for entry in entries], dtype=np.uint64),
            np.full((n, 2), NO_ROW, np.int64),
            np.full((n, MOST_CONCEPTS), NO_CONCEPT, np.int16),
            np.array([entry[VOTE] for entry in entries], dtype=np.int16),
        )
        for place, entry in enumerate(entries):
            arrays.rows[place, : len(entry[ROWS])] = entry[ROWS]
            arrays.concepts[place, : len(entry[CONCEPTS])] = entry[CONCEPTS]
        return arrays

    def followed_by(self, other: WordArrays) -> WordArrays:
        """These arrays and then the other's."""
        return WordArrays(
            np.concatenate((self.stems, other.stems)),
            np.concatenate((self.rows, other.rows)),
            np.concatenate((self.concepts, other.concepts)),
            np.concatenate((self.votes, other.votes)),
        )


class Vocabulary:
    """The terms of a version, with a bounded memory of the words met so far; safe between threads."""

    def __init__(self, terms: Sequence[str], lexicon: Lexicon, votes: LanguageVotes) -> None:
        self._rows = dict(zip(terms, range(len(terms)), strict=True))
        self._lexicon = lexicon
        self._votes = votes
        self._met = MetWords(self)

    def met(self) -> MetWords:
        """The memory of words, good for one run of texts."""
        if len(self._met) > MOST_WORDS:
            self._met = MetWords(self)
        return self._met

    def of_word(self, number: int, word: str) -> WordEntry:
        """The entry of one word as it stands in a text, computed."""
        if len(word) > LONGEST_WORD:
            return number, UNKNOWN_STEM, (), (), 0
        folded = fold(word)
        stem, prefix = (self._rows.get(term, NO_ROW) for term in folded_terms(folded))
        return (
            number,
            UNKNOWN_STEM if stem == NO_ROW else stem,
            tuple(row for row in (stem, prefix) if row != NO_ROW),
            self._lexicon.concepts_of_folded(folded),
            self._votes.kind_of_folded(folded),
        )


class MetWords(dict[str, WordEntry]):
    """Entries of the words met, by the word; one that is not there is computed and added."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._entries: list[WordEntry] = [(0, UNKNOWN_STEM, (), (), 0)]
        self._arrays = WordArrays.of(self._entries)

    def __missing__(self, word: str) -> WordEntry:
        with self._lock:
            entry = self._vocabulary.of_word(len(self._entries), word)
            self._entries.append(entry)
            self[word] = entry
        return entry

    def arrays(self) -> WordArrays:
        """The arrays of all words met; number 0 is no word, and stands between texts."""
        with self._lock:
            known = len(self._arrays.stems)
            if known < len(self._entries):
                new = WordArrays.of(self._entries[known:])
                self._arrays = self._arrays.followed_by(new)
            return self._arrays
