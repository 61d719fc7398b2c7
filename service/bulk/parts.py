"""One part: rows made out, split into passages, scored, and put into the bytes of an output file.

The same part gives the same bytes, whichever process makes it and however often.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from model.classifier import Classifier
from model.decisions import Decisions, reason_lists, topic_lists
from model.review import REASONS
from service.articles import clean_html, split_passages
from service.bulk import records
from service.bulk.output import DONE, REJECTS
from service.bulk.plan import ARTICLES, PARQUET, Plan
from service.bulk.records import Part, Reject, Rows
from service.bulk.storage import Storage
from service.results import Columns, classify_columns

_BATCH = 1000
_RESULT_COLUMNS = (
    "language",
    "topics",
    "scope",
    "scores",
    "needs_review",
    "reasons",
    "truncated",
    "vocabulary_coverage",
    "model",
)
_PLACE_COLUMNS = ("passage", "start", "end")
_INPUT_PREFIX = "input_"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A part that is done. `rows` are those read, `passages` those written; `sha256` is of the part's file."""

    part: str
    file: str
    row: int
    rows: int
    passages: int
    rejects: int
    bytes: int
    sha256: str
    last: bool
    weight: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A part scored, not yet in the output folder."""

    name: str
    content: Any
    rejects: bytes
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class _Places:
    """Where passages stand in their articles: the row of each, its number in its article, and its offsets in code points."""

    rows: list[int]
    numbers: list[int]
    starts: list[int]
    ends: list[int]


def finish(plan: Plan, part: Part, classifier: Classifier) -> Finished:
    """Scores a part."""
    rows = records.make_out(plan, part)
    n_rows = len(rows.texts) + len(rows.rejects)
    if plan.output_format == PARQUET and rows.table is None:
        records.to_table(plan, part, rows)
    places = None
    if plan.options.unit == ARTICLES:
        places = _split(plan, part, rows)
    columns = _score(plan, classifier, rows.texts)
    encode = _to_parquet if plan.output_format == PARQUET else _to_jsonl
    content = encode(plan, part, rows, places, columns, classifier)
    rejects = b"".join(
        orjson.dumps(asdict(reject)) + b"\n"
        for reject in sorted(rows.rejects, key=lambda reject: reject.row)
    )
    receipt = Receipt(
        part.name,
        part.file,
        part.row,
        n_rows,
        len(rows.texts),
        len(rows.rejects),
        len(content),
        hashlib.sha256(content).hexdigest(),
        part.last,
        part.weight,
    )
    ending = "parquet" if plan.output_format == PARQUET else plan.output_format
    return Finished(f"{part.name}.{ending}", content, rejects, receipt)


def store(output: Storage, finished: Finished) -> Receipt:
    """Puts a part into the output folder: rejects, the part, and last its receipt."""
    name = finished.receipt.part
    if finished.rejects:
        output.write(f"{REJECTS}/{name}.jsonl", finished.rejects)
    output.write(finished.name, finished.content)
    output.write(f"{DONE}/{name}.json", orjson.dumps(asdict(finished.receipt)))
    return finished.receipt


def _split(plan: Plan, part: Part, rows: Rows) -> _Places:
    """Replaces the articles of a part by their passages; an article without any becomes a reject."""
    places = _Places([], [], [], [])
    texts = []
    for place, article in enumerate(rows.texts):
        cleaned = clean_html(article) if plan.options.html else article
        stretches = split_passages(cleaned)
        if not stretches:
            reject = Reject(part.file, rows.numbers[place], "no passage in this article")
            rows.rejects.append(reject)
        for number, stretch in enumerate(stretches, 1):
            texts.append(stretch.text)
            places.rows.append(place)
            places.numbers.append(number)
            places.starts.append(stretch.start)
            places.ends.append(stretch.end)
    rows.texts = texts
    return places


def _score(plan: Plan, classifier: Classifier, texts: Sequence[str]) -> Columns:
    options = plan.options
    first, *others = [
        classify_columns(
            classifier,
            texts[start : start + _BATCH],
            options.operating_point,
            options.max_characters,
        )
        for start in range(0, max(len(texts), 1), _BATCH)
    ]
    return Columns(
        first.decisions.followed_by([columns.decisions for columns in others]),
        np.concatenate([columns.truncated for columns in (first, *others)]),
    )


def _renamed(names: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Names for the input's columns that are not those of the results: the prefix comes before one that is."""
    found: dict[str, str] = {}
    for name in names:
        new = name
        while new in taken or (new != name and new in names):
            new = _INPUT_PREFIX + new
        found[name] = new
    return found


def _taken(plan: Plan) -> tuple[str, ...]:
    return (*_PLACE_COLUMNS, *_RESULT_COLUMNS) if plan.options.unit == ARTICLES else _RESULT_COLUMNS


def _to_parquet(
    plan: Plan,
    part: Part,
    rows: Rows,
    places: _Places | None,
    columns: Columns,
    classifier: Classifier,
) -> pa.Buffer:
    table = _carried(plan, part, rows, places)
    if places is not None:
        for name, values in zip(
            _PLACE_COLUMNS, (places.numbers, places.starts, places.ends), strict=True
        ):
            table = table.append_column(name, pa.array(values, pa.int64()))
    for name, array in _arrays(columns, classifier).items():
        table = table.append_column(name, array)
    unlike = {plan.options.text_column, plan.id_column or "id", "scope"}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=[
            path
            for path in _parquet_paths(table.schema)
            if path not in unlike and not path.startswith("scores.")
        ],
    )
    return sink.getvalue()


def _carried(plan: Plan, part: Part, rows: Rows, places: _Places | None) -> pa.Table:
    """The input's columns, a row a passage."""
    table = rows.table
    assert table is not None  # noqa: S101 - made by `finish`
    if plan.id_column is None and "id" not in table.column_names:
        identifiers = [records.row_name(part, number) for number in rows.numbers]
        table = table.add_column(0, "id", pa.array(identifiers, pa.string()))
    text_place = table.column_names.index(plan.options.text_column)
    if places is not None:
        table = table.take(pa.array(places.rows, pa.int64()))
        texts = pa.array(rows.texts, pa.large_string())
        table = table.set_column(text_place, plan.options.text_column, texts)
    if plan.options.drop_text:
        table = table.remove_column(text_place)
    renamed = _renamed(table.column_names, _taken(plan))
    return table.rename_columns([renamed[name] for name in table.column_names])


def _arrays(columns: Columns, classifier: Classifier) -> dict[str, pa.Array]:
    decisions = columns.decisions
    n = len(decisions.scores)
    topics = list(classifier.topics)
    places, patterns = decisions.reasons.nonzero()
    n_reasons = np.bincount(places, minlength=n)
    scores = [pa.array(np.ascontiguousarray(column)) for column in decisions.scores.T]
    return {
        "language": pa.array(decisions.languages, pa.string()),
        "topics": _lists(topics, decisions.given, decisions.n_given),
        "scope": pa.array(decisions.scope),
        "scores": pa.StructArray.from_arrays(scores, names=topics),
        "needs_review": pa.array(decisions.needs_review),
        "reasons": _lists(REASONS, patterns, n_reasons),
        "truncated": pa.array(columns.truncated),
        "vocabulary_coverage": pa.array(decisions.coverage),
        "model": pa.repeat(pa.scalar(classifier.version), n),
    }


def _lists(names: Sequence[str], chosen: Any, lengths: Any) -> pa.ListArray:
    """Lists of names from their places, text after text."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    values = pa.array(names, pa.string()).take(pa.array(chosen, pa.int64()))
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _parquet_paths(schema: pa.Schema) -> list[str]:
    """The paths of a schema's columns as Parquet counts them."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    stored = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [stored.column(place).path for place in range(len(stored))]


def _to_jsonl(
    plan: Plan,
    part: Part,
    rows: Rows,
    places: _Places | None,
    columns: Columns,
    classifier: Classifier,
) -> Any:
    objects = rows.objects if rows.table is None else _objects(plan, part, rows)
    taken = _taken(plan)
    lines = []
    for i, result in enumerate(_results(columns.decisions, columns, classifier)):
        carried = objects[i if places is None else places.rows[i]]
        entry = carried
        if not carried.keys().isdisjoint(taken):
            renamed = _renamed(list(carried), taken)
            entry = {renamed[name]: value for name, value in carried.items()}
        if places is not None:
            where = places.numbers[i], places.starts[i], places.ends[i]
            entry = {**entry, plan.options.text_column: rows.texts[i]}
            entry.update(zip(_PLACE_COLUMNS, where, strict=True))
        if plan.options.drop_text:
            entry = {k: v for k, v in entry.items() if k != plan.options.text_column}
        lines.append(orjson.dumps({**entry, **result}, default=_plain) + b"\n")
    return _COMPRESS[plan.output_format](b"".join(lines))


def _objects(plan: Plan, part: Part, rows: Rows) -> list[dict[str, Any]]:
    assert rows.table is not None  # noqa: S101 - asked for tables only
    objects: list[dict[str, Any]] = rows.table.to_pylist()
    if plan.id_column is not None:
        return objects
    return [
        {"id": records.row_name(part, number), **entry}
        for number, entry in zip(rows.numbers, objects, strict=True)
    ]


def _results(
    decisions: Decisions, columns: Columns, classifier: Classifier
) -> Iterator[dict[str, Any]]:
    """The Results of the contract, without their identifier."""
    values = zip(
        decisions.languages,
        topic_lists(decisions, classifier.topics),
        decisions.scope.tolist(),
        decisions.scores.tolist(),
        reason_lists(decisions),
        columns.truncated.tolist(),
        decisions.coverage.tolist(),
        strict=True,
    )
    for language, topics, scope, scores, reasons, truncated, coverage in values:
        yield {
            "language": language,
            "topics": topics,
            "scope": scope,
            "scores": dict(zip(classifier.topics, scores, strict=True)),
            "needs_review": bool(reasons),
            "reasons": reasons,
            "truncated": truncated,
            "vocabulary_coverage": coverage,
            "model": classifier.version,
        }


def _plain(value: Any) -> Any:
    """What JSON has no word for: decimals and durations as strings, bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (Decimal, timedelta)):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _compressed(codec: str) -> Callable[[bytes], Any]:
    def compress(content: bytes) -> Any:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(content)
        return sink.getvalue()

    return compress


_COMPRESS: dict[str, Callable[[bytes], Any]] = {
    "jsonl": bytes,
    "jsonl.gz": _compressed("gzip"),
    "jsonl.zst": _compressed("zstd"),
}
