from __future__ import annotations

import json
import logging
import re

import pytest
from running import JSON, running

from model.errors import VigieError
from service.logs import AccessLog, JsonFormatter, KnownRemarks

SECRET = "Xylofantastique quincaillerie zanzibarienne"
WORD = "Xylofantastique"
WORDS = re.compile("xylofant|quincaill|zanzibar", re.IGNORECASE)


def formatted(message, *arguments, error=None, **more) -> dict:
    information = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord(
        "vigie", logging.ERROR, "file.py", 1, message, arguments, information
    )
    for key, value in more.items():
        setattr(record, key, value)
    return json.loads(JsonFormatter().format(record))


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_record_is_one_line_of_json():
    line = formatted("two\nlines %s", "é", details={"port": 80})
    assert line["message"] == "two\nlines é"
    assert (line["level"], line["logger"], line["port"]) == ("error", "vigie", 80)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])


def test_an_exception_is_told_by_type_and_place_not_by_its_words():
    line = formatted("failed", error=raised(ValueError(SECRET)))
    assert line["exception"]["type"] == "ValueError"
    assert "test_logs.py" in line["exception"]["at"][-1]
    assert not WORDS.search(json.dumps(line))


def test_our_own_exceptions_are_quoted():
    line = formatted("failed", error=raised(VigieError("no such version")))
    assert line["exception"]["says"] == "no such version"


def test_remarks_on_what_is_meant_are_left_out():
    known = logging.LogRecord(
        "_granian", 30, "", 1, "Websockets are not supported on WSGI", (), None
    )
    other = logging.LogRecord("_granian", 30, "", 1, "Started worker-1", (), None)
    assert [KnownRemarks().filter(record) for record in (known, other)] == [False, True]


def test_a_request_id_is_taken_where_it_is_well_formed_and_made_otherwise(client):
    given = client.get("/healthz", headers={"X-Request-ID": "abc-1.2_3"})
    assert given.headers["X-Request-ID"] == "abc-1.2_3"
    for bad in ("", "a b", "a" * 65, "é", "a;b", '"'):
        made = client.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{16}", made)


@pytest.fixture(scope="module")
def log(version, tmp_path_factory) -> list[dict]:
    """The lines of a server after every kind of call, with words that must not be in them."""
    folder = tmp_path_factory.mktemp("logs")
    with running(folder, "--model", str(version), workers=2, log_level="debug") as service:
        json_type, ndjson = {"Content-Type": JSON}, {"Content-Type": "application/x-ndjson"}
        secret = json.dumps(SECRET)
        calls = [
            ("POST", "/v1/classify", f'{{"text": {secret}, "explain": true}}', json_type),
            ("POST", "/v1/classify", f'{{"text": {secret}', json_type),
            ("POST", "/v1/classify", f"{{{secret}: 1}}", json_type),
            ("POST", "/v1/classify", f'{{"text": "a", "topics": [{secret}]}}', json_type),
            ("POST", "/v1/classify", secret, {"Content-Type": f"text/{WORD}"}),
            ("POST", "/v1/classify", f'{{"text": {secret}}}\n{secret}\n', ndjson),
            ("POST", "/v1/articles", f'{{"text": {secret}, "title": {secret}}}', json_type),
            ("POST", "/v1/articles", f'{{"html": "<p>{SECRET}</p><{SECRET}"}}', json_type),
            ("GET", f"/{SECRET.replace(' ', '/')}?q={WORD}", None, {}),
            ("GET", f"/healthz?q={WORD}", None, {"X-Request-ID": SECRET}),
            (WORD.upper(), "/healthz", None, {"User-Agent": SECRET}),
            ("GET", "/v1/topics", None, {"X-Request-ID": "known-1", "Referer": SECRET}),
        ]
        for method, path, body, headers in calls:
            service.ask(method, path, None if body is None else body.encode(), headers)
    assert not WORDS.search(service.log.read_text())
    return service.lines()


def test_lines_of_the_last_requests_are_written_when_the_service_stops(version, tmp_path):
    with running(tmp_path, "--model", str(version)) as service:
        for number in range(30):
            service.ask("GET", "/healthz", None, {"X-Request-ID": f"last-{number}"})
    log = service.log.read_text()
    assert all(log.count(f'"last-{number}"') == 1 for number in range(30))


def test_writes_to_a_pipe_are_whole_lines_and_short_enough_not_to_be_split(monkeypatch):
    writes: list[bytes] = []
    monkeypatch.setattr("os.write", lambda _, content: writes.append(content))
    log = AccessLog()
    log._descriptor = 1
    for number in range(100):
        log.add({"number": number, "filler": "x" * 100})
    log.flush()
    log.flush()
    assert len(writes) < 10
    assert all(len(content) <= 4096 and content.endswith(b"\n") for content in writes)
    assert [json.loads(line)["number"] for line in b"".join(writes).splitlines()] == list(
        range(100)
    )


def test_every_line_is_json_and_holds_no_text(log):
    assert all({"time", "level", "logger", "message"} <= set(line) for line in log)


def test_a_request_has_one_line_with_all_that_operators_ask_for(log):
    requests = [line for line in log if line["logger"] == "vigie.requests"]
    assert len([line for line in requests if line["route"] != "/readyz"]) == 12
    # Each worker writes its lines some at a time, so that those of two do not come in order.
    first = next(x for x in requests if (x["route"], x["status"]) == ("/v1/classify", 200))
    assert set(first) == {
        "time", "level", "logger", "message", "request_id", "method", "route", "status", "ms",
        "passages", "model",
    }  # fmt: skip
    assert (first["status"], first["passages"], first["method"]) == (200, 1, "POST")
    assert first["model"].startswith("v")
    by_id = [line for line in requests if line["request_id"] == "known-1"]
    assert [(line["route"], line["status"]) for line in by_id] == [("/v1/topics", 200)]
    assert {line["method"] for line in requests} == {"GET", "POST", "other"}
    assert [line["route"] for line in requests if line["status"] == 404] == [None]
