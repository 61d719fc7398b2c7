"""The lexicon: words of French and English that stand for the same thing, gathered under one concept.

A bag of words knows nothing of synonyms: "banned", "booted" and "exclu" are three unrelated columns. The lexicon gives them one more
column in common, `@ban`, so that what is learnt from one word holds for the others, in both languages; a pair of concepts in the same
passage (`@ban & @account`) says more than each alone ("ban" is also football's word). Names of platforms are one concept, so the
model learns what happened rather than to whom.

`lexicon.json` maps each concept to its forms: folded words, where a final ``*`` stands for any ending. To extend it, add forms there
and retrain: a version carries its own copy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

from model.errors import ArtifactError
from model.text import LONGEST_WORD, fold

MOST_CONCEPTS = 8
"""Concepts that one word can have; further ones, in the lexicon's order, are dropped."""

_FORM = re.compile(r"[^\W_]+\*?")
_SHORTEST_PREFIX = 2


class Lexicon:
    """Looks up the concepts of a word.

    `concepts` are the names in order; a concept's place in it is its number everywhere else.
    """

    def __init__(self, forms: Mapping[str, Iterable[str]]) -> None:
        self.forms = {concept: tuple(entries) for concept, entries in forms.items()}
        self.concepts = tuple(self.forms)
        words: dict[str, list[int]] = {}
        prefixes: dict[str, list[int]] = {}
        for number, entries in enumerate(self.forms.values()):
            for entry in entries:
                table, form = (prefixes, entry[:-1]) if entry.endswith("*") else (words, entry)
                numbers = table.setdefault(form, [])
                if number not in numbers:
                    numbers.append(number)
        self._words = words
        self._prefixes = prefixes
        self._beginnings = {form[:end] for form in prefixes for end in range(1, len(form) + 1)}

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        """Reads a lexicon file; ArtifactError where it is not one."""
        try:
            forms = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: not a lexicon: {error}") from error
        problem = _problem(forms)
        if problem:
            raise ArtifactError(f"{path}: {problem}")
        return cls(forms)

    @classmethod
    def default(cls) -> Lexicon:
        """The lexicon that Vigie comes with."""
        with resources.as_file(resources.files("model") / "lexicon.json") as path:
            return cls.load(path)

    def concepts_of(self, word: str) -> tuple[int, ...]:
        """Numbers of the concepts of a word as it stands in the text, ascending, at most `MOST_CONCEPTS`."""
        if len(word) > LONGEST_WORD:
            return ()
        return self.concepts_of_folded(fold(word))

    def concepts_of_folded(self, folded: str) -> tuple[int, ...]:
        """As `concepts_of`, for a word that is folded already."""
        found = list(self._words.get(folded, ()))
        for length in range(_SHORTEST_PREFIX, len(folded) + 1):
            beginning = folded[:length]
            if beginning not in self._beginnings:
                break
            found += self._prefixes.get(beginning, ())
        if len(found) < 2:
            return tuple(found)
        return tuple(sorted(set(found))[:MOST_CONCEPTS])


def _problem(forms: object) -> str | None:
    """What is wrong with the content of a lexicon file, if anything."""
    if not isinstance(forms, dict):
        return "expected an object of concept: [form, …]"
    for concept, entries in forms.items():
        if not isinstance(entries, list) or not entries:
            return f'concept "{concept}" has no list of forms'
        for entry in entries:
            if not isinstance(entry, str) or not _FORM.fullmatch(entry):
                return (
                    f'concept "{concept}": "{entry}" is not a word, nor a word\'s beginning and *'
                )
            if fold(entry.rstrip("*")) != entry.rstrip("*"):
                return f'concept "{concept}": "{entry}" is not folded (lower case, no accents)'
            if len(entry.rstrip("*")) < _SHORTEST_PREFIX and entry.endswith("*"):
                return f'concept "{concept}": "{entry}" is too short a beginning'
    return None
