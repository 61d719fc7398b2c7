"""Texts from a file or a pipe, for the command line: plain text, JSONL or HTML."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.errors import PassageError
from service.articles import clean_html, split_passages

TEXT, JSONL, HTML = "text", "jsonl", "html"
_BY_SUFFIX = {
    ".txt": TEXT,
    ".md": TEXT,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".html": HTML,
    ".htm": HTML,
}


def read_input(source: str) -> Iterator[tuple[str | int, str]]:
    """Identifier and text of each passage in a file, or on standard input for ``-``.

    The format is told by the file's ending, else by the first character. Text and HTML are articles, read as ``/v1/articles`` reads them:
    HTML is cleaned, a paragraph is a passage and has its number in the article, and page furniture is left out. PassageError where the
    input cannot be read.
    """
    content = _content(source)
    kind = _BY_SUFFIX.get(Path(source).suffix.lower()) or _sniff(content)
    if kind == JSONL:
        yield from _jsonl(source, content)
        return
    article = clean_html(content) if kind == HTML else content
    for number, stretch in enumerate(split_passages(article), 1):
        if not stretch.furniture:
            yield number, stretch.text


def _content(source: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise PassageError(f"{source}: cannot be read: {error.strerror}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PassageError(f"{source}: not UTF-8 at byte {error.start + 1}") from error


def _sniff(content: str) -> str:
    first = content.lstrip()[:1]
    return {"{": JSONL, "<": HTML}.get(first, TEXT)


def _jsonl(source: str, content: str) -> Iterator[tuple[str | int, str]]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        try:
            record: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PassageError(f"{where}: not JSON: {error}") from None
        text = record.get("text") if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise PassageError(f'{where}: expected an object with a string "text"')
        identifier = record.get("id")
        yield identifier if isinstance(identifier, (str, int)) else number, text
