"""Articles: HTML cleaned to text, text split into passages, passages' topics brought together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from service.furniture import kind_of_furniture

LONGEST_PASSAGE = 180
"""Words; what the model learnt from is up to this long. A longer paragraph is split between sentences."""

_BLOCKS = ("p", "div", "br", "li", "td", "section", "article", "h1", "h2", "h3", "h4", "h5", "h6")
_BLOCK = re.compile(r"[^\n]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’»)]*\s+(?=[\"“‘«(]?\s?[A-ZÀ-Þ0-9])")
_WORD = re.compile(r"\S+")
_FEWEST_LETTERS = 2
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A passage of an article: ``text == article[start:end]``, offsets in code points."""

    text: str
    start: int
    end: int
    furniture: bool = False


def clean_html(html: str) -> str:
    """The article's text without markup and page furniture, a paragraph a line; empty where there is none."""
    import trafilatura

    extracted = trafilatura.extract(
        html, include_comments=False, include_tables=False, favor_recall=True
    )
    return extracted or _all_text(html)


def _all_text(html: str) -> str:
    """The text of what is too short to look like an article, a block a line."""
    from lxml.etree import ParserError
    from lxml.html import fromstring

    try:
        tree = fromstring(html)
    except (ParserError, ValueError):
        return ""
    for element in tree.xpath("//script|//style|//noscript|//template|//head|//comment()"):
        element.drop_tree()
    for element in tree.iter(*_BLOCKS):
        element.text = f"\n{element.text or ''}"
        element.tail = f"\n{element.tail or ''}"
    lines = (" ".join(line.split()) for line in str(tree.text_content()).split("\n"))
    return "\n".join(line for line in lines if line)


def split_passages(article: str) -> list[Stretch]:
    """The paragraphs of an article: its lines, as far as they hold letters; a long one is split between sentences."""
    stretches = []
    for match in _BLOCK.finditer(article):
        line = match.group()
        text = line.strip()
        if len(_LETTER.findall(text)) < _FEWEST_LETTERS:
            continue
        offset = match.start() + len(line) - len(line.lstrip())
        furniture = kind_of_furniture(text) is not None
        for start, end in _sentence_runs(text):
            stretches.append(
                Stretch(text[start:end], offset + start, offset + end, furniture=furniture)
            )
    return stretches


def article_topics(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Topics of an article: each that a passage was given, with its highest probability among those passages.

    A topic that stands in one paragraph is a topic of the article; averaging would lose it in a long one. So a long article gathers
    topics; `passages` says how many carry each.
    """
    best: dict[str, float] = {}
    passages: dict[str, int] = {}
    for result in results:
        for topic in result["topics"]:
            best[topic] = max(best.get(topic, 0.0), result["scores"][topic])
            passages[topic] = passages.get(topic, 0) + 1
    ordered = sorted(best, key=lambda topic: (-best[topic], topic))
    return [
        {"topic": topic, "score": best[topic], "passages": passages[topic]} for topic in ordered
    ]


def passages_of(
    results: Sequence[dict[str, Any]], titles: Sequence[str], stretches: Sequence[Stretch]
) -> list[dict[str, Any]]:
    """Results of titles and then of stretches, with where each stands; what is furniture has nothing decided."""
    passages = [
        {**result, "title": True, "furniture": False, "start": None, "end": None}
        for result in results[: len(titles)]
    ]
    for stretch, result in zip(stretches, results[len(titles) :], strict=True):
        kept = _without_topics(result) if stretch.furniture else result
        place = {"start": stretch.start, "end": stretch.end}
        passages.append({**kept, "title": False, "furniture": stretch.furniture, **place})
    return passages


def _without_topics(result: dict[str, Any]) -> dict[str, Any]:
    """A Result for page furniture: scores as they are, nothing decided."""
    return {**result, "topics": [], "needs_review": False, "reasons": []} | (
        {"explanation": {}} if "explanation" in result else {}
    )


def _sentence_runs(text: str) -> list[tuple[int, int]]:
    """Offsets of runs of whole sentences of up to `LONGEST_PASSAGE` words; a longer sentence stays whole."""
    if len(_WORD.findall(text)) <= LONGEST_PASSAGE:
        return [(0, len(text))]
    bounds = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    runs: list[tuple[int, int]] = []
    start, words = 0, 0
    for begin, end in pairwise(bounds):
        count = len(_WORD.findall(text[begin:end]))
        if words and words + count > LONGEST_PASSAGE:
            runs.append((start, begin))
            start, words = begin, 0
        words += count
    runs.append((start, len(text)))
    return [(begin, begin + len(text[begin:end].rstrip())) for begin, end in runs]
