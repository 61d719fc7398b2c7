from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from model import Classifier, PassageError, Taxonomy, artifact
from training import large, matrix
from training.__main__ import main
from training.heldout import event_place, read_heldout
from training.promotion import compare
from training.train import train

TAXONOMY = Taxonomy.default()


@pytest.fixture(scope="module")
def large_version(passages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large") / "version"
    train(passages, TAXONOMY, folder, jobs=2, large=True)
    return folder


def digests(folder):
    return {path.name: artifact.digest(path) for path in sorted(folder.iterdir())}


def test_a_large_fit_is_the_same_however_many_processes(large_version, passages, tmp_path):
    train(passages, TAXONOMY, tmp_path / "again", jobs=1, large=True)
    assert digests(tmp_path / "again") == digests(large_version)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_large_fit_is_as_good_as_one_in_memory(large_version, version, passages):
    here, there = (artifact.read_manifest(v)["metrics"] for v in (large_version, version))
    assert abs(here["map"] - there["map"]) < 0.08
    assert here["ece"] < 0.05
    texts = [p.text for p in passages]
    found = Classifier.load(large_version).predict_proba(texts)
    expected = Classifier.load(version).predict_proba(texts)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97


def test_passages_held_out_are_whole_events_and_nothing_else_is_judged(large_version, passages):
    kept = read_heldout(large_version, TAXONOMY.slugs)
    expected = [p for p in passages if event_place(p.event) < 0.25]
    assert [p.id for p in kept.passages] == [p.id for p in expected]
    manifest = artifact.read_manifest(large_version)
    assert manifest["metrics"]["n"] == len(expected)
    assert manifest["training"]["passages"] == len(passages)
    assert manifest["training"]["parameters"]["n_folds"] == 1


def test_what_is_held_out_and_the_vocabulary_are_bounded(passages, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "MOST_HELD_OUT", 60)
    monkeypatch.setattr(matrix, "MOST_TERMS", 800)
    train(passages, TAXONOMY, tmp_path / "v", jobs=1, large=True)
    manifest = artifact.read_manifest(tmp_path / "v")
    assert 30 < manifest["metrics"]["n"] < 90
    assert manifest["training"]["parameters"]["min_df"] > 2
    terms = json.loads((tmp_path / "v" / "terms.json").read_text())
    assert len(terms) + len(np.load(tmp_path / "v" / "pairs.npy")) <= 800


def test_scores_of_held_out_passages_come_from_a_fit_that_did_not_see_them(passages, tmp_path):
    """With labels drawn by chance, a fit that had seen them would be better than chance."""
    chance = np.random.default_rng(0)
    labels = chance.random(len(passages)) < 0.5
    drawn = [
        replace(p, topics=("t",) if label else ())
        for p, label in zip(passages, labels, strict=True)
    ]
    train(drawn, Taxonomy.from_slugs(["t"]), tmp_path / "v", jobs=1, large=True)
    assert artifact.read_manifest(tmp_path / "v")["metrics"]["map"] < 0.65


def test_versions_of_both_ways_can_be_compared(large_version, version):
    comparison = compare(version, large_version)
    assert comparison.missing_topics == ()
    assert comparison.passages > 100


def test_many_passages_go_this_way_by_themselves(passages, tmp_path, monkeypatch, large_version):
    monkeypatch.setattr("training.train.FROM", len(passages))
    train(passages, TAXONOMY, tmp_path / "v", jobs=1)
    assert digests(tmp_path / "v") == digests(large_version)


def test_topics_without_both_classes_get_their_share(passages, tmp_path):
    some = [replace(p, topics=("always",)) for p in passages[:200]]
    taxonomy = Taxonomy.from_slugs(["always", "never"])
    train(some, taxonomy, tmp_path / "v", jobs=1, large=True)
    scores = Classifier.load(tmp_path / "v").predict_proba(["whatever"])[0]
    assert scores[0] > 0.95
    assert scores[1] < 0.05


def test_passages_of_one_event_cannot_be_learnt_from(passages, tmp_path):
    one = [replace(p, event="same") for p in passages[:50]]
    with pytest.raises(PassageError, match="too few events: there is nothing to hold out"):
        train(one, TAXONOMY, tmp_path / "v", large=True)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_asks_for_it(passages, tmp_path, capsys):
    data = tmp_path / "passages.jsonl"
    data.write_text("".join(json.dumps(p.to_json()) + "\n" for p in passages[:150]))
    arguments = ["train", "--data", str(data), "--taxonomy", "from-data", "--jobs", "1", "--large"]
    assert main([*arguments, "--out", str(tmp_path / "v")]) == 0
    assert "reading: 100 %" in capsys.readouterr().err
    manifest = artifact.read_manifest(tmp_path / "v")
    assert manifest["training"]["parameters"]["n_folds"] == 1
