from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.__main__ import main

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def data(passages, tmp_path) -> str:
    path = tmp_path / "passages.jsonl"
    path.write_text("".join(json.dumps(p.to_json()) + "\n" for p in passages[:150]))
    return str(path)


def test_evaluate_prints_the_figures_of_the_contract(version, data, capsys):
    assert main(["evaluate", "--model", str(version), "--data", data, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {
        "n", "micro_f1", "macro_f1", "precision", "recall", "false_topic_rate", "ece", "map",
        "per_topic", "per_language", "model",
    }  # fmt: skip
    assert figures["n"] == 150
    assert set(figures["per_language"]) == {"en", "fr"} or len(figures["per_language"]) == 1
    assert set(figures["per_topic"]["lawsuit"]) == {
        "precision", "recall", "f1", "support", "threshold",
    }  # fmt: skip


def test_evaluate_prints_a_table(version, data, capsys):
    assert main(["evaluate", "--model", str(version), "--data", data]) == 0
    shown = capsys.readouterr().out
    assert "micro_f1" in shown
    assert "deplatforming" in shown


def test_train_writes_a_version_and_prints_its_name(data, tmp_path, capsys):
    arguments = ["train", "--data", data, "--taxonomy", "from-data", "--out", str(tmp_path / "v")]
    assert main([*arguments, "--seed", "3", "--jobs", "1"]) == 0
    captured = capsys.readouterr()
    manifest = json.loads((tmp_path / "v" / "manifest.json").read_text())
    assert captured.out.strip() == manifest["model_version"]
    assert manifest["training"]["seed"] == 3
    assert manifest["taxonomy"]["name"] == "from-data"
    assert "fitting: 100 %" in captured.err


def test_retrain_prints_its_decision(data, tmp_path, capsys):
    registry = str(tmp_path / "registry")
    assert main(["retrain", "--data", data, "--registry", registry, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["promoted"] is True
    assert main(["retrain", "--data", data, "--registry", registry, "--dry-run"]) == 0
    assert "dry run: would not be promoted: the same passages" in capsys.readouterr().out
    assert main(["retrain", "--data", data, "--registry", registry, "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    assert "challenger F1" in shown
    assert "promoted: " in shown


def test_validate_prints_findings_and_counts(data, tmp_path, capsys):
    assert main(["validate", data]) == 0
    assert "lawsuit" in capsys.readouterr().out
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "A.", "topics": ["lawsuits"]}\n')
    assert main(["validate", str(bad)]) == 1
    assert 'bad.jsonl:1: unknown topic "lawsuits"; did you mean' in capsys.readouterr().out
    assert main(["validate", str(bad), "--taxonomy", "from-data"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--model", "none", "--data", "none"], "none/manifest.json: missing"),
        (["train", "--data", "none", "--out", "x"], "none: no such file or folder"),
        (["train", "--data", "x", "--out", "x", "--taxonomy", "no.json"], "no.json: cannot be"),
    ],
)
def test_failures_are_said_in_a_line_and_exit_with_1(arguments, message, capsys):
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_named(data, capsys):
    assert main(["train", "--data", data, "--out", "/proc/nowhere/v"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: /proc/nowhere")


def test_bad_usage_exits_with_2():
    with pytest.raises(SystemExit) as stopped:
        main(["train"])
    assert stopped.value.code == 2


@pytest.mark.parametrize("package", ["training", "service"])
def test_help_answers_at_once(package):
    command = [sys.executable, "-m", package, "--help"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.4
