"""Anything sent to any call: never a 5xx, never a worker lost."""

from __future__ import annotations

import http.client
import json
import random
from collections import Counter

import pytest
import schemathesis
from conftest import make_registry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import JSON, running
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service import create_app
from service.keys import create_key
from service.settings import Settings

SEEDS = [
    b'{"text": "Twitter a suspendu le compte."}',
    b'{"passages": [{"id": 1, "text": "a"}, {"id": "b", "text": "b"}], "explain": true}',
    b'{"text": "a", "topics": ["lawsuit"], "operating_point": "recall"}',
    b'{"html": "<p>Twitter <b>suspend</b></p>", "title": "a"}',
]
PIECES = [
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"null", b"-1e999", b"1" * 400, b"[" * 300, b'"', b"{", b"}", b"\n",
    b"NaN", b"\\u0000", b"true", b'"text":', b"<div>" * 50, b"<!--", b"&#x110000;", b"]]>", "\u202e\u0301".encode(),
]  # fmt: skip
ALL = list(HealthCheck)


@pytest.fixture(scope="module")
def described(version, tmp_path_factory):
    """An application with every call open to the key that it is asked with."""
    folder = tmp_path_factory.mktemp("fuzz")
    registry = make_registry(version, folder / "registry")
    key = create_key(folder / "keys", "all", ["classify", "feedback", "admin"])
    app = create_app(
        Settings(
            registry=registry.root,
            max_body_bytes=200_000,
            keys_file=folder / "keys",
            database_url=f"sqlite:///{folder}/feedback.db",
        )
    )
    front = app.wsgi_app
    app.wsgi_app = lambda environ, start: front(
        {**environ, "HTTP_AUTHORIZATION": f"Bearer {key}"}, start
    )
    return app


@pytest.fixture(scope="module")
def schema(described):
    return schemathesis.openapi.from_wsgi("/openapi.json", described)


def test_every_call_answers_as_described_whatever_is_asked(schema):
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance]
    checks.append(status_code_conformance)
    called = set()
    for operation in [result.ok() for result in schema.get_all_operations()]:

        @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=ALL)
        @given(operation.as_strategy())
        def answers_as_described(case):
            called.add(case.path)
            case.call_and_validate(checks=checks)

        answers_as_described()
    assert len(called) >= 18


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["text", "passages", "id", "explain", "topics", "html", "title"])
                | st.text(max_size=5),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["/v1/classify", "/v1/articles"]),
)
def test_any_json_is_answered_or_refused(described, body, path):
    answer = described.test_client().post(path, data=json.dumps(body), content_type=JSON)
    assert answer.status_code in {200, 400, 413, 422}


def mutated(generator: random.Random) -> bytes:
    body = bytearray(generator.choice(SEEDS))
    for _ in range(generator.randint(1, 6)):
        place = generator.randrange(len(body) + 1)
        what = generator.random()
        if what < 0.4:
            body[place:place] = generator.choice(PIECES)
        elif what < 0.6:
            body[place : place + generator.randint(1, 8)] = b""
        elif what < 0.8 and place < len(body):
            body[place] = generator.randrange(256)
        else:
            body[place:place] = generator.randbytes(generator.randint(1, 20))
    return bytes(body)


def ask(connection, path, body, headers) -> tuple[int, bytes]:
    """A request on a connection that is kept; on a new one where the server ended it, as it does after a body that it did not read."""
    for attempt in range(2):
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            if attempt:
                raise
    raise AssertionError


def test_mutated_bodies_get_no_5xx_from_a_real_server_and_lose_no_worker(
    version, tmp_path, pytestconfig
):
    bodies = pytestconfig.getoption("--bodies")
    generator = random.Random(7)
    types = [JSON, JSON, JSON, "application/x-ndjson", "text/html", f"{JSON}; charset=x"]
    with running(tmp_path, "--model", str(version), workers=2) as service:
        workers = service.workers()
        statuses: Counter[int] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        for number in range(bodies):
            path = generator.choice(["/v1/classify", "/v1/classify", "/v1/articles"])
            headers = {"Content-Type": generator.choice(types)}
            status, content = ask(connection, path, mutated(generator), headers)
            statuses[status] += 1
            assert status < 500, (number, content)
        connection.close()
        print(dict(statuses))
        assert set(statuses) >= {200, 400, 415, 422}
        assert service.workers() == workers
        assert service.get("/readyz").status == 200
