"""Passages put word for word into the other language, as more passages to learn from.

What an English passage teaches of *sued* or *taken down* holds of *poursuivi* and *retiré* as well, but terms are of one language and would
not share it. Grammar is lost word for word; words, which is what terms are, are not. Translations count less than passages
(`Parameters.translated_weight`), pairs of words are taken from passages alone, and nothing is measured or calibrated on translations. A
version holds terms and weights as ever, so they cost nothing in service.

The dictionaries lie in the folder `dictionary`, a line a word, commoner words first: the word, a tab, what stands for it in the other
language. Alternatives are separated by `/`, the commonest first; it is the one that is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from model.text import word_terms, words

FOLDER = Path(__file__).with_name("dictionary")

Entries = list[tuple[str, list[str]]]


class Dictionary:
    """What stands for a word in the other language, by its stem; `backwards` are entries of the dictionary for the other direction."""

    def __init__(self, entries: Entries, backwards: Sequence[tuple[str, list[str]]] = ()) -> None:
        self._own: dict[str, str] = {}
        self._backwards: dict[str, str] = {}
        for word, equivalents in entries:
            _add(self._own, word, equivalents[0])
        for word, equivalents in backwards:
            for equivalent in equivalents:
                if " " not in equivalent:
                    _add(self._backwards, equivalent, word)

    def translate(self, text: str) -> str:
        """The words of a text in the other language, those that the dictionary does not have as they are.

        A capitalised word that it only has backwards is taken for a name: *YouTube* is no *youtubeur*.
        """
        return " ".join([self._find(word) for word in words(text)])

    def _find(self, word: str) -> str:
        terms = word_terms(word)
        if terms is None:
            return word
        found = self._own.get(terms[0])
        if found is None and not word[0].isupper():
            found = self._backwards.get(terms[0])
        return word if found is None else found


def _add(words_by_stem: dict[str, str], word: str, equivalent: str) -> None:
    terms = word_terms(word)
    if terms is not None:
        words_by_stem.setdefault(terms[0], equivalent)


@cache
def dictionaries() -> Mapping[str, Dictionary]:
    """The dictionaries at hand, by the language of the texts that they translate."""
    read = {path.stem: _read(path) for path in sorted(FOLDER.glob("*.tsv"))}
    found = {}
    for pair, entries in read.items():
        source, _, target = pair.partition("-")
        found[source] = Dictionary(entries, read.get(f"{target}-{source}", []))
    return found


def translations(texts: Sequence[str], languages: Sequence[str]) -> list[str | None]:
    """A translation of each text; None where there is no dictionary for its language."""
    known = dictionaries()
    return [
        known[language].translate(text) if language in known else None
        for text, language in zip(texts, languages, strict=True)
    ]


def _read(path: Path) -> Entries:
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, equivalents = line.partition("\t")
        entries.append((word, equivalents.split("/")))
    return entries
