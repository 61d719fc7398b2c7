"""What a run does, fixed before it starts: files, stretches that can be read by themselves, columns, model, options.

The plan is written into the output folder. A later run makes its own and goes on only where both are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from model.errors import BulkError
from service.bulk import records
from service.bulk.storage import Storage

FORMAT = 1
PASSAGES, ARTICLES = "passages", "articles"
PARQUET, JSONL, CSV = "parquet", "jsonl", "csv"
OUTPUT_FORMATS = (PARQUET, JSONL, "jsonl.gz", "jsonl.zst")

_BY_SUFFIX = {
    ".parquet": PARQUET,
    ".pq": PARQUET,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".csv": CSV,
    ".tsv": CSV,
}
_CODECS = {".gz": "gzip", ".zst": "zstd"}
_STRETCH_BYTES = 64 * 2**20
_STRETCH_PARTS = 10
_SAMPLE_ROWS = 1000
_SAMPLE_FILES = 20


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for. `id_column` None: the column "id", or file and row where there is none."""

    text_column: str = "text"
    id_column: str | None = None
    unit: str = PASSAGES
    html: bool = False
    drop_text: bool = False
    output_format: str | None = None
    operating_point: str = "balanced"
    part_rows: int = 10_000
    max_characters: int = 100_000


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input; `name` is its path below what all have in common, `codec` None where it is not compressed."""

    path: str
    name: str
    kind: str
    codec: str | None
    size: int
    mark: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a file that can be read without the rest: row groups, bytes, or the whole file.

    `start` and `stop` count row groups or bytes; `row` is the number of its first row, from 1; `weight` its share of the work, in
    rows or bytes.
    """

    file: int
    number: int
    start: int
    stop: int
    row: int
    weight: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A run. `columns` are names and types of what is carried through where the input itself has none that are binding."""

    source: str
    options: Options
    model: str
    digest: str
    kind: str
    output_format: str
    id_column: str | None
    columns: tuple[tuple[str, str], ...]
    files: tuple[InputFile, ...]
    stretches: tuple[Stretch, ...]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the output folder."""
        return {"format": FORMAT, **asdict(self)}

    @property
    def weight(self) -> int:
        """All of the work, in rows or bytes."""
        return sum(stretch.weight for stretch in self.stretches)

    def check_unchanged(self, storage: Storage, file: InputFile) -> None:
        """BulkError where a file is no longer what it was when the run began."""
        if storage.stamp(file.path) != (file.size, file.mark):
            raise BulkError(
                f"{file.path}: changed while it was read; "
                "run again with --restart when it has come to rest"
            )


def make_plan(source: str, options: Options, model: str, digest: str) -> Plan:
    """Looks at the input and plans its run; BulkError names the file and what is wrong with it."""
    storage = Storage(source)
    files = _input_files(storage)
    kind = files[0].kind
    columns, stretches, id_column = _LOOKS[kind](storage, files, options)
    return Plan(
        source,
        options,
        model,
        digest,
        kind,
        options.output_format or (PARQUET if kind == PARQUET else JSONL),
        id_column,
        tuple(columns),
        tuple(files),
        tuple(stretches),
    )


def read_plan(content: bytes, where: str) -> Plan:
    """A plan from an output folder; BulkError where it is none that this program reads."""
    try:
        stored = json.loads(content)
        if stored.pop("format") != FORMAT:
            raise BulkError(f"{where}: a plan of another release; use --restart")
        return Plan(
            **{
                **stored,
                "options": Options(**stored["options"]),
                "columns": tuple((name, kind) for name, kind in stored["columns"]),
                "files": tuple(InputFile(**file) for file in stored["files"]),
                "stretches": tuple(Stretch(**stretch) for stretch in stored["stretches"]),
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BulkError(f"{where}: not a plan: {error}; use --restart") from error


def difference(old: Plan, new: Plan) -> str | None:
    """What a run may not go on for, in words; None where both plans are the same."""
    if (old.model, old.digest) != (new.model, new.digest):
        return f"the model changed: {old.model}, now {new.model}"
    before, now = ({file.path: file for file in plan.files} for plan in (old, new))
    for path in sorted(before.keys() | now.keys()):
        if path not in now:
            return f"the input changed: {path} is gone"
        if path not in before:
            return f"the input changed: {path} is new"
        if before[path] != now[path]:
            return f"the input changed: {path}"
    for field in fields(Options):
        was, wanted = getattr(old.options, field.name), getattr(new.options, field.name)
        if was != wanted:
            return f"{field.name} was {was!r}, now {wanted!r}"
    return None if old == new else "the plan changed"


def _input_files(storage: Storage) -> list[InputFile]:
    paths = storage.files()
    known = [path for path in paths if _kind(path)[0] is not None]
    if not known:
        endings = ", ".join((*_BY_SUFFIX, *_CODECS))
        what = "holds no file" if not paths else "has no file"
        raise BulkError(f"{storage.address}: {what} that ends in one of {endings}")
    common = _common_folder(known)
    files = []
    for path in known:
        kind, codec = _kind(path)
        files.append(
            InputFile(path, path.removeprefix(common), str(kind), codec, *storage.stamp(path))
        )
    for file in files:
        if file.kind != files[0].kind:
            raise BulkError(
                f"{file.path}: is {file.kind}, {files[0].path} is {files[0].kind}; "
                "one run reads one of them: name it with a glob"
            )
        with storage.open(file.path):
            pass  # a file that may not be read stops the run before it starts
    return files


def _kind(path: str) -> tuple[str | None, str | None]:
    *_, before, last = ("", "", *PurePosixPath(path).suffixes)
    if last.lower() in _CODECS:
        kind = _BY_SUFFIX.get(before.lower())
        return (None, None) if kind == PARQUET else (kind, _CODECS[last.lower()])
    return _BY_SUFFIX.get(last.lower()), None


def _common_folder(paths: Sequence[str]) -> str:
    folders = [path.split("/")[:-1] for path in paths]
    shared = []
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared) + "/" if shared else ""


_Look = tuple[list[tuple[str, str]], list[Stretch], str | None]


def _look_at_parquet(storage: Storage, files: Sequence[InputFile], options: Options) -> _Look:
    import pyarrow as pa

    first: pa.Schema | None = None
    stretches: list[Stretch] = []
    for number, file in enumerate(files):
        parquet = records.open_parquet(storage, file.path)
        schema = parquet.schema_arrow.remove_metadata()
        first = schema if first is None else first
        if not schema.equals(first):
            raise BulkError(f"{file.path}: {_schema_difference(first, schema, files[0].path)}")
        sizes = [
            parquet.metadata.row_group(group).num_rows
            for group in range(parquet.metadata.num_row_groups)
        ]
        stretches += _runs_of_groups(number, sizes, _STRETCH_PARTS * options.part_rows)
    assert first is not None  # noqa: S101 - there is a file at least
    _check_columns(files[0].path, first.names, options)
    kind = first.field(options.text_column).type
    if not records.is_text(kind):
        raise BulkError(
            f'{files[0].path}: column "{options.text_column}" is {kind}, expected string'
        )
    columns = [(field.name, str(field.type)) for field in first]
    return columns, stretches, _id_column(first.names, options)


def _runs_of_groups(file: int, sizes: Sequence[int], fewest: int) -> Iterator[Stretch]:
    """Row groups in runs of some rows; a larger group is a run by itself."""
    start = number = rows = 0
    row = 1
    for group, size in enumerate(sizes):
        rows += size
        if rows and (rows >= fewest or group == len(sizes) - 1):
            yield Stretch(file, number, start, group + 1, row, rows)
            start, number, row, rows = group + 1, number + 1, row + rows, 0


def _schema_difference(first: Any, other: Any, where: str) -> str:
    for field in first:
        place = other.get_field_index(field.name)
        if place < 0:
            return f'has no column "{field.name}", {where} has'
        if other.field(place).type != field.type:
            return f'column "{field.name}" is {other.field(place).type}, in {where} {field.type}'
    extra = [name for name in other.names if name not in first.names]
    return f'has a column "{extra[0]}", {where} has not' if extra else "has other columns"


def _look_at_jsonl(storage: Storage, files: Sequence[InputFile], options: Options) -> _Look:
    sample: list[dict[str, Any]] = []
    for file in files[:_SAMPLE_FILES]:
        sample += records.sample_jsonl(storage, file, _SAMPLE_ROWS // min(len(files), 5))
    columns = records.column_types(sample)
    if sample:
        _check_columns(files[0].path, [name for name, _ in columns], options)
    stretches = [
        stretch
        for number, file in enumerate(files)
        for stretch in _runs_of_lines(storage, number, file)
    ]
    return columns, stretches, options.id_column or "id"


def _runs_of_lines(storage: Storage, number: int, file: InputFile) -> Iterator[Stretch]:
    """Runs of whole lines of some size; a compressed file can only be read from its beginning."""
    if file.codec is not None or file.size <= _STRETCH_BYTES:
        if file.size:
            yield Stretch(number, 0, 0, file.size, 1, file.size)
        return
    row = 1
    with storage.open(file.path) as stream:
        start = run = 0
        while start < file.size:
            stop, lines = records.end_of_run(stream, start, _STRETCH_BYTES)
            yield Stretch(number, run, start, stop, row, stop - start)
            start, run, row = stop, run + 1, row + lines


def _look_at_csv(storage: Storage, files: Sequence[InputFile], options: Options) -> _Look:
    first: list[str] | None = None
    for file in files:
        header = records.csv_header(storage, file)
        if header is None:
            continue
        first = header if first is None else first
        if header != first:
            raise BulkError(
                f"{file.path}: columns {', '.join(header)}; {files[0].path} has {', '.join(first)}"
            )
    if first is None:
        raise BulkError(f"{files[0].path}: empty; expected a line with the names of the columns")
    _check_columns(files[0].path, first, options)
    stretches = [
        Stretch(number, 0, 0, file.size, 1, file.size)
        for number, file in enumerate(files)
        if file.size
    ]
    return [(name, "string") for name in first], stretches, _id_column(first, options)


def _check_columns(path: str, names: Sequence[str], options: Options) -> None:
    for option, name in (
        ("--text-column", options.text_column),
        ("--id-column", options.id_column),
    ):
        if name is not None and name not in names:
            raise BulkError(
                f'{path}: no column "{name}"; it has {", ".join(names)} (choose with {option})'
            )
    repeated = [name for name in names if list(names).count(name) > 1]
    if repeated:
        raise BulkError(f'{path}: column "{repeated[0]}" stands there more than once')


def _id_column(names: Sequence[str], options: Options) -> str | None:
    return options.id_column or ("id" if "id" in names else None)


_LOOKS = {PARQUET: _look_at_parquet, JSONL: _look_at_jsonl, CSV: _look_at_csv}
