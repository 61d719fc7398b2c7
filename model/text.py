"""From text to terms: what the fitted pipeline and the compiled classifier both read in a passage.

A word is a run of letters, digits and combining marks. It is folded (case, accents, compatibility forms), then gives

- its stem: ``~suspend`` for "suspended", "Suspending";
- its first letters: ``^suspe``, which brings together what the stem keeps apart ("suspension");
- the pair of its stem and the next word's: ``~account ~suspend``;
- the concepts of the lexicon that it belongs to (see `model.lexicon`), alone and in pairs.

Change anything here and old versions score differently: raise `ANALYSIS` with it, versions of another number are refused.
"""

from __future__ import annotations

import re
import unicodedata

ANALYSIS = 2
"""Number of the analysis in this module and in `model.lexicon`, written into each manifest."""

WORD = re.compile(r"[\w\u0300-\u036f]+")
PREFIX_LENGTH = 5
LONGEST_WORD = 64
"""Characters; a longer run is not a word of any language that is read here, and gives no terms."""

_SUFFIX = re.compile(
    r"(?:ements?|ations?|ateurs?|atrices?|ings?|ed|ers?|ees?|es|s|ent|ant|ait|aient|e)$"
)
_SHORTEST_STEM = 4


def fold(word: str) -> str:
    """Lower case, no accents, compatibility forms replaced, without spaces; every number becomes ``0``."""
    folded = word.lower()
    if not folded.isascii():
        decomposed = unicodedata.normalize("NFKD", folded)
        folded = "".join(c for c in decomposed if not unicodedata.combining(c)).lower()
        # Some letters are short for several words: U+FDFA for four.
        folded = "".join(folded.split())
    return "0" if folded.isdecimal() else folded


def stem(word: str) -> str:
    """A light stem of a folded word, the same rules for French and English; at least four letters stay."""
    if len(word) <= _SHORTEST_STEM:
        return word
    match = _SUFFIX.search(word, _SHORTEST_STEM)
    return word[: match.start()] if match else word


def words(text: str) -> list[str]:
    """The words of a text as they stand in it, in order."""
    return WORD.findall(text)


def is_latin(word: str) -> bool:
    """Whether a folded word is written in Latin letters or holds no letters at all."""
    return word.isascii() or all(ord(c) < 0x250 or not c.isalpha() for c in word)


def word_terms(word: str) -> tuple[str, str] | None:
    """The stem and prefix terms of a word as it stands in the text; None where it is too long to be one."""
    return None if len(word) > LONGEST_WORD else folded_terms(fold(word))


def folded_terms(folded: str) -> tuple[str, str]:
    """The stem and prefix terms of a folded word."""
    return "~" + stem(folded), "^" + folded[:PREFIX_LENGTH]
