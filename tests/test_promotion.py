from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import copy_version, make_registry
from test_artifact import rewrite

from model import Registry, Taxonomy
from training.passages import Passage
from training.promotion import Comparison, Difference, compare
from training.retrain import retrain
from training.train import train


def write(path: Path, passages: list[Passage]) -> Path:
    path.write_text("".join(json.dumps(p.to_json()) + "\n" for p in passages), encoding="utf-8")
    return path


def shuffled(passages: list[Passage]) -> list[Passage]:
    """The passages with each other's labels."""
    order = np.random.default_rng(7).permutation(len(passages))
    return [
        replace(p, topics=passages[i].topics) for p, i in zip(passages, order.tolist(), strict=True)
    ]


def test_a_first_model_goes_live(passages, tmp_path):
    data = write(tmp_path / "p.jsonl", passages[:200])
    outcome = retrain([data], tmp_path / "registry", jobs=1)
    assert outcome.promoted
    assert outcome.reason == "nothing was live before"
    assert Registry(tmp_path / "registry").current() == outcome.challenger


def test_the_same_data_changes_nothing(registry, passages, tmp_path):
    log = registry.log()
    outcome = retrain([write(tmp_path / "p.jsonl", passages)], registry.root, jobs=1)
    assert not outcome.promoted
    assert "the challenger is the live model" in outcome.reason
    assert registry.log() == log


def test_a_model_of_wrong_labels_is_never_promoted(registry, passages, tmp_path):
    live = registry.current()
    outcome = retrain([write(tmp_path / "p.jsonl", shuffled(passages))], registry.root, jobs=1)
    assert not outcome.promoted
    assert outcome.reason.startswith("worse on all passages")
    assert registry.current() == live
    assert outcome.challenger in registry.versions()


def test_a_dry_run_compares_and_changes_nothing(registry, passages, tmp_path):
    before = sorted(registry.root.iterdir()), registry.log()
    data = write(tmp_path / "p.jsonl", passages[:-10])
    outcome = retrain([data], registry.root, jobs=1, dry_run=True)
    assert outcome.comparison is not None
    assert not outcome.promoted
    assert (sorted(registry.root.iterdir()), registry.log()) == before


def test_a_better_model_takes_the_place_of_a_worse_one(version, passages, tmp_path):
    worse = tmp_path / "worse"
    mixed = [*shuffled(passages)[:300], *passages[300:]]
    train(mixed, Taxonomy.default(), worse, jobs=1)
    registry = make_registry(worse, tmp_path / "registry")
    staged = copy_version(version, registry.root / ".staging-x")
    comparison = compare(registry.current_folder(), staged)
    assert comparison.promote
    assert comparison.differences[0].challenger > comparison.differences[0].live


def test_every_part_is_compared(version, tmp_path, passages):
    other = tmp_path / "other"
    train(passages[:-40], Taxonomy.default(), other, jobs=1)
    comparison = compare(version, other)
    parts = [difference.part for difference in comparison.differences]
    assert parts[:3] == ["all passages", "language en", "language fr"]
    assert "lawsuit" in parts
    for difference in comparison.differences:
        assert difference.low <= difference.challenger - difference.live + 0.05
        assert difference.low <= difference.high
    assert comparison.to_json()["differences"][0]["part"] == "all passages"


def test_a_challenger_that_lacks_a_topic_is_refused(version, passages, tmp_path):
    taxonomy = Taxonomy.from_slugs(["lawsuit", "fraud"])
    listed = [
        replace(p, topics=tuple(t for t in p.topics if t in taxonomy.slugs)) for p in passages
    ]
    train(listed, taxonomy, tmp_path / "two", jobs=1)
    comparison = compare(version, tmp_path / "two")
    assert not comparison.promote
    assert comparison.reason.startswith("lacks topics of the live model: regulation")


def test_worse_means_the_whole_interval_below_zero():
    same = Difference("all passages", 100, 0.70, 0.69, -0.03, 0.01)
    worse = Difference("language fr", 50, 0.70, 0.60, -0.15, -0.05)
    assert Comparison("a", "b", 100, (same,), ()).promote
    refused = Comparison("a", "b", 100, (same, worse), ())
    assert not refused.promote
    assert refused.reason.startswith("worse on language fr; micro-F1 0.700 → 0.690")


def test_a_damaged_live_version_stops_retraining(registry, passages, tmp_path):
    rewrite(registry.current_folder(), format=99)
    with pytest.raises(Exception, match="format 99"):
        retrain([write(tmp_path / "p.jsonl", passages[:100])], registry.root)
