"""Articles: HTML cleaned to text, text split into passages."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"[^\n]+")
_FEWEST_LETTERS = 2
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A passage of an article: ``text == article[start:end]``, offsets in code points."""

    text: str
    start: int
    end: int


def clean_html(html: str) -> str:
    """The article's text without markup and page furniture, a paragraph a line; empty where there is none."""
    import trafilatura

    extracted = trafilatura.extract(
        html, include_comments=False, include_tables=False, favor_recall=True
    )
    return extracted or ""


def split_passages(article: str) -> list[Stretch]:
    """The paragraphs of an article: its lines, as far as they hold letters."""
    stretches = []
    for match in _BLOCK.finditer(article):
        stripped = match.group().strip()
        if len(_LETTER.findall(stripped)) < _FEWEST_LETTERS:
            continue
        start = match.start() + match.group().index(stripped)
        stretches.append(Stretch(stripped, start, start + len(stripped)))
    return stretches
