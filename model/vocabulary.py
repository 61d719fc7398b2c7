"""What the classifier knows of each word, looked up once a distinct word: news repeats its words."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.language import LanguageVotes
from model.lexicon import MOST_CONCEPTS, Lexicon
from model.text import LONGEST_WORD, WORD, fold, folded_terms

MOST_STRETCHES = 250_000
"""Distinct stretches remembered, some 75 MB; past that the memory starts anew. News in two languages has more than 100,000 before it
repeats itself.
"""

_FIRST_ROOM = 4096
NO_WORD = 0
"""The number of what is no word, and of all words that are too long to be read."""


@dataclass(frozen=True, slots=True)
class WordArrays:
    """What is known of words, by their number.

    `stems` and `prefixes` are rows, shape (n,); `concepts` are numbers, shape (n, MOST_CONCEPTS), filled up with `no_concept`; `votes`
    are kinds of vote for a language, shape (n,).
    """

    stems: npt.NDArray[np.int64]
    prefixes: npt.NDArray[np.int64]
    concepts: npt.NDArray[np.int64]
    votes: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, n: int, nothing: int, no_concept: int) -> WordArrays:
        """Arrays for n words, of which nothing is known."""
        return cls(
            np.full(n, nothing, np.int64),
            np.full(n, nothing, np.int64),
            np.full((n, MOST_CONCEPTS), no_concept, np.int64),
            np.zeros(n, np.int64),
        )

    def copy_to(self, larger: WordArrays) -> None:
        """Writes these arrays over the beginning of larger ones."""
        n = len(self.stems)
        larger.stems[:n] = self.stems
        larger.prefixes[:n] = self.prefixes
        larger.concepts[:n] = self.concepts
        larger.votes[:n] = self.votes


class Vocabulary:
    """The terms of a version, with a bounded memory of the words met so far; safe between threads.

    `nothing` is the row of what the version does not have.
    """

    def __init__(
        self, terms: Sequence[str], lexicon: Lexicon, votes: LanguageVotes, nothing: int
    ) -> None:
        self.rows = dict(zip(terms, range(len(terms)), strict=True))
        self.lexicon = lexicon
        self.votes = votes
        self.nothing = nothing
        self._met = MetWords(self)

    def met(self) -> MetWords:
        """The memory of words, good for one run of texts."""
        if len(self._met) > MOST_STRETCHES:
            self._met = MetWords(self)
        return self._met


class MetWords(dict[str, tuple[int, ...]]):
    """The words met, each known by a number.

    A mapping from a stretch of text without spaces to the numbers of its words: "l'article," has two. What is not there is worked out
    and, unless it is very long, remembered. `arrays` hold what is known of each word; a word's number is in the mapping only after
    its facts are in the arrays, and arrays taken after the number was read hold them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._n_words = 1
        self.arrays = self._room_for(_FIRST_ROOM)

    def __missing__(self, stretch: str) -> tuple[int, ...]:
        if stretch.isalnum():  # one word; what `WORD` finds, but quicker
            return self._meet(stretch)
        words = WORD.findall(stretch)
        if words == [stretch]:
            return self._meet(stretch)
        numbers = tuple([number for word in words for number in self[word]])
        if len(stretch) <= LONGEST_WORD:
            self[stretch] = numbers
        return numbers

    def _meet(self, word: str) -> tuple[int, ...]:
        """Takes up a word, and gives its number; that of no word where it is too long."""
        if len(word) > LONGEST_WORD:
            return (NO_WORD,)
        vocabulary = self._vocabulary
        folded = fold(word)
        stem, prefix = folded_terms(folded)
        with self._lock:
            if word in self:
                return self[word]
            number = self._n_words
            if number == len(self.arrays.stems):
                self.arrays = self._room_for(2 * number)
            arrays = self.arrays
            arrays.stems[number] = vocabulary.rows.get(stem, vocabulary.nothing)
            arrays.prefixes[number] = vocabulary.rows.get(prefix, vocabulary.nothing)
            arrays.votes[number] = vocabulary.votes.kind_of_folded(folded)
            concepts = vocabulary.lexicon.concepts_of_folded(folded)
            if concepts:
                arrays.concepts[number, : len(concepts)] = concepts
            self._n_words += 1
            numbers = self[word] = (number,)
        return numbers

    def _room_for(self, n: int) -> WordArrays:
        """Arrays for n words with what is known so far."""
        vocabulary = self._vocabulary
        larger = WordArrays.empty(n, vocabulary.nothing, len(vocabulary.lexicon.concepts))
        if self._n_words > 1:
            self.arrays.copy_to(larger)
        return larger
