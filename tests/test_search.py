from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from clusters import Cluster as RealCluster
from clusters import free_port

from model.errors import PassageError, SearchError
from training.__main__ import main
from training.pipeline import Parameters
from training.search import Cluster, Here, Task, candidates, read_grid, score_fold, search
from training.train import train

USED = Parameters.load()
GRID = {"C": [0.01, USED.C], "concept_scale": [USED.concept_scale]}


@pytest.fixture(scope="session")
def data(passages, tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "passages.jsonl"
    path.write_text("".join(json.dumps(p.to_json()) + "\n" for p in passages[:300]))
    return path


@pytest.fixture(scope="session")
def listed():
    return candidates(GRID, Parameters.load())


@pytest.fixture(scope="session")
def undisturbed(data, listed):
    return search([data], None, listed, Here(2))


def test_the_best_candidate_stands_last(undisturbed, listed):
    assert [c["parameters"]["C"] for c in undisturbed["candidates"]] == [0.01, USED.C]
    assert undisturbed["best"] == listed[1].to_json()
    assert undisturbed["candidates"][0]["map"] < undisturbed["candidates"][1]["map"]
    for candidate in undisturbed["candidates"]:
        assert len(candidate["folds"]) == Parameters.load().n_folds
        scores = [fold["map"] for fold in candidate["folds"]]
        assert candidate["map"] == pytest.approx(sum(scores) / len(scores), abs=1e-4)


def test_a_fold_is_scored_as_training_scores_it(data, passages, undisturbed, tmp_path):
    from model import Taxonomy

    some = passages[:300]
    taxonomy = Taxonomy.from_slugs(topic for p in some for topic in p.topics)
    train(some, taxonomy, tmp_path / "v", jobs=1)
    manifest = json.loads((tmp_path / "v" / "manifest.json").read_text())
    curve = manifest["learning_curve"][-1]
    assert undisturbed["candidates"][-1]["folds"][0]["map"] == curve["map"]
    assert undisturbed["data_sha256"] == manifest["training"]["data_sha256"]


def children():
    own = Path(f"/proc/{os.getpid()}/task")
    return [int(pid) for task in own.iterdir() for pid in (task / "children").read_text().split()]


def test_a_killed_process_changes_nothing(data, listed, undisturbed):
    before, killed = set(children()), []

    def kill_one(stage, done, total):
        if done == 2 and not killed:
            workers = [
                pid
                for pid in set(children()) - before
                if "loky" in Path(f"/proc/{pid}/cmdline").read_text()
                and "tracker" not in Path(f"/proc/{pid}/cmdline").read_text()
            ]
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    assert search([data], None, listed, Here(2), progress=kill_one) == undisturbed
    assert killed


def test_processes_that_always_end_are_given_up(data, listed, monkeypatch):
    def kill_all(stage, done, total):
        raise BrokenPipeError

    class Broken(Here):
        @property
        def lost(self):
            return (BrokenPipeError,)

        def open(self):
            raise BrokenPipeError("gone")

    with pytest.raises(SearchError, match="workers were lost again and again: gone"):
        search([data], None, listed, Broken())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed")
    cluster = RealCluster(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


def test_killed_workers_and_a_cut_connection_change_nothing(cluster, data, listed, undisturbed):
    disturbed = []

    def disturb(stage, done, total):
        if done in (1, 5) and done not in disturbed:
            disturbed.append(done)
            cluster.kill_a_worker()
        elif done == 3 and done not in disturbed:
            disturbed.append(done)
            assert cluster.proxy.cut() > 0

    found = search([data], None, listed, Cluster(cluster.address), progress=disturb)
    assert found == undisturbed
    assert disturbed == [1, 3, 5]


def test_a_search_on_a_cluster_is_started_from_the_command_line(cluster, data, tmp_path, capsys):
    arguments = ["--data", str(data), "--taxonomy", "from-data", "--out", str(tmp_path / "s.json")]
    (tmp_path / "grid.json").write_text('{"C": [0.01, 20], "tol": [0.01]}')
    arguments += ["--grid", str(tmp_path / "grid.json"), "--scheduler", cluster.address]
    assert main(["search", *arguments]) == 0
    captured = capsys.readouterr()
    rows = [line.split("│") for line in captured.out.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["0.01", "20"]
    assert "searching: 100 %" in captured.err
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["best"]["C"] == 20
    assert Parameters(**found["best"]).tol == 0.01


def test_no_scheduler_at_the_address_is_told(data, listed, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("training.search._CONNECT_SECONDS", 0.2)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(SearchError, match=f"{address}: no answer"):
        search([data], None, listed, Cluster(address))


def test_what_a_cluster_needs_is_named_where_it_is_missing(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed.comm", None)
    arguments = ["--data", str(data), "--out", str(tmp_path / "s.json"), "--scheduler", "tcp://x:1"]
    assert main(["search", *arguments, "--taxonomy", "from-data"]) == 1
    assert 'distributed is missing: pip install "vigie[cluster]"' in capsys.readouterr().err


def test_other_passages_on_a_worker_are_refused(data, listed):
    task = Task((str(data),), "0" * 64, ("lawsuit",), listed[0], 0, 0)
    with pytest.raises(PassageError, match="unknown topic"):
        score_fold(task)
    lines = data.read_text().splitlines()
    topics = tuple(sorted({t for line in lines for t in json.loads(line)["topics"]}))
    task = Task((str(data),), "0" * 64, topics, listed[0], 0, 0)
    with pytest.raises(SearchError, match="other passages than where the search was started"):
        score_fold(task)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected an object of parameter"),
        ("{}", "expected an object of parameter"),
        ("{", "cannot be read"),
        ('{"mindf": [1]}', 'unknown parameter "mindf"; did you mean "min_df"'),
        ('{"n_folds": [2]}', 'unknown parameter "n_folds"'),
        ('{"C": 1}', "C: expected a list of numbers above 0, got 1"),
        ('{"C": [0]}', r"C: expected a list of numbers above 0, got \[0\]"),
        ('{"C": ["1"]}', "C: expected a list of numbers above 0"),
        ('{"min_df": [1.5]}', "min_df: expected a list of whole numbers above 0"),
    ],
)
def test_a_grid_that_is_none_is_refused(content, message, tmp_path):
    path = tmp_path / "grid.json"
    path.write_text(content)
    with pytest.raises(SearchError, match=message):
        read_grid(path)


def test_every_combination_is_a_candidate():
    base = Parameters.load()
    listed = candidates({"C": [1, 2], "min_df": [2, 3]}, base)
    assert [(p.C, p.min_df) for p in listed] == [(1, 2), (1, 3), (2, 2), (2, 3)]
    assert {p.n_folds for p in listed} == {base.n_folds}
