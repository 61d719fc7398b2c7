"""What is wrong with a set of passages, beyond what keeps them from being read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.errors import PassageError
from training.passages import Passage, check_passages, text_key

_SHINGLE = 4
_NEAR = 0.6
_COMMON = 200
_WORDS = re.compile(r"\w+")


@dataclass(slots=True)
class Findings:
    """The passages that could be read, and what is wrong: a line a finding, each starting with file and line."""

    passages: list[Passage] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def validate(paths: Iterable[Path], topics: Sequence[str] | None) -> Findings:
    """Reads all passages below the paths and looks for unreadable ones, unknown topics, duplicates and leaks between events."""
    findings = Findings()
    for passage in check_passages(paths, topics):
        if isinstance(passage, PassageError):
            findings.errors.append(str(passage))
        else:
            findings.passages.append(passage)
    findings.errors += _duplicate_ids(findings.passages)
    findings.errors += _duplicate_texts(findings.passages)
    findings.errors += _near_duplicates(findings.passages)
    findings.errors += _split_events(findings.passages)
    return findings


def _duplicate_ids(passages: Sequence[Passage]) -> Iterator[str]:
    first: dict[str, Passage] = {}
    for passage in passages:
        other = first.setdefault(passage.id, passage)
        if other is not passage:
            yield f'{passage.where}: id "{passage.id}" stands at {other.where} too'


def _duplicate_texts(passages: Sequence[Passage]) -> Iterator[str]:
    first: dict[str, Passage] = {}
    for passage in passages:
        other = first.setdefault(text_key(passage.text), passage)
        if other is passage:
            continue
        if set(other.topics) == set(passage.topics):
            yield f"{passage.where}: duplicate of {other.where}"
        else:
            yield (
                f"{passage.where}: duplicate of {other.where}, with other topics: "
                f"{_listed(passage)} there {_listed(other)}"
            )


def _near_duplicates(passages: Sequence[Passage]) -> Iterator[str]:
    """Pairs that share 60 % of their runs of four words (Jaccard); worst where they belong to two events, which leaks between folds."""
    shingles = [_shingles(passage.text) for passage in passages]
    holders: dict[int, list[int]] = defaultdict(list)
    for number, found in enumerate(shingles):
        shared: dict[int, int] = defaultdict(int)
        for shingle in found:
            for other in holders[shingle]:
                shared[other] += 1
            if len(holders[shingle]) < _COMMON:
                holders[shingle].append(number)
        for other, count in shared.items():
            near = count / (len(found) + len(shingles[other]) - count) >= _NEAR
            here, there = passages[number], passages[other]
            if near and text_key(here.text) != text_key(there.text):
                events = "" if here.event == there.event else ", of another event"
                yield f"{here.where}: nearly the same as {there.where}{events}"


def _shingles(text: str) -> set[int]:
    words = _WORDS.findall(text.lower())
    return {hash(tuple(words[i : i + _SHINGLE])) for i in range(len(words) - _SHINGLE + 1)}


def _split_events(passages: Sequence[Passage]) -> Iterator[str]:
    """Events on both sides of a split, where passages name theirs under the key "split"."""
    first: dict[str, Passage] = {}
    for passage in passages:
        split = passage.extra.get("split")
        if split is None:
            continue
        other = first.setdefault(passage.event, passage)
        if other.extra["split"] != split:
            yield (
                f'{passage.where}: event "{passage.event}" is in split "{split}", '
                f'and in "{other.extra["split"]}" at {other.where}'
            )


def _listed(passage: Passage) -> str:
    return ", ".join(passage.topics) or "no topic"
