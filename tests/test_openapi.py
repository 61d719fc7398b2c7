"""The OpenAPI document against the service that it describes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from conftest import copy_version
from test_artifact import rewrite

from service import create_app, examples, openapi
from service.keys import create_key
from service.schemas import Problem
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def document(app):
    return app.test_client().get("/openapi.json").get_json()


def validate(document: dict, schema: dict, instance: object) -> None:
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(instance)


def operations(document: dict):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_every_route_is_described(app):
    assert openapi.undescribed(app) == []


def test_every_path_is_a_route_with_its_methods(app, document):
    routes = {
        (openapi._ARGUMENT.sub(r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.endswith("static")
    }
    assert {(path, method) for method, path, _ in operations(document)} == routes


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"] == "3.1.0"
    assert set(document) == {"openapi", "info", "paths", "components"}
    identifiers = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_call_has_examples_that_fit_their_schemas(document):
    for method, path, operation in operations(document):
        bodies = list(operation.get("requestBody", {}).get("content", {}).values())
        for status, answer in operation["responses"].items():
            if status < "300":
                bodies += answer["content"].values()
        assert bodies or "204" in operation["responses"], (method, path)
        for body in bodies:
            validate(document, body["schema"], body["example"])


@pytest.fixture
def whole(registry, version, tmp_path):
    """A client with every scope, of an application in which every call has something to answer with; and what its paths name."""
    staged = copy_version(version, registry.root / ".staging-second")
    rewrite(staged, model_version="v2")
    first, second = registry.current(), registry.add(staged)
    key = create_key(tmp_path / "keys", "all", ["classify", "feedback", "admin"])
    app = create_app(
        Settings(
            registry=registry.root,
            keys_file=tmp_path / "keys",
            database_url=f"sqlite:///{tmp_path}/feedback.db",
            review_percent=100,
        )
    )
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client, {"version": second, "old": first, "new": second, "identifier": "1"}


# The order in which each finds what it needs: what deletes comes last.
LATE = ["/v1/models/rollback", "/v1/feedback/{identifier}", "/v1/feedback", "/v1/review"]


def test_every_example_is_answered_as_described(whole, document):
    client, names = whole
    called = sorted(
        operations(document),
        key=lambda o: (o[0] == "delete", o[1] in LATE, o[1]),
    )
    for method, path, operation in called:
        for content_type, example in request_examples(operation):
            query = {"older_than": "90d"} if (method, path) == ("delete", "/v1/feedback") else {}
            data = example if isinstance(example, str | None) else json.dumps(example)
            data = data and data.replace(examples.MODEL["version"], names["old"])
            with client.open(
                path.format(**names),
                method=method,
                data=data,
                content_type=content_type,
                query_string=query,
            ) as answer:
                if (method, path) == ("delete", "/v1/review/{identifier}"):
                    assert answer.status_code == 404  # nothing waits
                    continue
                assert answer.status_code in {200, 201, 204}, (method, path, answer.data)
                described = operation["responses"][str(answer.status_code)]["content"]
                if answer.status_code == 204:
                    assert described == {}
                    continue
                assert answer.mimetype in described
                schema = described[answer.mimetype]["schema"]
                content = answer.get_json() if "$ref" in schema else answer.get_data(as_text=True)
                validate(document, schema, content)


def request_examples(operation: dict):
    """Content type and example of each way to ask."""
    bodies = operation.get("requestBody", {}).get("content", {})
    return [(kind, body["example"]) for kind, body in bodies.items()] or [(None, None)]


def test_lines_of_a_stream_are_results_or_problems(app, document):
    stream = document["paths"]["/v1/classify"]["post"]["requestBody"]["content"]
    body = stream["application/x-ndjson"]["example"]
    with app.test_client().post(
        "/v1/classify?explain=true", data=body, content_type="application/x-ndjson"
    ) as answer:
        good, bad = [json.loads(line) for line in answer.data.splitlines()]
    validate(document, {"$ref": "#/components/schemas/Result"}, good)
    validate(document, {"$ref": "#/components/schemas/Problem"}, bad)


@pytest.mark.parametrize(
    ("path", "data", "content_type", "status"),
    [
        ("/v1/classify", b"{", "application/json", 400),
        ("/v1/classify", b"{}", "application/json", 422),
        ("/v1/classify", b"{}", "text/plain", 415),
        ("/v1/classify", b'{"text": "%s"}' % (b"a" * 100_001), "application/json", 413),
        ("/v1/articles", b'{"text": 1}', "application/json", 422),
    ],
)
def test_problems_are_as_described(app, document, path, data, content_type, status):
    answer = app.test_client().post(path, data=data, content_type=content_type)
    assert answer.status_code == status
    described = document["paths"][path]["post"]["responses"][str(status)]["content"]
    validate(document, described["application/problem+json"]["schema"], answer.get_json(force=True))
    Problem.model_validate(answer.get_json(force=True))


def test_the_page_of_the_document_needs_no_other_host_and_no_script(app):
    answer = app.test_client().get("/docs")
    page = answer.get_data(as_text=True)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in page
    assert "style=" not in page
    assert "http://" not in page
    assert "https://" not in page
    style = app.test_client().get("/static/docs.css")
    assert style.status_code == 200
    assert b"url(" not in style.data
    assert b"@import" not in style.data


def test_the_page_names_every_call_and_every_schema(app, document):
    page = app.test_client().get("/docs").get_data(as_text=True)
    for _, path, operation in operations(document):
        assert f'id="{operation["operationId"]}"' in page
        assert path in page
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page


def test_what_is_installed_holds_the_page():
    configuration = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^service = (\[.*\])$", configuration, re.MULTILINE)
    assert {"static/**", "templates/**"} <= set(json.loads(listed))
