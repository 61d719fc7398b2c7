from __future__ import annotations

import sqlite3
import statistics
import time
from contextlib import closing

import pytest
from servers import call, serving

from service import create_app
from service.keys import create_key
from service.settings import Settings

BODY = {"text": "Twitter has permanently suspended the account."}
ADMIN_CALLS = [
    ("GET", "/v1/feedback"),
    ("GET", "/v1/feedback/export"),
    ("DELETE", "/v1/feedback?older_than=1d"),
    ("DELETE", "/v1/feedback/1"),
    ("PATCH", "/v1/feedback/1"),
    ("POST", "/v1/models/v1/promote"),
    ("POST", "/v1/models/rollback"),
    ("GET", "/v1/models/v1/diff/v2"),
    ("POST", "/v1/models/v1/diff/v2"),
]
REVIEW_CALLS = [("GET", "/v1/review"), ("DELETE", "/v1/review/1")]


@pytest.fixture(scope="module")
def kept(version, tmp_path_factory):
    """An application with keys and feedback, and a key for each scope."""
    folder = tmp_path_factory.mktemp("access")
    keys = {s: create_key(folder / "keys", s, [s]) for s in ("classify", "feedback", "admin")}
    url = f"sqlite:///{folder}/feedback.db"
    app = create_app(Settings(model=version, keys_file=folder / "keys", database_url=url))
    return app, keys


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_without_keys_classifying_is_open_and_the_rest_is_closed(version, tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.db"
    client = create_app(Settings(model=version, database_url=url)).test_client()
    assert client.post("/v1/classify", json=BODY).status_code == 200
    given = {**BODY, "topics": [], "model": client.get("/v1/model").json["version"]}
    answer = client.post("/v1/feedback", json=given)
    assert (answer.status_code, answer.json["given_by"]) == (201, None)
    for method, path in ADMIN_CALLS + REVIEW_CALLS:
        answer = client.open(path, method=method)
        assert answer.status_code == 403, path
        problem = answer.get_json(force=True)
        assert problem["type"] == "urn:vigie:problem:no-keys"
        assert "VIGIE_KEYS_FILE" in problem["detail"]


def test_without_keys_a_key_that_is_shown_opens_nothing(app):
    answer = app.test_client().get("/v1/feedback", headers=bearer("anything"))
    assert answer.status_code == 403


def test_a_call_without_a_key_says_how_to_show_one(kept):
    app, _ = kept
    answer = app.test_client().post("/v1/classify", json=BODY)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="vigie"'
    problem = answer.get_json(force=True)
    assert problem["type"] == "urn:vigie:problem:key-missing"
    assert problem["detail"] == "expected a header Authorization: Bearer KEY"


@pytest.mark.parametrize(
    "header", ["Bearer vigie_x", "Bearer", "Basic dTpw", "Bearer \u00e9\u00e9"]
)
def test_an_unknown_key_is_refused(kept, header):
    app, _ = kept
    answer = app.test_client().post("/v1/classify", json=BODY, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="vigie", error="invalid_token"'
    assert answer.get_json(force=True)["type"] == "urn:vigie:problem:key-unknown"


@pytest.mark.parametrize(
    ("scope", "calls"),
    [
        ("classify", [("POST", "/v1/classify"), ("GET", "/v1/topics"), ("GET", "/v1/models")]),
        ("feedback", [("POST", "/v1/feedback"), *REVIEW_CALLS]),
        ("admin", ADMIN_CALLS),
    ],
)
def test_each_call_needs_its_scope_and_no_other_will_do(kept, scope, calls):
    app, keys = kept
    client = app.test_client()
    for method, path in calls:
        for held, key in keys.items():
            answer = client.open(path, method=method, headers=bearer(key), json={})
            if held == scope:
                assert answer.status_code not in {401, 403}, path
                continue
            assert answer.status_code == 403, path
            problem = answer.get_json(force=True)
            assert problem["type"] == "urn:vigie:problem:missing-scope"
            assert problem["detail"] == f'the key "{held}" does not have the scope {scope}'
            assert (
                f'error="insufficient_scope", scope="{scope}"'
                in (answer.headers["WWW-Authenticate"])
            )


def test_health_stays_open(kept):
    app, _ = kept
    assert app.test_client().get("/healthz").status_code == 200
    assert app.test_client().get("/readyz").status_code == 200


def test_what_does_not_exist_is_not_found_with_or_without_a_key(kept):
    app, keys = kept
    assert app.test_client().get("/v1/nothing").status_code == 404
    assert app.test_client().get("/v1/nothing", headers=bearer(keys["admin"])).status_code == 404


def test_a_refusal_takes_the_same_time_as_a_good_key_whatever_its_reason(kept):
    app, keys = kept
    client = app.test_client()
    asked = {
        "unknown": bearer("vigie_" + "x" * 43),
        "other": bearer("vigie_" + "y" * 43),
        "missing": {},
        "scope": bearer(keys["classify"]),
        "good": bearer(keys["feedback"]),
    }
    times = {name: [] for name in asked}
    statuses = {}
    for _ in range(300):
        for name, headers in asked.items():
            started = time.perf_counter_ns()
            # To who may ask, too, the answer is a problem, so that all have the same work after the key.
            statuses[name] = client.delete("/v1/review/x", headers=headers).status_code
            times[name].append(time.perf_counter_ns() - started)
    assert statuses == {"unknown": 401, "other": 401, "missing": 401, "scope": 403, "good": 404}
    medians = {name: statistics.median(found) for name, found in times.items()}
    assert max(medians.values()) / min(medians.values()) < 1.25, medians


def test_no_key_and_no_text_is_in_any_log(version, tmp_path):
    secret_text = "Zarquon suspended the fenchurch account for vogon poetry."
    comment = "wibblefrotz"
    key = create_key(tmp_path / "keys", "all", ["classify", "feedback", "admin"])
    settings = {
        "keys_file": tmp_path / "keys",
        "database_url": f"sqlite:///{tmp_path}/feedback.db",
        "review_percent": 100,
        "rate_limit": "1000/second",
        "log_level": "debug",
    }
    with serving(tmp_path, "--model", str(version), **settings) as service:
        port = service.port
        model = call(port, "/v1/model", key=key).body["version"]
        given = {"text": secret_text, "topics": ["fraud"], "model": model, "comment": comment}
        assert call(port, "/v1/classify", {"text": secret_text}, key=key).status == 200
        assert call(port, "/v1/feedback", given, key=key).status == 201
        assert call(port, "/v1/feedback", {**given, "topics": 1}, key=key).status == 422
        assert call(port, "/v1/feedback", given, key=key + "x").status == 401
        assert call(port, "/v1/feedback/export?reviewed=all", key=key).status == 200
        with closing(sqlite3.connect(tmp_path / "feedback.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            assert call(port, "/v1/feedback", given, key=key).status == 503
    log = service.log.read_text()
    assert "feedback: the database" in log
    for secret in (key, key.removeprefix("vigie_"), "Zarquon", "fenchurch", comment):
        assert secret not in log
