"""Which language a text is in, from its function words.

Each word votes for the languages whose commonest words (`languages.json`) it is one of; a word in another script votes for ``und``.
Made for telling French and English, which the model reads, from anything else in a few microseconds: the votes are looked up once a
distinct word, with its terms. A general language identifier would cost more than the whole classification.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import numpy as np
import numpy.typing as npt

from model.text import is_latin

UNDETERMINED = "und"
_OTHER_SCRIPT_VOTES = 2.0
_LEAST_VOTES = 1.0
_VOTE_STEPS = 2**20
"""Votes are whole multiples of one part in these: their sums are exact, whatever the order and whatever the batch."""

_SUPPORTED_ADVANTAGE = 1.2


class LanguageVotes:
    """Function words of some languages.

    Words that vote alike are of one kind; `table` holds the vote of each kind, shape (n_kinds, n_languages), columns in the order of
    `languages`, ``und`` the last. Kind 0 votes for none. The votes for a `supported` language weigh more: it wins unless another is
    clearly ahead.
    """

    def __init__(
        self, function_words: dict[str, Sequence[str]], supported: Sequence[str] = ()
    ) -> None:
        self.languages = (*function_words, UNDETERMINED)
        columns_of: dict[str, list[int]] = {}
        for column, listed in enumerate(function_words.values()):
            for word in listed:
                columns_of.setdefault(word, []).append(column)
        kinds: dict[tuple[int, ...], int] = {}
        self._kinds = {
            word: kinds.setdefault(tuple(columns), len(kinds) + 1)
            for word, columns in columns_of.items()
        }
        self._other_script = len(kinds) + 1
        self.table = np.zeros((len(kinds) + 2, len(self.languages)))
        for columns, kind in kinds.items():
            self.table[kind, list(columns)] = 1 / len(columns) ** 0.5
        self.table[self._other_script, -1] = _OTHER_SCRIPT_VOTES
        self.table *= [
            _SUPPORTED_ADVANTAGE if name in supported else 1.0 for name in self.languages
        ]
        self.table = np.rint(self.table * _VOTE_STEPS) / _VOTE_STEPS

    @classmethod
    def default(cls, supported: Sequence[str] = ()) -> LanguageVotes:
        """The languages that Vigie comes with."""
        content = resources.files("model").joinpath("languages.json").read_text(encoding="utf-8")
        words = {language: listed.split() for language, listed in json.loads(content).items()}
        return cls(words, supported)

    def kind_of_folded(self, folded: str) -> int:
        """The kind of vote of one folded word."""
        kind = self._kinds.get(folded)
        if kind is not None:
            return kind
        return 0 if is_latin(folded) else self._other_script

    def winners(self, kinds: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> list[str]:
        """The language that the votes of each text's words speak for; ``und`` where nothing speaks for any.

        `kinds` are those of all words, text after text, `starts` the place of each text's first; no text may be without a word.
        """
        votes = np.add.reduceat(self.table.take(kinds, axis=0), starts, axis=0)
        best = votes.argmax(axis=1)
        best[votes.max(axis=1) < _LEAST_VOTES] = len(self.languages) - 1
        return [self.languages[column] for column in best.tolist()]

    def winner(self, kinds: npt.NDArray[np.int64]) -> str:
        """As `winners`, for one text."""
        votes: list[float] = np.add.reduce(self.table.take(kinds, axis=0), axis=0).tolist()
        most = max(votes)
        return self.languages[votes.index(most)] if most >= _LEAST_VOTES else UNDETERMINED
