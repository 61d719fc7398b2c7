"""The Dask engine against a real scheduler and real worker processes, each on ports of its own."""

from __future__ import annotations

import gzip
import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clusters import WORKERS, Cluster, free_port

from model.errors import BulkError
from service.bulk.plan import Options
from service.bulk.run import Engine, run

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ("--part-rows", "200")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


@pytest.fixture
def source(passages, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [{"id": f"{i:06}", "text": passages[i % len(passages)].text} for i in range(20_000)]
    for number in range(4):
        table = pa.Table.from_pylist(rows[number * 5_000 : (number + 1) * 5_000])
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=1_000)
    return folder


def start(source, output, version, *more):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "service",
            "bulk",
            source,
            output,
            "--model",
            version,
            *OPTIONS,
            *more,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def digests(output):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in output.glob("part-*")}


def wait_for_parts(process, output, n):
    deadline = time.monotonic() + 60
    while len(list(output.glob("_done/*.json"))) < n:
        assert time.monotonic() < deadline, "the run does not go on"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def test_killed_workers_and_a_cut_connection_change_nothing(cluster, source, tmp_path, version):
    whole, output = tmp_path / "whole", tmp_path / "out"
    local = start(source, whole, version)
    _, errors = local.communicate(timeout=60)
    assert local.returncode == 0, errors
    n_parts = len(digests(whole))
    assert n_parts == 100
    process = start(source, output, version, "--engine", "dask", "--scheduler", cluster.address)
    moments = sorted(random.sample(range(5, 75), 3))
    cut = random.randrange(3)
    for place, moment in enumerate(moments):
        wait_for_parts(process, output, moment)
        if place == cut:
            assert cluster.proxy.cut() >= WORKERS
        else:
            cluster.kill_a_worker()
    message, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert message.startswith("20,000 passages in 100 parts, 0 rejects")
    assert digests(output) == digests(whole)
    assert (output / "_manifest.json").read_bytes() == (whole / "_manifest.json").read_bytes()
    ids = [row for p in sorted(output.glob("part-*")) for row in pq.read_table(p)["id"].to_pylist()]
    assert ids == [f"{i:06}" for i in range(20_000)]
    assert not [path for path in output.rglob("*") if ".staging" in path.name]


def test_a_killed_client_is_followed_by_one_of_either_engine(cluster, source, tmp_path, version):
    output = tmp_path / "out"
    arguments = ("--engine", "dask", "--scheduler", cluster.address)
    process = start(source, output, version, *arguments)
    wait_for_parts(process, output, 10)
    process.kill()
    process.communicate()
    local = start(source, output, version)
    message, errors = local.communicate(timeout=60)
    assert local.returncode == 0, errors
    assert message.startswith("20,000 passages in 100 parts")


def test_what_no_retry_would_mend_is_told_from_the_worker(cluster, source, tmp_path, version):
    broken = source / "9.jsonl.gz"
    for path in source.glob("*.parquet"):
        path.unlink()
    broken.write_bytes(gzip.compress(b'{"id": 1, "text": "ban"}\n' * 100_000)[:-9])
    engine = Engine("dask", 1, cluster.address)
    with pytest.raises(BulkError, match=r"9\.jsonl\.gz: damaged or cut short"):
        run(str(broken), str(tmp_path / "out"), Options(), version, engine)


def test_no_scheduler_at_the_address_is_told(source, tmp_path, version, monkeypatch):
    monkeypatch.setattr("service.bulk.cluster._CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("service.bulk.cluster._WAIT_SECONDS", 0.0)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(BulkError, match=f"{address}: the cluster was lost: no answer"):
        run(str(source), str(tmp_path / "out"), Options(), version, Engine("dask", 1, address))
    assert not list((tmp_path / "out").glob("part-*"))


def test_a_cluster_is_made_for_the_run_where_none_is_given(source, tmp_path, version):
    process = start(source, tmp_path / "out", version, "--engine", "dask", "--jobs", "2")
    message, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert message.startswith("20,000 passages in 100 parts")
