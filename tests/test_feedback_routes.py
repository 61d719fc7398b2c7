from __future__ import annotations

import json

import pytest

from model import Classifier, Registry
from model.artifact import STAGING_PREFIX, read_manifest, write_manifest
from service import create_app
from service.keys import create_key
from service.settings import Settings

TEXT = "Twitter has permanently suspended the account of the former president."


@pytest.fixture
def settings(version, tmp_path):
    create_key(tmp_path / "keys", "anna", ["classify", "feedback", "admin"])
    key = create_key(tmp_path / "keys", "bruno", ["classify", "feedback", "admin"])
    settings = Settings(
        model=version,
        database_url=f"sqlite:///{tmp_path}/new/folder/feedback.db",
        keys_file=tmp_path / "keys",
        review_percent=100,
    )
    return settings, key


@pytest.fixture
def kept(settings):
    """A client that shows bruno's key, of an application that keeps feedback."""
    app = create_app(settings[0])
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {settings[1]}"
    return client


def give(client, text=TEXT, topics=("deplatforming",), **more):
    body = {
        "text": text,
        "topics": list(topics),
        "model": client.get("/v1/model").json["version"],
        **more,
    }
    return client.post("/v1/feedback", json=body)


def problem(answer, status: int, name: str) -> dict:
    assert answer.status_code == status, answer.data
    document = answer.get_json(force=True)
    assert document["type"] == f"urn:vigie:problem:{name}"
    return document


def test_feedback_is_off_until_a_database_is_set(client, version):
    body = {"text": TEXT, "topics": [], "model": "v1"}
    found = problem(client.post("/v1/feedback", json=body), 404, "feedback-off")
    assert found["title"] == "Feedback is off"
    assert "VIGIE_DATABASE_URL" in found["detail"]
    assert "sqlite:///var/feedback.db" in found["detail"]


def test_a_correction_is_kept_beside_what_the_model_said(kept, classifier):
    answer = give(kept, topics=["fraud"], comment="a comment")
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/v1/feedback/1"
    (prediction,) = classifier.predict([TEXT])
    listed = kept.get("/v1/feedback").json
    assert listed["next"] is None
    (found,) = listed["feedback"]
    assert found.pop("given_at").endswith("+00:00")
    scores = found["model"].pop("scores")
    assert scores == pytest.approx(prediction.scores, abs=1e-6)
    assert found == {
        "id": 1,
        "kind": "correction",
        "text": TEXT,
        "language": "en",
        "topics": ["fraud"],
        "model": {"version": classifier.version, "topics": list(prediction.topics)},
        "comment": "a comment",
        "given_by": "bruno",
        "reviewed": False,
        "reviewed_by": None,
        "reviewed_at": None,
    }
    assert "text" not in answer.json


def test_the_models_own_topics_in_any_order_confirm_it(kept, classifier):
    (prediction,) = classifier.predict([TEXT])
    assert give(kept, topics=prediction.topics[::-1]).json["kind"] == "confirmation"
    assert give(kept, topics=[*prediction.topics, "fraud"]).json["kind"] == "correction"


def test_feedback_on_an_earlier_version_is_scored_by_that_version(
    registry: Registry, version, tmp_path
):
    from conftest import copy_version

    earlier = registry.current()
    staged = copy_version(version, registry.root / f"{STAGING_PREFIX}other")
    manifest = read_manifest(staged)
    for point in manifest["operating_points"]["balanced"]:
        point["threshold"] = 0.0
    manifest["scope"]["thresholds"]["balanced"] = 0.0
    manifest["model_version"] = "vother"
    write_manifest(staged, manifest)
    registry.promote(registry.add(staged))
    app = create_app(
        Settings(registry=registry.root, database_url=f"sqlite:///{tmp_path}/feedback.db")
    )
    client = app.test_client()
    assert client.get("/v1/model").json["version"] == "vother"
    body = {"text": TEXT, "topics": [], "model": earlier}
    found = client.post("/v1/feedback", json=body).json["model"]
    old = Classifier.load(registry.root / earlier)
    assert found["version"] == earlier
    assert found["topics"] == list(old.predict([TEXT])[0].topics)
    found = client.post("/v1/feedback", json={**body, "model": "vother"}).json["model"]
    assert len(found["topics"]) == len(old.topics)
    for unknown in ("v0", "../registry", "current", ""):
        answer = client.post("/v1/feedback", json={**body, "model": unknown})
        assert problem(answer, 422, "invalid")["where"] == "model"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"text": " \n"}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": 1}, "text"),
        ({"topics": ["deplatformin"]}, "topics"),
        ({"topics": ["fraud", "fraud"]}, "topics"),
        ({"topics": "fraud"}, "topics"),
        ({"comment": "x" * 2001}, "comment"),
        ({"comment": "\0"}, "comment"),
        ({"coment": "x"}, "coment"),
    ],
)
def test_bad_feedback_is_refused_with_its_place(kept, change, where):
    body = {"text": TEXT, "topics": [], "model": kept.get("/v1/model").json["version"], **change}
    found = problem(kept.post("/v1/feedback", json=body), 422, "invalid")
    assert found["where"] == where
    assert kept.get("/v1/feedback").json["feedback"] == []


def test_a_text_beyond_the_limit_is_refused(kept):
    found = problem(give(kept, text="x" * 100_001), 413, "too-large")
    assert (found["where"], found["limit"]) == ("text", 100_000)


def test_feedback_is_listed_in_pages(kept):
    for number in range(5):
        give(kept, text=f"{TEXT} {number}")
    first = kept.get("/v1/feedback?limit=2").json
    assert ([f["id"] for f in first["feedback"]], first["next"]) == ([1, 2], 2)
    last = kept.get("/v1/feedback?limit=3&after=2").json
    assert ([f["id"] for f in last["feedback"]], last["next"]) == ([3, 4, 5], None)
    for query in ("limit=0", "limit=501", "after=-1", f"after={2**63}", "page=1", "reviewed=x"):
        problem(kept.get(f"/v1/feedback?{query}"), 422, "invalid")


def test_reviewed_feedback_is_exported_as_passages(kept, tmp_path):
    from training.passages import read_passages

    for number in range(3):
        give(kept, text=f"{TEXT} {number}", topics=["deplatforming", "boycott"])
    assert kept.get("/v1/feedback/export").data == b""
    answer = kept.patch("/v1/feedback/2", json={"reviewed": True})
    assert (answer.json["reviewed"], answer.json["reviewed_by"]) == (True, "bruno")
    answer = kept.get("/v1/feedback/export")
    assert answer.content_type == "application/x-ndjson"
    path = tmp_path / "export.jsonl"
    path.write_bytes(answer.data)
    (passage,) = read_passages([path])
    assert (passage.text, passage.topics, passage.lang) == (
        f"{TEXT} 1",
        ("deplatforming", "boycott"),
        "en",
    )
    assert passage.event == passage.id
    assert passage.event.startswith("feedback-")
    assert len(kept.get("/v1/feedback/export?reviewed=all").data.splitlines()) == 3
    assert len(kept.get("/v1/feedback/export?reviewed=false").data.splitlines()) == 2
    kept.patch("/v1/feedback/2", json={"reviewed": False})
    assert kept.get("/v1/feedback/export").data == b""


def test_of_two_labels_of_a_text_the_newest_is_exported(kept):
    for topics in (["fraud"], ["boycott"]):
        give(kept, topics=topics)
    give(kept, text=TEXT.upper() + "\n ", topics=["migration"])
    for identifier in (1, 2):
        kept.patch(f"/v1/feedback/{identifier}", json={"reviewed": True})
    (line,) = kept.get("/v1/feedback/export").data.splitlines()
    assert json.loads(line)["topics"] == ["boycott"]
    (line,) = kept.get("/v1/feedback/export?reviewed=all").data.splitlines()
    assert json.loads(line)["topics"] == ["migration"]


def test_feedback_is_deleted_by_id(kept):
    give(kept)
    assert kept.delete("/v1/feedback/1").status_code == 204
    problem(kept.delete("/v1/feedback/1"), 404, "not-found")
    problem(kept.patch("/v1/feedback/1", json={"reviewed": True}), 404, "not-found")
    assert kept.get("/v1/feedback").json["feedback"] == []
    assert give(kept).json["id"] == 2


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, "9" * 5000, "-1", "x", "%D9%A1"])
def test_an_id_beyond_all_bounds_is_not_found(kept, number):
    problem(kept.delete(f"/v1/feedback/{number}"), 404, "not-found")
    problem(kept.delete(f"/v1/review/{number}"), 404, "not-found")


def test_feedback_is_deleted_by_age(kept):
    give(kept)
    assert kept.delete("/v1/feedback?older_than=1h").json == {"deleted": 0}
    assert kept.delete("/v1/feedback?older_than=0h").json == {"deleted": 1}
    for query in ("", "?older_than=soon", "?older_than=-1d", "?older_than=999999w"):
        problem(kept.delete(f"/v1/feedback{query}"), 422, "invalid")


def test_uncertain_passages_wait_for_review(kept, passages):
    listed = [{"text": p.text} for p in passages[:900]]
    listed += [{"text": f"Zorblax quixnorp vantrub{n} glimwok frobnicate"} for n in range(5)]
    results = kept.post("/v1/classify", json={"passages": listed}).json["results"]
    kept.application.extensions["vigie_review"].write()
    waiting = kept.get("/v1/review?limit=500").json["passages"]
    near = {
        passage["text"]
        for passage, result in zip(listed, results, strict=True)
        if {"near_threshold", "low_vocabulary_coverage"} & set(result["reasons"])
    }
    assert waiting
    assert {passage["text"] for passage in waiting} <= near
    margins = [passage["margin"] for passage in waiting]
    assert margins == sorted(margins)
    first = waiting[0]
    give(kept, text=first["text"], topics=["fraud"])
    assert kept.delete(f"/v1/review/{waiting[1]['id']}").status_code == 204
    problem(kept.delete(f"/v1/review/{waiting[1]['id']}"), 404, "not-found")
    left = kept.get("/v1/review?limit=500").json["passages"]
    assert [p["id"] for p in left] == [p["id"] for p in waiting[2:]]


@pytest.mark.parametrize("way", ["classify", "articles", "stream"])
def test_every_way_to_classify_feeds_the_review_queue(kept, way):
    text = "Zorblax quixnorp vantrub glimwok frobnicate snarvel blimt."
    if way == "classify":
        answer = kept.post("/v1/classify", json={"text": text})
    elif way == "articles":
        answer = kept.post("/v1/articles", json={"text": f"{TEXT}\nRead also: More\n{text}"})
    else:
        line = json.dumps({"text": text}).encode()
        answer = kept.post("/v1/classify", data=line, content_type="application/x-ndjson")
    assert answer.status_code == 200
    assert answer.data
    kept.application.extensions["vigie_review"].write()
    waiting = {passage["text"] for passage in kept.get("/v1/review").json["passages"]}
    assert text in waiting
    assert "Read also: More" not in waiting


def test_nothing_waits_while_feedback_is_off(client, passages):
    client.post("/v1/classify", json={"passages": [{"text": p.text} for p in passages]})
    assert client.application.extensions["vigie_review"] is None
    assert client.application.extensions["vigie_feedback"] is None


def test_without_a_model_feedback_is_answered_with_the_reason(tmp_path):
    settings = Settings(
        registry=tmp_path / "none", database_url=f"sqlite:///{tmp_path}/feedback.db"
    )
    body = {"text": TEXT, "topics": [], "model": "v1"}
    problem(create_app(settings).test_client().post("/v1/feedback", json=body), 503, "no-model")
