from __future__ import annotations

import json

import pytest

from model import Taxonomy
from service import create_app
from service.settings import Settings

TEXT = "Twitter a suspendu le compte de l'ancien président pour incitation à la violence."


def post(client, body, content_type="application/json"):
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return client.post("/v1/classify", data=data, content_type=content_type)


def problem(response, status: int, name: str) -> dict:
    assert response.status_code == status, response.data
    assert response.content_type == "application/problem+json"
    document = response.get_json(force=True)
    assert document["type"] == f"urn:vigie:problem:{name}"
    assert document["status"] == status
    assert document["detail"]
    return document


def test_one_text_is_classified(client, classifier):
    answer = post(client, {"text": TEXT}).get_json()
    assert answer["model"]["version"] == classifier.version
    (result,) = answer["results"]
    assert set(result) == {
        "id", "language", "topics", "scope", "scores", "needs_review", "reasons", "truncated",
        "vocabulary_coverage",
    }  # fmt: skip
    assert result["language"] == "fr"
    assert list(result["scores"]) == list(classifier.topics)
    expected = classifier.predict([TEXT])[0]
    assert result["topics"] == list(expected.topics)
    assert result["scores"]["deplatforming"] == pytest.approx(
        expected.scores["deplatforming"], abs=1e-6
    )


def test_passages_are_answered_in_order_with_their_ids(client):
    body = {"passages": [{"id": "b", "text": TEXT}, {"id": 7, "text": "Rien."}, {"text": "x"}]}
    results = post(client, body).get_json()["results"]
    assert [r["id"] for r in results] == ["b", 7, None]


def test_other_keys_of_a_passage_are_ignored(client):
    body = {"passages": [{"id": "1", "text": TEXT, "lang": "fr", "event": "e", "topics": []}]}
    assert post(client, body).status_code == 200


def test_no_passages_give_no_results(client):
    assert post(client, {"passages": []}).get_json()["results"] == []


def test_explanations_point_into_the_text(client):
    text = "😀 " + TEXT
    body = {"text": text, "explain": True, "topics": ["deplatforming", "lawsuit"]}
    (result,) = post(client, body).get_json()["results"]
    assert set(result["scores"]) == set(result["explanation"]) == {"deplatforming", "lawsuit"}
    for parts in result["explanation"].values():
        for part in parts:
            assert text[part["start"] : part["end"]] == part["text"]


def test_the_operating_point_decides_and_unreached_topics_are_named(client, classifier):
    for point in ("precision", "recall"):
        model = post(client, {"text": TEXT, "operating_point": point}).get_json()["model"]
        assert model["operating_point"] == point
        listed = classifier.manifest["operating_points"][point]
        assert model["unreached"] == [t["topic"] for t in listed if not t["reached"]]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b'{"text": "\xff"}', b'{"text": "\\ud800"}', b"[" * 100_000]
)
def test_what_is_not_json_is_said_so(client, body):
    assert "not JSON" in problem(post(client, body), 400, "not-json")["detail"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body"),
        ([], "body"),
        ({"text": 3}, "text"),
        ({"text": None}, "body"),
        ({"text": "a", "passages": []}, "body"),
        ({"passages": [{"text": "a"}, {"text": ["b"]}]}, "passages[1].text"),
        ({"passages": [{"id": "a"}]}, "passages[0].text"),
        ({"passages": [{"id": [1], "text": "a"}]}, "passages[0].id"),
        ({"passages": [{"id": 2**64, "text": "a"}]}, "passages[0].id"),
        ({"passages": "a"}, "passages"),
        ({"text": "a", "explain": "yes"}, "explain"),
        ({"text": "a", "operating_point": "fast"}, "operating_point"),
        ({"text": "a", "topics": ["lawsuits"]}, "topics"),
        ({"text": "a", "topics": []}, "topics"),
        ({"text": "a", "explian": True}, "explian"),
    ],
)
def test_a_wrong_shape_is_said_with_its_place(client, body, where):
    assert problem(post(client, body), 422, "invalid")["where"] == where


def test_an_unknown_topic_has_a_suggestion(client):
    document = problem(post(client, {"text": "a", "topics": ["lawsuits"]}), 422, "invalid")
    assert 'did you mean "lawsuit"' in document["detail"]


def test_nul_and_controls_are_text_like_any_other(client):
    assert post(client, {"text": "\x00\x1b[2J" + TEXT}).status_code == 200


def test_limits_are_named(client):
    document = problem(post(client, b'{"text": "' + b"a" * 11_000_000 + b'"}'), 413, "too-large")
    assert document["limit"] == 10_000_000
    many = {"passages": [{"text": "a"}] * 1001}
    document = problem(post(client, many), 413, "too-large")
    assert (document["where"], document["limit"]) == ("passages", 1000)
    long = {"passages": [{"text": "a"}, {"text": "a" * 100_001}]}
    document = problem(post(client, long), 413, "too-large")
    assert (document["where"], document["limit"]) == ("passages[1].text", 100_000)
    assert post(client, {"text": "a" * 100_000}).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(client, content_type):
    problem(post(client, {"text": "a"}, content_type), 415, "unsupported-media-type")


def test_compressed_bodies_are_refused(client):
    headers = {"Content-Encoding": "gzip"}
    response = client.post("/v1/classify", json={"text": "a"}, headers=headers)
    problem(response, 415, "unsupported-media-type")


def test_wrong_methods_and_paths_are_problems(client):
    response = client.get("/v1/classify")
    problem(response, 405, "method-not-allowed")
    assert "POST" in response.headers["Allow"]
    problem(client.get("/v2/classify"), 404, "not-found")


def test_no_problem_repeats_the_text(client):
    secret = "a very particular wording"
    for body in (
        {"text": [secret]},
        {"passages": [{"text": {"x": secret}}]},
        f'{{"text": "{secret}',
    ):
        assert secret not in post(client, body).get_data(as_text=True)


def test_topics_come_with_definitions_thresholds_and_figures(client):
    answer = client.get("/v1/topics").get_json()
    assert [t["slug"] for t in answer["topics"]] == list(Taxonomy.default().slugs)
    first = answer["topics"][0]
    assert first["name"] == {"fr": "Action en justice", "en": "Lawsuit"}
    assert first["codes"]["iptc"]
    assert set(first["thresholds"]) == {"balanced", "precision", "recall"}
    assert set(first["thresholds"]["balanced"]) == {"threshold", "precision", "recall", "reached"}
    assert set(first["held_out"]) == {"precision", "recall", "f1", "support"}


def test_the_model_says_what_it_is(client, classifier, passages):
    answer = client.get("/v1/model").get_json()
    assert answer["version"] == classifier.version
    assert answer["training"]["passages"] == len(passages)
    assert "micro_f1" in answer["metrics"]
    listed = client.get("/v1/models").get_json()
    assert listed["live"] == classifier.version


def test_health_and_readiness(client, classifier):
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json()["model"] == classifier.version


def test_without_a_model_the_service_lives_but_is_not_ready(tmp_path):
    client = create_app(Settings(registry=tmp_path)).test_client()
    assert client.get("/healthz").status_code == 200
    problem(client.get("/readyz"), 503, "no-model")
    problem(post(client, {"text": "a"}), 503, "no-model")


def test_models_of_a_registry_are_listed(registry):
    client = create_app(Settings(registry=registry.root)).test_client()
    (entry,) = client.get("/v1/models").get_json()["models"]
    assert entry["version"] == registry.current()
    assert entry["live"] is True
    assert entry["live_since"] == registry.live_since()


def test_an_error_of_our_own_is_a_problem_without_a_trace(app, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("inside")

    monkeypatch.setattr("service.results.classify", fail)
    response = post(app.test_client(), {"text": "a"})
    document = problem(response, 500, "error")
    assert "inside" not in json.dumps(document)
    assert "inside" in caplog.text
