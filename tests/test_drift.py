from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import running, wait_for

from service import create_app
from service.drift import (
    SLOT_SECONDS,
    SLOTS,
    STEP_SLOTS,
    STEPS,
    DriftCollector,
    Traffic,
    Window,
    compare,
    history,
)
from service.settings import Settings
from service.tally import LanguageTally, Tally
from training.passages import Passage
from training.reference import reference

TEXT = "Twitter a suspendu le compte du sénateur après des messages de haine."


def results(*entries: tuple[str, list[str], float]) -> list[dict]:
    return [
        {"language": lang, "topics": topics, "vocabulary_coverage": coverage, "reasons": []}
        for lang, topics, coverage in entries
    ]


def counted(*entries: tuple[str, list[str], float]) -> Tally:
    found = Tally()
    found.add(results(*entries))
    return found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_tally_counts_by_language():
    seen = counted(("fr", ["a", "b"], 0.5), ("fr", ["a"], 1.0), ("en", [], 0.25))
    assert seen.passages == 3
    assert seen.topics == {"a": 2, "b": 1}
    assert seen.languages["fr"] == LanguageTally(2, 1.5, {"a": 2, "b": 1})


def test_what_is_older_than_the_window_is_forgotten():
    clock = Clock()
    window = Window(clock)
    window.add(counted(("fr", ["a"], 1.0)))
    clock.now += SLOT_SECONDS * (SLOTS - 1)
    window.add(counted(("fr", ["b"], 0.5)))
    assert window.total()["fr"].passages == 2
    clock.now += SLOT_SECONDS
    total = window.total()
    assert total["fr"].passages == 1
    assert {topic: n for topic, n in total["fr"].topics.items() if n} == {"b": 1}
    clock.now += SLOT_SECONDS * SLOTS
    assert window.total() == {}


@given(st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(["fr", "en"])), max_size=60))
def test_a_window_holds_what_a_full_count_of_its_slots_would(steps):
    clock = Clock()
    window = Window(clock)
    added: list[tuple[int, str]] = []
    for seconds, language in steps:
        clock.now += seconds
        window.add(counted((language, [language], 1.0)))
        added.append((int(clock.now // SLOT_SECONDS), language))
    now = int(clock.now // SLOT_SECONDS)
    expected = [language for slot, language in added if slot > now - SLOTS]
    total = {language: entry.passages for language, entry in window.total().items()}
    assert total == {language: expected.count(language) for language in set(expected)}


def test_windows_of_live_workers_are_added_and_dead_ones_forgotten(tmp_path):
    traffic = Traffic(tmp_path)
    traffic.window.add(counted(("fr", ["a"], 1.0)))
    traffic.write()
    content = json.dumps({"7": {"fr": [2, 1.0, {"b": 2}]}, "8": {"en": [1, 0.5, {}]}})
    (tmp_path / f"window-{os.getppid()}.json").write_text(content)
    dead = tmp_path / "window-4194305.json"
    dead.write_text(content)
    total = traffic.total()
    assert total["fr"] == LanguageTally(3, 2.0, {"a": 1, "b": 2})
    assert total["en"].passages == 1
    assert not dead.exists()


def test_the_window_in_steps_is_added_over_workers_oldest_first(tmp_path):
    clock = Clock()
    traffic = Traffic(tmp_path, clock)
    traffic.window.add(counted(("fr", ["a"], 1.0)))
    clock.now += 2 * SLOT_SECONDS * STEP_SLOTS
    traffic.window.add(counted(("fr", ["a", "b"], 0.5), ("fr", [], 1.0), ("en", [], 0.25)))
    now = int(clock.now // (SLOT_SECONDS * STEP_SLOTS))
    others = json.dumps({now: {"fr": [2, 1.0, {"b": 2}]}, now - STEPS: {"fr": [9, 9.0, {}]}})
    (tmp_path / f"window-{os.getppid()}.json").write_text(others)
    steps = history(traffic.steps())
    assert steps["step_seconds"] == 300
    assert len(steps["history"]) == STEPS == 12
    assert steps["history"][:9] == [{}] * 9
    assert steps["history"][9] == {
        "fr": {"passages": 1, "vocabulary_coverage": 1.0, "topics": {"a": 1.0}}
    }
    assert steps["history"][10] == {}
    assert steps["history"][11] == {
        "en": {"passages": 1, "vocabulary_coverage": 0.25, "topics": {}},
        "fr": {"passages": 4, "vocabulary_coverage": 0.625, "topics": {"a": 0.25, "b": 0.75}},
    }
    clock.now += SLOT_SECONDS * SLOTS
    assert history(Traffic(None, clock).steps())["history"] == [{}] * 12


REFERENCE = {
    "en": {"passages": 50, "vocabulary_coverage": 0.9, "topics": {"a": 0.1, "b": 0.0}},
    "fr": {"passages": 150, "vocabulary_coverage": 0.95, "topics": {"a": 0.2, "b": 0.5}},
}


def test_traffic_like_training_shows_no_drift():
    entries = [("fr", ["a"] if i % 5 == 0 else ["b"] if i % 2 else [], 0.95) for i in range(300)]
    entries += [("en", ["a"] if i % 10 == 0 else [], 0.9) for i in range(100)]
    compared = compare(counted(*entries).languages, REFERENCE)
    assert compared["passages"] == 400
    french = compared["languages"]["fr"]
    assert french["share"] == {"recent": 0.75, "training": 0.75, "z": 0.0}
    assert french["vocabulary_coverage"] == {"recent": 0.95, "training": 0.95}
    assert french["topics"]["a"] == {"recent": 0.2, "training": 0.2, "z": 0.0}
    assert abs(french["topics"]["b"]["z"]) < 4


def test_a_wave_of_one_topic_stands_out():
    entries = [("fr", ["a"], 0.6)] * 200
    compared = compare(counted(*entries).languages, REFERENCE)["languages"]
    assert compared["fr"]["topics"]["a"]["z"] == pytest.approx(28.28, abs=0.01)
    assert compared["fr"]["vocabulary_coverage"]["recent"] == 0.6
    assert compared["fr"]["share"]["z"] > 4
    assert compared["en"]["topics"]["a"] == {"recent": None, "training": 0.1, "z": None}


def test_no_traffic_and_no_reference_are_said_so():
    assert compare({}, REFERENCE)["languages"]["fr"]["share"]["recent"] is None
    compared = compare(counted(("fr", ["a"], 1.0)).languages, None)["languages"]["fr"]
    assert compared["topics"]["a"] == {"recent": 1.0, "training": None, "z": None}


def test_a_comparison_has_its_gauges():
    compared = compare(counted(("fr", ["a"], 0.5)).languages, REFERENCE)
    families = {family.name: family for family in DriftCollector(compared).collect()}
    rates = families["vigie_drift_topic_rate"].samples
    assert {
        "language": "fr", "topic": "a", "of": "training",
    } in [sample.labels for sample in rates]  # fmt: skip
    assert families["vigie_drift_passages"].samples[0].value >= 0
    assert set(families) == {
        "vigie_drift_passages",
        "vigie_drift_language_share",
        "vigie_drift_vocabulary_coverage",
        "vigie_drift_topic_rate",
        "vigie_drift_topic_z",
    }


def test_the_reference_holds_rates_by_language_as_the_model_gives_them():
    import numpy as np

    passages = [
        Passage("1", "platform banned", ("a",), "e1", "en"),
        Passage("2", "platform rules", (), "e2", "en"),
        Passage("3", "plateforme inconnue", ("b",), "e3", "fr"),
    ]
    decided = np.array([[True, False], [True, False], [False, False]])
    found = reference(passages, decided, ("a", "b"), ["~platform", "~bann", "^platf"])
    assert found["en"] == {
        "passages": 2,
        "vocabulary_coverage": 0.75,
        "topics": {"a": 1.0, "b": 0.0},
    }
    assert found["fr"]["topics"] == {"a": 0.0, "b": 0.0}


def test_a_trained_version_has_a_reference_close_to_what_it_does(classifier, passages):
    kept = classifier.manifest["training"]["reference"]
    texts = [p.text for p in passages if p.lang == "fr"]
    coverage = [prediction.vocabulary_coverage for prediction in classifier.predict(texts)]
    assert kept["fr"]["passages"] == len(texts)
    assert kept["fr"]["vocabulary_coverage"] == pytest.approx(
        sum(coverage) / len(coverage), abs=0.001
    )
    assert set(kept["fr"]["topics"]) == set(classifier.topics)


def test_only_comparable_requests_are_counted(version):
    client = create_app(Settings(model=version)).test_client()
    client.post("/v1/classify", json={"text": TEXT})
    client.post("/v1/articles", json={"text": f"{TEXT}\nLire aussi : Rien"})
    client.post("/v1/classify", json={"text": TEXT, "operating_point": "recall"})
    client.post("/v1/classify", json={"text": TEXT, "topics": ["lawsuit"]})
    drift = client.get("/v1/drift").get_json()
    assert drift["passages"] == 2
    assert drift["window_seconds"] == 3600
    assert drift["languages"]["fr"]["share"]["recent"] == 1.0
    assert drift["languages"]["fr"]["topics"]["deplatforming"]["training"] is not None


def test_any_worker_tells_the_traffic_of_all(version, tmp_path):
    with running(tmp_path, "--model", str(version), workers=2) as service:
        for _ in range(60):
            assert service.classify(TEXT).status == 200
        wait_for(
            lambda: {service.get("/v1/drift").json()["passages"] for _ in range(8)} == {60},
            "both workers to know of 60 passages",
        )
