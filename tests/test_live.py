from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field

import pytest
from conftest import copy_version
from running import JSON, running, wait_for
from test_artifact import rewrite

from model import ArtifactError
from service.live import ModelSource, load_checked
from service.settings import Settings

TEXT = "Twitter a suspendu le compte du sénateur après des messages de haine."


@dataclass
class Heard:
    served: list[tuple[str, str | None]] = field(default_factory=list)
    refusals: int = 0

    def serving(self, version: str, before: str | None) -> None:
        self.served.append((version, before))

    def refused(self) -> None:
        self.refusals += 1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def add(registry, version, name, **changes) -> str:
    staged = copy_version(version, registry.root / f".staging-{name}")
    rewrite(staged, model_version=name, **changes)
    return registry.add(staged)


def source_of(registry, heard=None, clock=time.monotonic) -> ModelSource:
    return ModelSource(Settings(registry=registry.root), heard, clock)


def point_at(registry, name: str) -> None:
    """Makes a folder live without the checks of a promotion."""
    link = registry.root / "current"
    link.unlink()
    link.symlink_to(name)


def test_a_promotion_is_followed_and_told(registry, version):
    heard = Heard()
    first = registry.current()
    source = source_of(registry, heard)
    registry.promote(add(registry, version, "v2"))
    source.refresh()
    assert source.current.classifier.version == "v2"
    assert source.current.since == registry.live_since()
    source.refresh()
    assert heard.served == [(first, None), ("v2", first)]
    registry.rollback()
    source.refresh()
    assert source.current.classifier.version == first


def test_the_same_version_is_not_loaded_again(registry):
    source = source_of(registry)
    live = source.current
    source.refresh()
    assert source.current is live


def damage_digest(folder):
    (folder / "terms.json").write_text("[]")


def damage_scores(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["self_check"][0]["log_odds"][0] += 0.001
    rewrite(folder, self_check=manifest["self_check"])


def damage_reference(folder):
    rewrite(folder, self_check=[])


def damage_shape(folder):
    rewrite(folder, self_check=[{"text": "a", "log_odds": [0.0]}])


def damage_manifest(folder):
    (folder / "manifest.json").write_text("{")


def damage_all(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        damage_digest,
        damage_scores,
        damage_reference,
        damage_shape,
        damage_manifest,
        damage_all,
    ],
)
def test_a_bad_version_is_refused_once_and_the_old_one_stays(registry, version, damage, caplog):
    heard = Heard()
    source = source_of(registry, heard)
    first = source.current
    damage(copy_version(version, registry.root / "bad"))
    point_at(registry, "bad")
    for _ in range(5):
        source.refresh()
    assert source.current is first
    assert heard.refusals == 1
    said = [r.getMessage() for r in caplog.records if "version refused" in r.getMessage()]
    assert len(said) == 1
    assert "bad" in said[0]


def test_whatever_a_version_raises_the_old_one_stays(registry, version, monkeypatch):
    source = source_of(registry)
    first = source.current
    registry.promote(add(registry, version, "v2"))

    def fail(_):
        raise MemoryError

    monkeypatch.setattr("service.live.load_checked", fail)
    source.refresh()
    assert source.current is first


def test_a_refused_version_is_tried_again_later_or_when_it_is_mended(registry, version):
    heard, clock = Heard(), Clock()
    source = source_of(registry, heard, clock)
    bad = copy_version(version, registry.root / "bad")
    kept = (bad / "terms.json").read_bytes()
    damage_digest(bad)
    point_at(registry, "bad")
    source.refresh()
    clock.now += 61
    source.refresh()
    assert heard.refusals == 2
    (bad / "terms.json").write_bytes(kept)
    rewrite(bad, model_version="bad")
    source.refresh()
    assert source.current.classifier.version == "bad"
    assert heard.refusals == 2


def test_self_check_says_how_far_off_the_scores_are(version, tmp_path):
    folder = copy_version(version, tmp_path / "v")
    damage_scores(folder)
    with pytest.raises(ArtifactError, match=r"self-check failed: .* off by 0\.001 in log-odds"):
        load_checked(folder)


def test_a_source_starts_without_a_model_and_finds_one_later(registry, version, tmp_path):
    first = registry.current()
    (registry.root / "current").rename(registry.root / "kept")
    source = source_of(registry)
    assert source.current is None
    (registry.root / "kept").rename(registry.root / "current")
    source.refresh()
    assert source.current.classifier.version == first


def test_under_load_with_two_workers_no_request_fails_and_no_answer_mixes_versions(
    registry, version, tmp_path
):
    """Versions that score apart: an answer must be the one that its version gives."""
    manifest = json.loads((version / "manifest.json").read_text())
    raised = [
        {**entry, "log_odds": [value + 1.0 for value in entry["log_odds"]]}
        for entry in manifest["self_check"]
    ]
    bias = [value + 1.0 for value in manifest["bias"]]
    names = [add(registry, version, "v2", bias=bias, self_check=raised), registry.current()]
    passages = [{"text": f"{TEXT} {i}"} for i in range(20)]
    body = json.dumps({"passages": passages})
    answers: list[tuple[int, dict]] = []
    failures: list[Exception] = []
    stopped = threading.Event()
    with running(tmp_path, "--registry", str(registry.root), workers=2) as service:

        def ask():
            while not stopped.is_set():
                try:
                    answer = service.ask("POST", "/v1/classify", body, {"Content-Type": JSON})
                    answers.append((answer.status, answer.json()))
                except Exception as error:  # noqa: BLE001 - any failure is one too many
                    failures.append(error)

        def scores_of(answer: dict) -> tuple[float, ...]:
            return tuple(result["scores"]["lawsuit"] for result in answer["results"])

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(4):
            registry.promote(names[turn % 2])
            time.sleep(1.5)
        point_at(registry, "nothing-there")
        time.sleep(1.5)
        stopped.set()
        for thread in threads:
            thread.join()
        wait_for(
            lambda: "reload_failures_total 2.0" in service.get("/metrics").body.decode(),
            "both workers to refuse what is not there",
        )
        assert service.classify(TEXT).json()["model"]["version"] == names[1]
    assert failures == []
    assert {status for status, _ in answers} == {200}
    assert len(answers) > 100
    expected = {
        name: {scores_of(a) for _, a in answers if a["model"]["version"] == name} for name in names
    }
    assert all(len(scores) == 1 for scores in expected.values())
    assert expected[names[0]] != expected[names[1]]
