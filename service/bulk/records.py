"""Rows in: files read in parts of some thousand rows, and the rows of a part made out in the process that scores them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import BulkError
from service.bulk.storage import Storage

if TYPE_CHECKING:
    from service.bulk.plan import InputFile, Plan, Stretch

LONGEST_ROW = 16 * 2**20
"""Bytes; a longer line or field goes to the rejects, unread."""

_PART_BYTES = 16 * 2**20
_BATCH_ROWS = 512
_EXCERPT = 1000
_BLOCK = 2**20
_TAB = ".tsv"


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a stretch as they stand in the file, to be made out elsewhere.

    `content` is Arrow IPC bytes, lines or fields; `row` the number of the first row; `weight` what of the plan's work it is; `last`
    whether it ends its stretch.
    """

    name: str
    file: str
    row: int
    content: Any
    weight: int
    last: bool


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be used: where it stands, why, and how it begins."""

    file: str
    row: int
    reason: str
    raw: str | None = None


@dataclass(slots=True)
class Rows:
    """The usable rows of a part: the texts, and what is carried through as a table or as objects."""

    texts: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    table: pa.Table | None = None
    objects: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


_Group = tuple[list[Any], int, int]
"""The contents of a part, their number of rows, and the weight behind them."""
_Block = tuple[Any, int, int, int]
"""Rows that are not divided: the content, number of rows, bytes of text, and the weight behind them since the stretch began."""


def part_name(stretch: Stretch, number: int) -> str:
    """The name of a part of a stretch; parts in the order of their names are rows in the order of the input."""
    return f"part-{stretch.file:05}-{stretch.number:05}-{number:05}"


def read_parts(plan: Plan, stretch: Stretch, done: Container[str]) -> Iterator[Part]:
    """The parts of a stretch that are not done.

    Where a part ends depends on the rows alone, so a run that was interrupted finds the same parts again. BulkError where the file is
    damaged or changes meanwhile.
    """
    storage = Storage(plan.source)
    file = plan.files[stretch.file]
    try:
        blocks = _READERS[plan.kind](storage, plan, stretch)
        yield from _parts(plan, stretch, blocks, done)
    except (pa.ArrowException, EOFError) as error:
        raise BulkError(f"{file.path}: damaged or cut short: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise BulkError(f"{file.path}: damaged or cut short: {error}") from error
    plan.check_unchanged(storage, file)


def _parts(
    plan: Plan, stretch: Stretch, blocks: Iterator[_Block], done: Container[str]
) -> Iterator[Part]:
    storage, file = Storage(plan.source), plan.files[stretch.file]
    row, behind = stretch.row, 0
    groups = _groups(blocks, plan.options.part_rows)
    following: _Group | None = next(groups, ([], 0, stretch.weight))
    number = 0
    while following is not None:
        (contents, rows, weight), following = following, next(groups, None)
        weight = stretch.weight if following is None else weight
        name = part_name(stretch, number)
        if name not in done:
            plan.check_unchanged(storage, file)
            content = _to_ipc(contents) if plan.kind == "parquet" else contents
            yield Part(name, file.name, row, content, weight - behind, following is None)
        row, behind, number = row + rows, weight, number + 1


def _groups(blocks: Iterator[_Block], part_rows: int) -> Iterator[_Group]:
    contents: list[Any] = []
    rows = size = weight = 0
    for content, n_rows, n_bytes, weight in blocks:
        contents.append(content)
        rows += n_rows
        size += n_bytes
        if rows >= part_rows or size >= _PART_BYTES:
            yield contents, rows, weight
            contents, rows, size = [], 0, 0
    if contents:
        yield contents, rows, weight


# Parquet


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def open_parquet(storage: Storage, path: str) -> pq.ParquetFile:
    """A Parquet file to read piece by piece; BulkError where it is none."""
    source = path if storage.is_local else storage.open(path)
    try:
        return pq.ParquetFile(source, memory_map=False, buffer_size=_BLOCK, pre_buffer=False)
    except pa.ArrowException as error:
        raise BulkError(f"{path}: not a Parquet file, or cut short: {error}") from error


def _read_parquet(storage: Storage, plan: Plan, stretch: Stretch) -> Iterator[_Block]:
    behind = 0
    with open_parquet(storage, plan.files[stretch.file].path) as parquet:
        for batch in parquet.iter_batches(
            _batch_rows(plan.options.part_rows),
            row_groups=range(stretch.start, stretch.stop),
            use_threads=False,
        ):
            behind += batch.num_rows
            texts = _plain_text(batch.column(plan.options.text_column))
            yield batch, batch.num_rows, pc.sum(pc.binary_length(texts)).as_py() or 0, behind


def _batch_rows(part_rows: int) -> int:
    """Rows read at once: a whole part in as few equal batches as their bound allows."""
    return math.ceil(part_rows / math.ceil(part_rows / _BATCH_ROWS))


def _plain_text(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _to_ipc(batches: Sequence[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _rows_of_parquet(plan: Plan, part: Part) -> Rows:
    table = pa.ipc.open_stream(part.content).read_all()
    texts = table.column(plan.options.text_column).combine_chunks()
    texts = _plain_text(texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts)
    rows = Rows(numbers=list(range(part.row, part.row + table.num_rows)))
    if texts.null_count:
        usable = pc.is_valid(texts)
        for place in pc.indices_nonzero(pc.invert(usable)).to_pylist():
            reason = f'column "{plan.options.text_column}" is null'
            rows.rejects.append(Reject(part.file, part.row + place, reason))
        table, texts = table.filter(usable), texts.filter(usable)
        rows.numbers = [rows.numbers[place] for place in pc.indices_nonzero(usable).to_pylist()]
    rows.table = table.replace_schema_metadata(None)
    rows.texts = texts.to_pylist()
    return rows


# Lines


def _open_bytes(storage: Storage, file: InputFile) -> tuple[IO[bytes], io.BufferedReader]:
    """The file as it is stored, whose place tells how far it is read, and the same decompressed."""
    stored = storage.open(file.path)
    if file.codec is None:
        raw: Any = stored
        return stored, io.BufferedReader(raw, _BLOCK)
    stream = pa.CompressedInputStream(pa.PythonFile(stored, "r"), file.codec)
    return stored, io.BufferedReader(stream, _BLOCK)


def _read_lines(storage: Storage, plan: Plan, stretch: Stretch) -> Iterator[_Block]:
    file = plan.files[stretch.file]
    stored, stream = _open_bytes(storage, file)
    with stored, stream:
        if stretch.start:
            stream.seek(stretch.start)
        position = stretch.start
        for line, size in _lines(stream):
            position += size
            behind = position if file.codec is None else stored.tell()
            yield line, 1, size, behind - stretch.start
            if file.codec is None and position >= stretch.stop:
                return


def _lines(stream: io.BufferedReader) -> Iterator[tuple[bytes | None, int]]:
    """Lines and their sizes; None for one that is longer than `LONGEST_ROW`."""
    while line := stream.readline(LONGEST_ROW):
        size = len(line)
        if size < LONGEST_ROW or line.endswith(b"\n"):
            yield line, size
            continue
        while rest := stream.readline(_BLOCK):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        yield None, size


def end_of_run(stream: IO[bytes], start: int, size: int) -> tuple[int, int]:
    """Where the run of whole lines ends that is at least `size` bytes long, and how many lines it has."""
    stream.seek(start)
    stop = start
    lines = 0
    while block := stream.read(_BLOCK):
        if stop - start + len(block) < size:
            stop += len(block)
            lines += block.count(b"\n")
            continue
        end = block.find(b"\n", max(size - (stop - start) - 1, 0)) + 1
        if end:
            return stop + end, lines + block.count(b"\n", 0, end)
        stop += len(block)
        lines += block.count(b"\n")
    return stop, lines + 1


def _rows_of_lines(plan: Plan, part: Part) -> Rows:
    rows = Rows()
    for number, line in enumerate(part.content, part.row):
        if line is None:
            reason = f"longer than {LONGEST_ROW} bytes"
            rows.rejects.append(Reject(part.file, number, reason))
            continue
        if line.isspace():
            continue
        found = _object(line.removeprefix(b"\xef\xbb\xbf"), plan.options.text_column)
        if isinstance(found, str):
            raw = line[:_EXCERPT].decode("utf-8", "replace").rstrip("\n")
            rows.rejects.append(Reject(part.file, number, found, raw))
            continue
        _add_object(plan, part, rows, number, found)
    return rows


def _object(line: bytes, text_column: str) -> dict[str, Any] | str:
    """The object on a line, or why it is of no use."""
    try:
        found = orjson.loads(line)
    except ValueError as error:
        return f"not JSON: {error}"
    if not isinstance(found, dict):
        return f"expected an object, got {type(found).__name__}"
    text = found.get(text_column)
    if text is None:
        return f'no "{text_column}"'
    if not isinstance(text, str):
        return f'"{text_column}": expected a string, got {type(text).__name__}'
    return found


def _add_object(plan: Plan, part: Part, rows: Rows, number: int, found: dict[str, Any]) -> None:
    if plan.id_column is None:
        found = {"id": row_name(part, number), **found}
    elif found.get(plan.id_column) is None:
        found = {**found, plan.id_column: row_name(part, number)}
    rows.objects.append(found)
    rows.texts.append(found[plan.options.text_column])
    rows.numbers.append(number)


def row_name(part: Part, number: int) -> str:
    """What stands for a row that has no identifier of its own."""
    return f"{part.file}:{number}"


def sample_jsonl(storage: Storage, file: InputFile, n_rows: int) -> list[dict[str, Any]]:
    """The first objects of a file; lines that hold none are passed over."""
    sample = []
    stored, stream = _open_bytes(storage, file)
    try:
        with stored, stream:
            for line, _ in islice(_lines(stream), n_rows):
                try:
                    found = orjson.loads((line or b"").removeprefix(b"\xef\xbb\xbf"))
                except ValueError:
                    continue
                if isinstance(found, dict):
                    sample.append(found)
    except OSError as error:
        if error.errno is not None:
            raise  # one without a number is damage, which the run itself tells with what it read before
    return sample


# Columns of objects

_TYPES: dict[frozenset[type], str] = {
    frozenset((str,)): "string",
    frozenset((int,)): "int64",
    frozenset((float,)): "double",
    frozenset((int, float)): "double",
    frozenset((bool,)): "bool",
    frozenset((str, int)): "string",
    frozenset((list,)): "strings",
}
_ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "strings": pa.list_(pa.string()),
    "json": pa.string(),
}
OTHER = "other_columns"
"""The column that holds, as JSON, the keys that no object of the sample had."""


def column_types(sample: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Names and types of the columns that hold the objects: string, int64, double, bool, strings, or json where nothing narrower does."""
    found: dict[str, set[type]] = {}
    for entry in sample:
        for name, value in entry.items():
            kinds = found.setdefault(name, set())
            if _is_strings(value):
                kinds.add(list)
            elif value is not None:
                kinds.add(object if isinstance(value, list) else type(value))
    return [(name, _TYPES.get(frozenset(kinds), "json")) for name, kinds in found.items()]


def to_table(plan: Plan, part: Part, rows: Rows) -> None:
    """Makes the table of rows that came as objects; a row that does not fit the columns becomes a reject."""
    known = dict(plan.columns)
    if plan.id_column is None:
        known = {"id": "string", **known}
    elif plan.id_column not in known:
        known[plan.id_column] = "string"
    misfits = {
        place: problem
        for place, entry in enumerate(rows.objects)
        if (problem := _misfit(entry, known)) is not None
    }
    if misfits:
        for place, problem in misfits.items():
            rows.rejects.append(Reject(part.file, rows.numbers[place], problem))
        keep = [place for place in range(len(rows.objects)) if place not in misfits]
        rows.objects = [rows.objects[place] for place in keep]
        rows.texts = [rows.texts[place] for place in keep]
        rows.numbers = [rows.numbers[place] for place in keep]
    columns = {
        name: pa.array([_cell(entry.get(name), kind) for entry in rows.objects], _ARROW[kind])
        for name, kind in known.items()
    }
    if plan.kind == "jsonl":
        other = OTHER
        while other in known:
            other += "_"
        columns[other] = pa.array([_others(entry, known) for entry in rows.objects], pa.string())
    rows.table = pa.table(columns)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_FITS: dict[str, Callable[[Any], bool]] = {
    "int64": lambda value: type(value) is int and -(2**63) <= value < 2**63,
    "double": lambda value: type(value) in {int, float},
    "bool": lambda value: type(value) is bool,
    "strings": _is_strings,
}


def _misfit(entry: dict[str, Any], known: dict[str, str]) -> str | None:
    for name, kind in known.items():
        value = entry.get(name)
        if value is None or kind in {"string", "json"}:
            continue
        if not _FITS[kind](value):
            return f'column "{name}": expected {kind}, got {str(value)[:100]!r}'
    return None


def _cell(value: Any, kind: str) -> Any:
    if value is None or (kind != "json" and not (kind == "string" and type(value) is not str)):
        return value
    return orjson.dumps(value).decode()


def _others(entry: dict[str, Any], known: dict[str, str]) -> str | None:
    unknown = {name: value for name, value in entry.items() if name not in known}
    return orjson.dumps(unknown).decode() if unknown else None


# CSV


def _csv_rows(storage: Storage, file: InputFile) -> Iterator[tuple[list[str] | str, int]]:
    """Rows, or what is wrong with one, with how far the stored file is read."""
    csv.field_size_limit(LONGEST_ROW)
    stored, stream = _open_bytes(storage, file)
    with stored, io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="") as text:
        tab = any(file.path.lower().removesuffix(end).endswith(_TAB) for end in ("", ".gz", ".zst"))
        reader = csv.reader(text, delimiter="\t" if tab else ",")
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield f"not CSV: {error}", stored.tell()
                continue
            yield row, stored.tell()


def csv_header(storage: Storage, file: InputFile) -> list[str] | None:
    """The names of the columns; None where the file is empty."""
    try:
        header, _ = next(_csv_rows(storage, file), (None, 0))
    except OSError as error:
        if error.errno is not None:
            raise
        raise BulkError(f"{file.path}: damaged or cut short: {error}") from error
    if isinstance(header, str):
        raise BulkError(f"{file.path}:1: {header}")
    return header


def _read_csv(storage: Storage, plan: Plan, stretch: Stretch) -> Iterator[_Block]:
    rows = _csv_rows(storage, plan.files[stretch.file])
    for row, behind in islice(rows, 1, None):
        yield row, 1, sum(map(len, row)), behind


def _rows_of_csv(plan: Plan, part: Part) -> Rows:
    names = [name for name, _ in plan.columns]
    rows = Rows()
    for number, fields in enumerate(part.content, part.row):
        problem = fields if isinstance(fields, str) else _problem_of_fields(fields, len(names))
        if problem == _BLANK:
            continue
        if problem is not None:
            raw = None if isinstance(fields, str) else ",".join(fields)[:_EXCERPT]
            safe = raw and raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            rows.rejects.append(Reject(part.file, number, problem, safe))
            continue
        _add_object(plan, part, rows, number, dict(zip(names, fields, strict=True)))
    return rows


_BLANK = ""


def _problem_of_fields(fields: list[str], expected: int) -> str | None:
    if not fields:
        return _BLANK
    if len(fields) != expected:
        return f"{len(fields)} fields, expected {expected}"
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return "not UTF-8"
    return None


_READERS = {"parquet": _read_parquet, "jsonl": _read_lines, "csv": _read_csv}
_ROWS = {"parquet": _rows_of_parquet, "jsonl": _rows_of_lines, "csv": _rows_of_csv}


def make_out(plan: Plan, part: Part) -> Rows:
    """The usable rows of a part, and those that are not."""
    return _ROWS[plan.kind](plan, part)
