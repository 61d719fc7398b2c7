from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.errors import BulkError
from service.bulk import output as folder
from service.bulk import records
from service.bulk.plan import Options, make_plan
from service.bulk.records import read_parts
from service.bulk.run import Engine, run
from service.bulk.storage import Storage

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("BULK_KILLS", "6"))
ROWS = 120
SMALL = Options(part_rows=50)


@pytest.fixture(scope="session")
def rows(passages):
    some = passages[:: max(len(passages) // ROWS, 1)][:ROWS]
    return [{"id": p.id, "day": i % 7, "text": p.text} for i, p in enumerate(some)]


@pytest.fixture(scope="module")
def plain(rows, version, tmp_path_factory):
    """What comes out for the rows as plain JSONL, days as text."""
    folder = tmp_path_factory.mktemp("plain")
    write_jsonl(folder / "in.jsonl", as_text(rows))
    bulk(folder / "in.jsonl", folder / "out", version)
    return read_jsonl(folder / "out")


def as_text(rows):
    return [{**row, "day": str(row["day"])} for row in rows]


@pytest.fixture
def source(rows, tmp_path):
    path = tmp_path / "in.jsonl"
    write_jsonl(path, rows)
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_jsonl(output):
    return [
        json.loads(line)
        for path in sorted(output.glob("part-*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def read_rejects(output):
    return [
        json.loads(line)
        for path in sorted(output.glob("_rejects/*"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def bulk(source, output, version, options=SMALL, restart=False):
    return run(str(source), str(output), options, version, Engine(jobs=1), restart)


def command(source, output, version, *more):
    arguments = ["bulk", str(source), str(output), "--model", str(version), "--jobs", "2", *more]
    return [sys.executable, "-m", "service", *arguments]


def bulk_command(source, output, version, *more, prefix=()):
    return subprocess.run(
        [*prefix, *command(source, output, version, *more)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def digests(output):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in output.glob("part-*")
    }


def only_whole_files(output):
    return [path.name for path in output.rglob("*") if ".staging" in path.name] == []


# What comes out


def expected(client, rows):
    passages = [{"id": row["id"], "text": row["text"]} for row in rows]
    answer = client.post("/v1/classify", json={"passages": passages})
    assert answer.status_code == 200
    return answer.json["model"]["version"], answer.json["results"]


def test_jsonl_results_are_those_of_the_service(source, rows, tmp_path, version, client):
    bulk(source, tmp_path / "out", version)
    name, results = expected(client, rows)
    assert read_jsonl(tmp_path / "out") == [
        {**row, **result, "model": name} for row, result in zip(rows, results, strict=True)
    ]


def test_parquet_results_are_those_of_the_service(rows, tmp_path, version, client):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=500)
    bulk(path, tmp_path / "out", version)
    name, results = expected(client, rows)
    parts = sorted((tmp_path / "out").glob("part-*.parquet"))
    assert len(parts) == -(-len(rows) // 50)
    found = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert found == [
        {**row, **result, "model": name} for row, result in zip(rows, results, strict=True)
    ]


@pytest.mark.parametrize("kind", ["jsonl.gz", "jsonl.zst", "csv", "csv.gz", "parquet", "folder"])
def test_every_input_gives_the_same_results(kind, rows, tmp_path, version, plain):
    rows = as_text(rows)
    path = tmp_path / f"other.{kind}"
    if kind == "folder":
        path = tmp_path / "folder"
        (path / "below").mkdir(parents=True)
        write_jsonl(path / "a.jsonl", rows[:100])
        write_jsonl(path / "below" / "b.jsonl", rows[100:])
        (path / "_SUCCESS").write_text("")
        (path / "notes.pdf").write_text("")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind.startswith("csv"):
        with (gzip.open if kind.endswith("gz") else open)(
            path, "wt", encoding="utf-8", newline=""
        ) as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(
            pa.Codec(kind[-3:].replace(".gz", "gzip").replace("zst", "zstd"))
            .compress(lines)
            .to_pybytes()
        )
    bulk(path, tmp_path / "out", version, Options(part_rows=50, output_format="jsonl"))
    assert read_jsonl(tmp_path / "out") == plain


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz", "jsonl.zst"])
def test_output_formats_hold_the_same(kind, rows, tmp_path, version, plain):
    source = tmp_path / "in.jsonl"
    write_jsonl(source, as_text(rows))
    bulk(source, tmp_path / "out", version, Options(part_rows=50, output_format=kind))
    parts = sorted((tmp_path / "out").glob("part-*"))
    if kind == "parquet":
        found = [row for part in parts for row in pq.read_table(part).to_pylist()]
        assert {row.pop("other_columns") for row in found} == {None}
    else:
        found = [
            json.loads(line)
            for part in parts
            for line in pa.input_stream(part, compression="detect").read().splitlines()
        ]
    assert found == plain


def test_input_columns_named_like_results_are_kept_under_another_name(tmp_path, version):
    path = tmp_path / "in.jsonl"
    write_jsonl(path, [{"id": 1, "text": "Twitter bans him", "topics": ["x"], "input_topics": 3}])
    bulk(path, tmp_path / "out", version)
    (row,) = read_jsonl(tmp_path / "out")
    assert row["input_input_topics"] == ["x"]
    assert row["input_topics"] == 3
    assert isinstance(row["scores"], dict)


def test_chosen_columns_are_read_and_the_text_can_be_left_out(tmp_path, version):
    path = tmp_path / "in.csv"
    path.write_text("url,corps\nhttp://a,Le compte a été suspendu\n", encoding="utf-8")
    bulk(path, tmp_path / "out", version, Options("corps", "url", drop_text=True))
    (row,) = read_jsonl(tmp_path / "out")
    assert row["url"] == "http://a"
    assert row["language"] == "fr"
    assert not {"corps", "id", "text"} & row.keys()


def test_rows_without_identifier_are_named_by_file_and_row(tmp_path, version):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "One ban"}\n\n{"text": "Two bans", "id": null}\n', encoding="utf-8")
    table = pa.table({"text": ["One", None, "Two"]})
    (tmp_path / "p").mkdir()
    pq.write_table(table, tmp_path / "p" / "in.parquet")
    bulk(path, tmp_path / "out", version)
    bulk(tmp_path / "p", tmp_path / "out2", version, Options(output_format="jsonl"))
    assert [row["id"] for row in read_jsonl(tmp_path / "out")] == ["in.jsonl:1", "in.jsonl:3"]
    assert [row["id"] for row in read_jsonl(tmp_path / "out2")] == ["in.parquet:1", "in.parquet:3"]


def test_articles_come_out_as_passages_with_their_places(tmp_path, version):
    path = tmp_path / "in.jsonl"
    article = "Twitter suspended his account.\n\n  Le juge a condamné Facebook.\n***\n"
    write_jsonl(path, [{"id": "a", "text": article, "start": 0}, {"id": "b", "text": "123\n"}])
    manifest = bulk(path, tmp_path / "out", version, Options(unit="articles"))
    first, second = read_jsonl(tmp_path / "out")
    assert [(row["id"], row["passage"], row["input_start"]) for row in (first, second)] == [
        ("a", 1, 0),
        ("a", 2, 0),
    ]
    for row in (first, second):
        assert row["text"] == article[row["start"] : row["end"]]
    (reject,) = read_rejects(tmp_path / "out")
    assert (reject["row"], reject["reason"]) == (2, "no passage in this article")
    assert (manifest["rows"], manifest["passages"], manifest["rejects"]) == (2, 2, 1)


def test_html_articles_are_cleaned(tmp_path, version):
    path = tmp_path / "in.jsonl"
    paragraph = "The platform has permanently suspended the account for hateful conduct. " * 3
    html = f"<html><body><nav>Menu</nav><article><p>{paragraph}</p></article></body></html>"
    write_jsonl(path, [{"id": "a", "text": html}])
    options = Options(unit="articles", html=True, output_format="parquet")
    bulk(path, tmp_path / "out", version, options)
    (row,) = pq.read_table(tmp_path / "out" / "part-00000-00000-00000.parquet").to_pylist()
    assert row["text"] == paragraph.strip()


def test_bad_rows_go_to_the_rejects_and_the_run_goes_on(tmp_path, version, monkeypatch):
    path = tmp_path / "in.jsonl"
    bad = [b"{", b"[1]", b'{"id": 4}', b'{"text": 5}', b'{"text": "\xff"}', b'{"text": "\\ud800"}']
    good = b'{"text": "YouTube demonetised the channel"}'
    path.write_bytes(b"\n".join([*bad, good, b'{"text": "' + b"x" * records.LONGEST_ROW, good]))
    manifest = bulk(path, tmp_path / "out", version)
    rejects = read_rejects(tmp_path / "out")
    assert [reject["row"] for reject in rejects] == [1, 2, 3, 4, 5, 6, 8]
    reasons = [reject["reason"] for reject in rejects]
    assert reasons[1:4] == [
        "expected an object, got list",
        'no "text"',
        '"text": expected a string, got int',
    ]
    assert reasons[0].startswith("not JSON")
    assert reasons[6] == f"longer than {records.LONGEST_ROW} bytes"
    assert [row["id"] for row in read_jsonl(tmp_path / "out")] == ["in.jsonl:7", "in.jsonl:9"]
    assert manifest["rejects"] == 7


def test_bad_csv_rows_go_to_the_rejects(tmp_path, version):
    path = tmp_path / "in.csv"
    path.write_bytes(b'id,text\n1,ban\n2\n3,"a\nb"\n4,\xff\n\n5,x,y\n6,ok\n')
    bulk(path, tmp_path / "out", version)
    assert [row["id"] for row in read_jsonl(tmp_path / "out")] == ["1", "3", "6"]
    assert [(r["row"], r["reason"]) for r in read_rejects(tmp_path / "out")] == [
        (2, "1 fields, expected 2"),
        (4, "not UTF-8"),
        (6, "3 fields, expected 2"),
    ]


def test_rows_that_do_not_fit_the_parquet_columns_are_rejected_and_new_keys_kept(tmp_path, version):
    path = tmp_path / "in.jsonl"
    rows = [{"id": i, "n": i, "tags": ["a"], "text": "ban"} for i in range(1000)]
    rows += [{"id": 1000, "n": "x", "text": "ban"}, {"id": 1001, "new": {"a": 1}, "text": "ban"}]
    write_jsonl(path, rows)
    bulk(path, tmp_path / "out", version, Options(output_format="parquet"))
    table = pq.read_table(tmp_path / "out" / "part-00000-00000-00000.parquet")
    assert table.column("id").to_pylist() == [*range(1000), 1001]
    assert table.column("tags").type == pa.list_(pa.string())
    assert table.column("other_columns").to_pylist()[-1] == '{"new":{"a":1}}'
    (reject,) = read_rejects(tmp_path / "out")
    assert reject["reason"] == "column \"n\": expected int64, got 'x'"


def test_large_plain_files_are_read_in_stretches(rows, tmp_path, version, monkeypatch):
    path = tmp_path / "in.jsonl"
    write_jsonl(path, rows)
    monkeypatch.setattr("service.bulk.plan._STRETCH_BYTES", 5000)
    plan = make_plan(str(path), SMALL, "v", "d")
    assert len(plan.stretches) > 5
    parts = [part for s in plan.stretches for part in read_parts(plan, s, frozenset())]
    lines = [line for part in parts for line in part.content]
    assert b"".join(lines) == path.read_bytes()
    places = list(itertools.accumulate((len(part.content) for part in parts), initial=1))
    assert [part.row for part in parts] == places[:-1]
    assert sum(part.weight for part in parts) == plan.weight == path.stat().st_size


def test_text_is_bounded_in_a_part(tmp_path, monkeypatch):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": ["x" * 1000] * 100}), path)
    monkeypatch.setattr(records, "_PART_BYTES", 10_000)
    monkeypatch.setattr(records, "_BATCH_ROWS", 5)
    plan = make_plan(str(path), Options(), "v", "d")
    parts = list(read_parts(plan, plan.stretches[0], frozenset()))
    assert len(parts) == 10
    assert [part.last for part in parts] == [False] * 9 + [True]


def test_other_addresses_of_fsspec_are_read_and_written(rows, version):
    import fsspec

    from model import Classifier
    from service.bulk.parts import finish, store

    fs = fsspec.filesystem("memory")
    fs.pipe_file("/archive/a.jsonl", "".join(json.dumps(r) + "\n" for r in rows[:60]).encode())
    classifier = Classifier.load(version)
    plan = make_plan("memory://archive", SMALL, classifier.version, "d")
    output = Storage("memory://results")
    output.make()
    assert folder.begin(output, plan, restart=False) == {}
    for part in read_parts(plan, plan.stretches[0], folder.Receipts(output)):
        store(output, finish(plan, part, classifier))
    assert list(read_parts(plan, plan.stretches[0], folder.Receipts(output))) == []
    manifest = folder.end(output, plan)
    assert manifest["passages"] == 60
    assert output.names() == [
        "_manifest.json",
        "_plan.json",
        "part-00000-00000-00000.jsonl",
        "part-00000-00000-00001.jsonl",
    ]
    fs.rm("/results", recursive=True)
    fs.rm("/archive", recursive=True)


# Interrupted and taken up again


def test_only_what_is_missing_is_done(source, tmp_path, version):
    output = tmp_path / "out"
    whole = bulk(source, tmp_path / "whole", version)
    partial = bulk(source, output, version)
    (output / "_manifest.json").unlink()
    (output / "_done").mkdir()
    for receipt in partial["parts"][1:]:
        (output / "_done" / f"{receipt['part']}.json").write_text(json.dumps(receipt))
    first, *others = sorted(output.glob("part-*"))
    first.unlink()
    before = {path: path.stat().st_mtime_ns for path in others}
    assert bulk(source, output, version) == whole
    assert {path: path.stat().st_mtime_ns for path in others} == before
    assert digests(output) == digests(tmp_path / "whole")


def test_a_run_that_is_done_is_left_as_it_is(source, tmp_path, version):
    manifest = bulk(source, tmp_path / "out", version)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert bulk(source, tmp_path / "out", version) == manifest
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_killed_runs_come_to_the_same_end(rows, tmp_path, version):
    source, output = tmp_path / "in.parquet", tmp_path / "out"
    pq.write_table(pa.Table.from_pylist(rows * 20), source, row_group_size=400)
    began = time.monotonic()
    options = ("--part-rows", "100")
    assert bulk_command(source, tmp_path / "whole", version, *options).returncode == 0
    seconds = time.monotonic() - began
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(source, output, version, *options),
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0.3, 1.0) * seconds)
        killed += process.poll() is None
        process.kill()
        process.wait()
        if (output / "_manifest.json").exists():
            assert digests(output) == digests(tmp_path / "whole")
            shutil.rmtree(output)
    assert killed >= KILLS // 3
    result = bulk_command(source, output, version, *options)
    assert result.returncode == 0, result.stderr
    assert digests(output) == digests(tmp_path / "whole")
    manifest = (output / "_manifest.json").read_bytes()
    assert manifest == (tmp_path / "whole" / "_manifest.json").read_bytes()
    assert only_whole_files(output)
    assert not (output / "_done").exists()


def children(pid):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[1] == str(pid):
                found.append(int(path.parent.name))
    return found


def started_workers(process, output):
    """The worker processes, once a part is done."""
    deadline = time.monotonic() + 30
    while not list(output.glob("_done/*.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    return [
        pid
        for pid in children(process.pid)
        if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


@pytest.fixture
def long_source(rows, tmp_path):
    path = tmp_path / "long.parquet"
    pq.write_table(pa.Table.from_pylist(rows * 150), path)
    return path


def test_a_killed_worker_is_told_and_the_run_can_go_on(long_source, tmp_path, version):
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(long_source, output, version, "--part-rows", "500"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.kill(started_workers(process, output)[0], signal.SIGKILL)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ended by signal 9" in messages
    assert bulk_command(long_source, output, version, "--part-rows", "500").returncode == 0


def test_workers_end_with_a_killed_reader_and_hold_off_the_next_run(long_source, tmp_path, version):
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(long_source, output, version, "--part-rows", "500"),
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    workers = started_workers(process, output)
    assert len(workers) == 2
    process.kill()
    process.wait()
    Storage(str(output)).wait_for_workers("_plan.json")
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_runs_cannot_write_one_folder(source, tmp_path, version, monkeypatch):
    output = tmp_path / "out"
    output.mkdir()
    monkeypatch.setattr("service.bulk.storage._LOCK_SECONDS", 0.1)
    with Storage(str(output)).locked(), pytest.raises(BulkError, match="another run is writing"):
        bulk(source, output, version)


def test_changed_input_or_options_are_refused_until_restart(source, rows, tmp_path, version):
    output = tmp_path / "out"
    bulk(source, output, version)
    with pytest.raises(BulkError, match="part_rows was 50, now 40; use --restart"):
        bulk(source, output, version, Options(part_rows=40))
    write_jsonl(source, rows[:60])
    with pytest.raises(BulkError, match=r"the input changed: .*in\.jsonl; use --restart"):
        bulk(source, output, version)
    assert bulk(source, output, version, restart=True)["passages"] == 60
    assert len(read_jsonl(output)) == 60


def test_changed_model_is_refused_until_restart(source, tmp_path, version, passages):
    from model import Taxonomy
    from training.train import train

    output = tmp_path / "out"
    old = bulk(source, output, version)["model"]
    other = tmp_path / "other"
    train(passages[::2], Taxonomy.default(), other, jobs=1)
    with pytest.raises(BulkError, match=f"the model changed: {old}, now v"):
        bulk(source, output, other)
    bulk(source, output, other, restart=True)
    assert {row["model"] for row in read_jsonl(output)} != {old}


# What stops a run


def test_a_folder_with_other_files_is_left_alone(source, tmp_path, version):
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.doc").write_text("mine")
    for restart in (False, True):
        with pytest.raises(BulkError, match=r"is not empty and holds no run \(thesis.doc\)"):
            bulk(source, output, version, restart=restart)
    assert (output / "thesis.doc").read_text() == "mine"


def check_refused(result, message, output):
    assert result.returncode == 1, result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    if output.exists():
        assert only_whole_files(output)
        for path in output.glob("part-*"):
            assert path.stat().st_size > 0


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_wrong_column_is_refused(kind, tmp_path, version):
    path = tmp_path / f"in.{kind}"
    if kind == "jsonl":
        path.write_text('{"id": 1, "body": "ban"}\n')
    elif kind == "csv":
        path.write_text("id,body\n1,ban\n")
    else:
        pq.write_table(pa.table({"id": [1], "body": ["ban"]}), path)
    result = bulk_command(path, tmp_path / "out", version)
    message = f'{path}: no column "text"; it has id, body (choose with --text-column)'
    check_refused(result, message, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_truncated_gzip_is_refused_and_what_came_before_stays(rows, tmp_path, version):
    path = tmp_path / "in.jsonl.gz"
    random.seed(3)
    lines = [
        json.dumps({"id": i, "text": rows[i % 100]["text"] + random.randbytes(500).hex()})
        for i in range(3000)
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 1)[:-2000])
    result = bulk_command(path, tmp_path / "out", version, "--part-rows", "500")
    check_refused(result, f"{path}: damaged or cut short", tmp_path / "out")
    found = read_jsonl(tmp_path / "out")
    assert [row["id"] for row in found] == list(range(len(found)))
    assert len(found) % 500 == 0
    assert 500 <= len(found) < 3000
    assert not (tmp_path / "out" / "_manifest.json").exists()


def test_truncated_parquet_is_refused(rows, tmp_path, version):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    path.write_bytes(path.read_bytes()[:-100])
    check_refused(
        bulk_command(path, tmp_path / "out", version), "not a Parquet file", tmp_path / "out"
    )


def test_parquet_files_of_another_schema_are_refused(tmp_path, version):
    source = tmp_path / "in"
    source.mkdir()
    pq.write_table(pa.table({"id": [1], "text": ["ban"]}), source / "a.parquet")
    pq.write_table(pa.table({"id": ["1"], "text": ["ban"]}), source / "b.parquet")
    result = bulk_command(source, tmp_path / "out", version)
    message = f'b.parquet: column "id" is string, in {source}/a.parquet int64'
    check_refused(result, message, tmp_path / "out")


def test_text_that_is_no_text_is_refused(tmp_path, version):
    pq.write_table(pa.table({"text": [1]}), tmp_path / "a.parquet")
    with pytest.raises(BulkError, match='column "text" is int64, expected string'):
        bulk(tmp_path / "a.parquet", tmp_path / "out", version)


def test_empty_folder_is_refused(tmp_path, version):
    (tmp_path / "in").mkdir()
    result = bulk_command(tmp_path / "in", tmp_path / "out", version)
    check_refused(result, f"{tmp_path}/in: holds no file that ends in one of", tmp_path / "out")


def test_missing_input_is_refused(tmp_path, version):
    result = bulk_command(tmp_path / "in", tmp_path / "out", version)
    check_refused(result, f"{tmp_path}/in: no such file or folder", tmp_path / "out")


def test_mixed_formats_are_refused(tmp_path, version):
    (tmp_path / "a.csv").write_text("id,text\n")
    (tmp_path / "b.jsonl").write_text("{}\n")
    with pytest.raises(BulkError, match=r"b\.jsonl: is jsonl, .*a\.csv is csv"):
        bulk(tmp_path, tmp_path / "out", version)


def test_input_that_changes_while_it_is_read_is_refused(source, rows):
    plan = make_plan(str(source), SMALL, "v", "d")
    parts = read_parts(plan, plan.stretches[0], frozenset())
    next(parts)
    write_jsonl(source, [*rows, rows[0]])
    with pytest.raises(BulkError, match=r"in\.jsonl: changed while it was read"):
        next(parts)


def test_a_run_stops_where_its_input_changes(long_source, tmp_path, version):
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(long_source, output, version, "--part-rows", "500"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    started_workers(process, output)
    with long_source.open("ab") as stream:
        stream.write(b"more")
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1
    assert messages.splitlines()[-1].startswith(
        f"error: {long_source}: changed while it was read; run again with --restart"
    )
    assert not (output / "_manifest.json").exists()
    assert only_whole_files(output)
    assert {pq.read_table(path).num_rows for path in output.glob("part-*")} == {500}


def test_input_that_grows_after_its_last_part_is_refused(source):
    plan = make_plan(str(source), Options(), "v", "d")
    parts = read_parts(plan, plan.stretches[0], frozenset())
    assert next(parts).last
    with source.open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(BulkError, match=r"in\.jsonl: changed while it was read"):
        next(parts)


@pytest.fixture
def without_root():
    """What makes permissions count for root too."""
    if os.getuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.fail("no setpriv") if os.environ.get("CI") else pytest.skip("no setpriv")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.parametrize("what", ["file", "folder", "output"])
def test_missing_permission_is_told(what, tmp_path, version, source, without_root):
    below = tmp_path / "in"
    below.mkdir()
    shutil.copy(source, below / "a.jsonl")
    output = tmp_path / "closed" / "out"
    output.parent.mkdir()
    closed = {"file": below / "a.jsonl", "folder": below, "output": output.parent}[what]
    closed.chmod(0o500 if what == "output" else 0)
    result = bulk_command(below, output, version, prefix=without_root)
    closed.chmod(0o700)
    where = output if what == "output" else closed
    check_refused(result, f"{where}: Permission denied", output)


def test_full_disk_is_told_and_nothing_is_half_written(long_source, tmp_path, version):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.fail("no tmpfs") if os.environ.get("CI") else pytest.skip("cannot mount a tmpfs")
    try:
        result = bulk_command(long_source, small / "out", version, "--part-rows", "1000")
        check_refused(result, "No space left on device", small / "out")
        assert f"{small}/out/part-" in result.stderr
        for path in (small / "out").glob("part-*"):
            assert pq.read_table(path).num_rows == 1000
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--html",),
        ("--scheduler", "tcp://127.0.0.1:1"),
        ("--jobs", "0"),
        ("--part-rows", "0"),
        ("--engine", "spark"),
    ],
)
def test_options_that_make_no_sense_are_bad_usage(arguments, tmp_path, version):
    result = bulk_command(tmp_path, tmp_path / "out", version, *arguments)
    assert result.returncode == 2
    assert arguments[0] in result.stderr


def test_rate_and_time_left_are_shown(source, tmp_path, version):
    result = bulk_command(source, tmp_path / "out", version)
    assert result.returncode == 0
    assert "100%" in result.stderr
    assert "/s" in result.stderr
    assert "left" in result.stderr
    assert result.stdout.endswith(
        f"parts, 0 rejects, version {version_name(version)}: {tmp_path}/out\n"
    )


def version_name(version):
    return json.loads((version / "manifest.json").read_text())["model_version"]
