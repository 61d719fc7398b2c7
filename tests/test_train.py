from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import Classifier, PassageError, Taxonomy, artifact
from model.errors import VigieError
from training.heldout import is_kept, read_heldout
from training.passages import Passage
from training.pipeline import Parameters
from training.train import train

ROOT = Path(__file__).resolve().parents[1]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: artifact.digest(path) for path in sorted(folder.iterdir())}


def test_the_same_data_and_seed_give_the_same_digests(version, passages, tmp_path):
    train(passages, Taxonomy.default(), tmp_path / "again", jobs=2)
    assert digests(tmp_path / "again") == digests(version)


def test_another_seed_or_label_gives_another_version(version, passages, tmp_path):
    changed = [replace(passages[0], topics=("fraud",)), *passages[1:]]
    names = {
        train(passages, Taxonomy.default(), tmp_path / "seed", seed=1),
        train(changed, Taxonomy.default(), tmp_path / "label"),
        artifact.read_manifest(version)["model_version"],
    }
    assert len(names) == 3


def test_the_manifest_says_what_the_version_is(version, passages):
    manifest = artifact.read_manifest(version)
    assert manifest["taxonomy"]["name"] == "vigie"
    assert [topic["slug"] for topic in manifest["topics"]] == list(Taxonomy.default().slugs)
    assert manifest["languages"] == ["en", "fr"]
    facts = manifest["training"]
    assert facts["passages"] == len(passages)
    assert facts["without_topic"] == sum(not p.topics for p in passages)
    assert facts["parameters"] == Parameters.load().to_json()
    assert set(manifest["operating_points"]) == {"balanced", "precision", "recall"}
    for entry in manifest["operating_points"]["precision"]:
        assert entry["reached"] is (entry["precision"] >= 0.9)
    assert 0 < manifest["metrics"]["micro_f1"] < 1
    assert set(manifest["libraries"]) == {"scikit-learn", "numpy", "scipy", "joblib"}


def test_reference_texts_score_as_the_pipeline_said(version):
    classifier = Classifier.load(version)
    for reference in classifier.manifest["self_check"]:
        found = classifier.log_odds([reference["text"]])[0]
        assert np.abs(found - reference["log_odds"]).max() < 1e-5


def test_held_out_passages_are_kept_by_event_with_their_scores(version, passages):
    held_out = read_heldout(version, Taxonomy.default().slugs)
    assert {p.event for p in held_out.passages} == {p.event for p in passages if is_kept(p.event)}
    assert held_out.probabilities.shape == (len(held_out.passages), 24)
    assert 0 < len(held_out.passages) < len(passages) / 2


def test_calibrated_probabilities_mean_what_they_say(version):
    assert artifact.read_manifest(version)["metrics"]["ece"] < 0.05


def made_up(n: int, n_topics: int) -> list[Passage]:
    """Passages of invented words, `n_topics` topics with two words of their own each."""
    generator = np.random.default_rng(0)
    listed = []
    for i in range(n):
        topic = int(generator.integers(n_topics))
        noise = " ".join(f"w{k}" for k in generator.integers(0, 500, 12))
        listed.append(
            Passage(f"p{i}", f"alpha{topic} {noise} omega{topic}", (f"t{topic}",), f"e{i}")
        )
    return listed


def test_any_taxonomy_can_be_learnt(tmp_path):
    listed = made_up(900, 30)
    taxonomy = Taxonomy.from_slugs(t for p in listed for t in p.topics)
    train(listed, taxonomy, tmp_path / "v")
    classifier = Classifier.load(tmp_path / "v")
    assert len(classifier.topics) == 30
    assert classifier.predict(["omega7 w1 alpha7"])[0].topics == ("t7",)
    assert classifier.manifest["metrics"]["micro_f1"] > 0.9


def test_one_topic_and_topics_without_both_classes_can_be_learnt(tmp_path):
    one = [replace(p, topics=("t",) if i % 3 else ()) for i, p in enumerate(made_up(60, 3))]
    train(one, Taxonomy.from_slugs(["t"]), tmp_path / "one")
    assert Classifier.load(tmp_path / "one").predict_proba(["x"]).shape == (1, 1)
    train(one, Taxonomy.from_slugs(["t", "never"]), tmp_path / "never")
    scores = Classifier.load(tmp_path / "never").predict_proba(["alpha1"])[0]
    assert scores[0] < 0.05


def test_passages_of_one_event_cannot_be_learnt_from(tmp_path):
    one = [replace(p, event="same") for p in made_up(20, 2)]
    with pytest.raises(PassageError, match="nothing to hold out"):
        train(one, Taxonomy.from_slugs(["t0", "t1"]), tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


def test_texts_without_any_word_cannot_be_learnt_from(tmp_path):
    listed = [replace(p, text="!?") for p in made_up(20, 2)]
    with pytest.raises(VigieError, match="no words to learn from"):
        train(listed, Taxonomy.from_slugs(["t0", "t1"]), tmp_path / "v")


def start_training(tmp_path: Path, passages: list[Passage]) -> subprocess.Popen[bytes]:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(p.to_json()) + "\n" for p in passages))
    arguments = ["train", "--data", str(data), "--out", str(tmp_path / "out" / "v")]
    return subprocess.Popen(
        [sys.executable, "-m", "training", *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # A parent that ignores the interrupt, as a shell's background does, hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


@pytest.mark.parametrize("line", [b"fitting: 0 %", b"fitting: 25 %", b"writing: 0 %"])
def test_killed_while_training_leaves_no_version(tmp_path, passages, line):
    with start_training(tmp_path, passages) as process:
        assert process.stderr is not None
        for said in process.stderr:
            if said.strip() == line:
                break
        time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out" / "v").exists()


def test_interrupting_training_leaves_nothing_and_says_so(tmp_path, passages):
    with start_training(tmp_path, passages) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert "interrupted; nothing was left half-written" in said
    assert list(tmp_path.glob("out/*")) == list(tmp_path.glob("out/.*")) == []
