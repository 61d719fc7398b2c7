from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import copy_version
from test_artifact import rewrite

from model import ArtifactError, Classifier, Registry, RegistryError
from model.artifact import read_manifest

ROOT = Path(__file__).resolve().parents[1]


def add_variant(registry: Registry, version: Path, name: str) -> str:
    """Another version: the same tables under another name."""
    staged = copy_version(version, registry.root / f".staging-{name}")
    rewrite(staged, model_version=name)
    return registry.add(staged)


def test_an_empty_registry_says_so(tmp_path):
    registry = Registry(tmp_path / "none")
    assert registry.versions() == []
    assert registry.current() is None
    assert registry.log() == []
    with pytest.raises(RegistryError, match="no live version"):
        registry.current_folder()


def test_the_live_version_is_a_link_that_can_be_opened(registry):
    current = registry.current()
    assert registry.versions() == [current]
    assert Classifier.load(registry.root / "current").version == current
    assert registry.live_since() == registry.log()[-1]["time"]


def test_promotions_and_rollbacks_are_logged_in_order(registry, version):
    first = registry.current()
    second = add_variant(registry, version, "v2")
    third = add_variant(registry, version, "v3")
    registry.promote(second, reason="better", by="me")
    registry.promote(third)
    assert registry.rollback() == second
    assert registry.rollback() == first
    with pytest.raises(RegistryError, match="no earlier version"):
        registry.rollback()
    assert [(e["action"], e["version"], e["previous"]) for e in registry.log()] == [
        ("promote", first, None),
        ("promote", "v2", first),
        ("promote", "v3", "v2"),
        ("rollback", "v2", "v3"),
        ("rollback", first, "v2"),
    ]
    assert registry.log()[1]["reason"] == "better"
    assert registry.log()[1]["by"] == "me"


def test_an_altered_version_is_not_promoted(registry, version):
    before = registry.current()
    add_variant(registry, version, "v2")
    (registry.root / "v2" / "terms.json").write_text("[]")
    with pytest.raises(ArtifactError, match=r"terms\.json"):
        registry.promote("v2")
    assert registry.current() == before


def test_an_unknown_version_is_named(registry):
    with pytest.raises(RegistryError, match='no version "v9"'):
        registry.promote("v9")


def test_adding_a_version_twice_keeps_the_first(registry, version):
    assert add_variant(registry, version, "v2") == add_variant(registry, version, "v2")
    assert len(registry.versions()) == 2


def test_a_half_written_log_line_is_skipped_and_the_next_one_whole(registry, version):
    with (registry.root / "promotions.jsonl").open("a") as stream:
        stream.write('{"time": "20')
    registry.promote(add_variant(registry, version, "v2"))
    assert [e["version"] for e in registry.log()][1:] == ["v2"]


def test_a_logged_promotion_that_never_happened_does_not_mislead(registry, version):
    first = registry.current()
    registry.promote(add_variant(registry, version, "v2"))
    add_variant(registry, version, "v3")
    registry._log("v3", "promote", "killed before the link moved", "")
    assert registry.current() == "v2"
    assert registry.rollback() == first


def test_old_leftovers_of_killed_processes_are_removed(registry, version):
    leftover = registry.root / ".staging-dead"
    leftover.mkdir()
    (leftover / "x").write_text("x")
    os.utime(leftover, (0, 0))
    add_variant(registry, version, "v2")
    assert not leftover.exists()


def test_a_registry_that_cannot_be_written_says_so(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RegistryError, match="cannot be written"):
        Registry(blocked / "registry").promote("v1")


PROMOTE_FOREVER = """
import sys
from model import Registry
registry = Registry(sys.argv[1])
while True:
    for version in registry.versions():
        registry.promote(version)
        print(version, flush=True)
"""


def test_killed_at_any_moment_of_promotion_the_registry_is_whole(registry, version):
    add_variant(registry, version, "v2")
    generator = random.Random(11)
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", PROMOTE_FOREVER, str(registry.root)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(generator.random() * 0.05)
            os.kill(process.pid, signal.SIGKILL)
        current = registry.current()
        assert Classifier.load(registry.root / "current").version == current
        assert read_manifest(registry.current_folder())["model_version"] == current
    registry.promote("v2")
    assert registry.current() == "v2"
