"""Labelled passages: read from JSONL, CSV, Parquet, Label Studio or doccano; checked; written as JSONL.

A passage is ``{"id", "lang", "event", "topics", "text"}``; further keys are kept. `event` names the story it belongs to, and keeps
passages about the same story on one side of every split. Only `text` and `topics` must be there: `id` defaults to file and line,
`event` to the id, `lang` to ``und``.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import PassageError, unknown_name
from model.language import UNDETERMINED

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".csv", ".parquet", ".json")
TOPIC_SEPARATOR = "|"
_COLUMNS = ("id", "lang", "event", "topics", "text")
_YES = {"1": True, "true": True, "yes": True, "x": True}
_NO = {"": False, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Passage:
    """One labelled passage; `where` is the file and line it was read from."""

    id: str
    text: str
    topics: tuple[str, ...]
    event: str
    lang: str = UNDETERMINED
    where: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The passage as a JSON object."""
        return {
            "id": self.id,
            "lang": self.lang,
            "event": self.event,
            "topics": list(self.topics),
            "text": self.text,
            **self.extra,
        }


Record = tuple[str, dict[str, Any] | PassageError]
"""Where a record stands, and its content or why it cannot be read."""


def read_passages(paths: Iterable[Path], topics: Sequence[str] | None = None) -> list[Passage]:
    """Reads every passage below the paths; PassageError at the first bad one, with file and line.

    With `topics`, a passage with any other topic is an error.
    """
    passages = []
    for passage in check_passages(paths, topics):
        if isinstance(passage, PassageError):
            raise passage
        passages.append(passage)
    if not passages:
        listed = ", ".join(map(str, paths))
        raise PassageError(f"{listed}: no passages")
    return passages


def check_passages(
    paths: Iterable[Path], topics: Sequence[str] | None = None
) -> Iterator[Passage | PassageError]:
    """As `read_passages`, but gives each error in its place and goes on."""
    known = None if topics is None else frozenset(topics)
    for path in _files(paths):
        for where, record in _records(path):
            if isinstance(record, PassageError):
                yield record
                continue
            try:
                passage = _passage(record, where)
                if known is not None:
                    _check_topics(passage, known)
            except PassageError as error:
                yield error
            else:
                yield passage


def text_key(text: str) -> str:
    """The same for texts that differ in spaces and case alone."""
    return hashlib.sha256(" ".join(text.lower().split()).encode("utf-8", "replace")).hexdigest()[
        :32
    ]


def data_digest(passages: Sequence[Passage]) -> str:
    """SHA-256 over what is learnt from the passages, whatever file they stand in."""
    whole = hashlib.sha256()
    for line in sorted(json.dumps([p.lang, p.event, sorted(p.topics), p.text]) for p in passages):
        whole.update(line.encode("utf-8"))
        whole.update(b"\n")
    return whole.hexdigest()


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = [
                p for p in sorted(path.rglob("*")) if p.is_file() and p.name.endswith(SUFFIXES)
            ]
            if not found:
                raise PassageError(f"{path}: no passages in this folder ({', '.join(SUFFIXES)})")
            yield from found
        elif not path.exists():
            raise PassageError(f"{path}: no such file or folder")
        elif not path.name.endswith(SUFFIXES):
            raise PassageError(f"{path}: not a format of passages ({', '.join(SUFFIXES)})")
        else:
            yield path


def _records(path: Path) -> Iterator[Record]:
    try:
        if path.name.endswith(".parquet"):
            yield from _parquet_records(path)
        elif path.name.endswith(".csv"):
            yield from _csv_records(path)
        elif path.name.endswith(".json"):
            yield from _label_studio_records(path)
        else:
            yield from _jsonl_records(path)
    except (OSError, EOFError) as error:
        yield (
            str(path),
            PassageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"),
        )


def _jsonl_records(path: Path) -> Iterator[Record]:
    with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            where = f"{path}:{number}"
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                yield where, PassageError(f"{where}: not UTF-8 at byte {error.start + 1}")
            except json.JSONDecodeError as error:
                yield where, PassageError(f"{where}: not JSON: {error.msg} at {error.colno}")
            except RecursionError:
                yield where, PassageError(f"{where}: not JSON: nested too deeply")
            else:
                yield where, _object(record, where)


def _object(record: object, where: str) -> dict[str, Any] | PassageError:
    """A JSON record with its labels under "topics"; doccano puts them under "label" or "labels"."""
    if not isinstance(record, dict):
        return PassageError(f"{where}: expected a JSON object, got {_kind(record)}")
    if "topics" not in record:
        for key in ("label", "labels"):
            if isinstance(record.get(key), list):
                return {
                    "topics": record[key],
                    **{other: value for other, value in record.items() if other != key},
                }
    return record


def _csv_records(path: Path) -> Iterator[Record]:
    csv.field_size_limit(sys.maxsize)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        yield str(path), PassageError(f"{path}: not UTF-8 at byte {error.start + 1}")
        return
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    columns = reader.fieldnames or []
    if "text" not in columns:
        where = f"{path}:1"
        yield where, PassageError(f'{where}: no column "text"; columns: {", ".join(columns)}')
        return
    wide = [] if "topics" in columns else [c for c in columns if c not in _COLUMNS]
    while True:
        where = f"{path}:{reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield where, PassageError(f"{where}: not CSV: {error}")
            return
        if row is None:
            return
        if None in row or None in row.values():
            yield where, PassageError(f"{where}: expected {len(columns)} fields")
            continue
        yield where, _csv_record(row, wide, where)


def _csv_record(row: dict[str, str], wide: list[str], where: str) -> dict[str, Any] | PassageError:
    """A row of CSV: topics in one column, separated by ``|``, or a column of 0 and 1 for each topic."""
    if not wide:
        return {**row, "topics": split_topics(row.get("topics", ""))}
    topics = []
    for column in wide:
        value = row[column].strip().lower()
        if value in _YES:
            topics.append(column)
        elif value not in _NO:
            return PassageError(
                f'{where}: column "{column}" holds "{row[column]}"; without a column "topics", '
                "every other column is a topic and holds 0 or 1"
            )
    return {**{c: row[c] for c in row if c in _COLUMNS}, "topics": topics}


def split_topics(joined: str) -> list[str]:
    """Topics of a CSV or Parquet cell."""
    return [topic.strip() for topic in joined.split(TOPIC_SEPARATOR) if topic.strip()]


def _parquet_records(path: Path) -> Iterator[Record]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(path)
        columns = table.schema_arrow.names
        if "text" not in columns:
            raise PassageError(f'{path}: no column "text"; columns: {", ".join(columns)}')
        number = 0
        for batch in table.iter_batches():
            for row in batch.to_pylist():
                number += 1
                topics = row.get("topics") or []
                if isinstance(topics, str):
                    topics = split_topics(topics)
                present = {key: value for key, value in row.items() if value is not None}
                yield f"{path}:{number}", {**present, "topics": topics}
    except PassageError as error:
        yield str(path), error
    except ArrowException as error:
        yield str(path), PassageError(f"{path}: not Parquet: {error}")


def _label_studio_records(path: Path) -> Iterator[Record]:
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        yield str(path), PassageError(f"{path}: not JSON: {error}")
        return
    if not isinstance(tasks, list):
        yield str(path), PassageError(f"{path}: expected a Label Studio export: a list of tasks")
        return
    for number, task in enumerate(tasks):
        where = f"{path}[{number}]"
        yield where, _label_studio_record(task, where)


def _label_studio_record(task: Any, where: str) -> dict[str, Any] | PassageError:
    """A task's data with the choices of its first annotation that was not cancelled."""
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        return PassageError(f'{where}: expected a task with "data"')
    annotations = [
        a
        for a in task.get("annotations") or []
        if isinstance(a, dict) and not a.get("was_cancelled")
    ]
    if not annotations:
        return PassageError(f"{where}: task has no annotation")
    topics: list[Any] = []
    for result in annotations[0].get("result") or []:
        if isinstance(result, dict) and isinstance(result.get("value"), dict):
            topics.extend(result["value"].get("choices") or [])
    return {"id": str(task.get("id", where)), **task["data"], "topics": topics}


def _passage(record: dict[str, Any], where: str) -> Passage:
    text = record.get("text")
    topics = record.get("topics")
    if not isinstance(text, str):
        raise PassageError(f'{where}: "text" must be a string, got {_kind(text)}')
    if not text.strip():
        raise PassageError(f"{where}: the text is empty")
    if not isinstance(topics, list) or not all(isinstance(t, str) for t in topics):
        raise PassageError(f'{where}: "topics" must be a list of strings')
    if any(not topic.strip() for topic in topics):
        raise PassageError(f"{where}: an empty topic")
    if len(set(topics)) != len(topics):
        raise PassageError(f"{where}: a topic stands there twice")
    identifier = _label(record, "id", where) or where
    return Passage(
        id=identifier,
        text=text,
        topics=tuple(topics),
        event=_label(record, "event", where) or identifier,
        lang=_label(record, "lang", where) or UNDETERMINED,
        where=where,
        extra={key: value for key, value in record.items() if key not in _COLUMNS},
    )


def _label(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise PassageError(f'{where}: "{key}" must be a string, got {_kind(value)}')
    return str(value)


def _check_topics(passage: Passage, known: frozenset[str]) -> None:
    for topic in passage.topics:
        if topic not in known:
            raise PassageError(f"{passage.where}: {unknown_name('topic', topic, sorted(known))}")


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    names |= {list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
