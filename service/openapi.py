"""The OpenAPI 3.1 document, made from the schemas and from what each view says of itself with `describes`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import model
from service import problems
from service.schemas import Problem

JSON = "application/json"
_VERSION = "3.1.0"
_REFERENCE = "#/components/schemas/{model}"
_OPERATION = "vigie_operation"
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Body:
    """A body: its content type, its schema (None for what is not JSON), an example of it."""

    content_type: str
    schema: type[BaseModel] | None
    example: Any


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call does. `answers` are by status; `problems` are the statuses answered with a problem document."""

    summary: str
    answers: Mapping[int, tuple[Body, ...]]
    request: tuple[Body, ...] = ()
    problems: tuple[int, ...] = ()
    parameters: tuple[Mapping[str, Any], ...] = ()
    description: str = ""
    tag: str = "classification"
    security: bool = field(default=False)


def describes(operation: Operation) -> Callable[[_View], _View]:
    """Puts a description on a view; the document is made of all of them."""

    def mark(view: _View) -> _View:
        setattr(view, _OPERATION, operation)
        return view

    return mark


def query_parameters(schema: type[BaseModel]) -> tuple[dict[str, Any], ...]:
    """The parameters of a query that a schema reads."""
    described = schema.model_json_schema()
    required = described.get("required", [])
    return tuple(
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": content.get("description", ""),
            "schema": {key: value for key, value in content.items() if key != "description"},
        }
        for name, content in described["properties"].items()
    )


def undescribed(app: Flask) -> list[str]:
    """Routes whose view says nothing of itself; static files aside."""
    return sorted(rule for rule, _, operation in _routes(app) if operation is None)


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of all views that say something of themselves."""
    described = [entry for entry in _routes(app) if entry[2] is not None]
    schemas = _schemas([operation for _, _, operation in described if operation])
    paths: dict[str, Any] = {}
    for rule, methods, operation in described:
        if operation is None:
            continue
        path = _ARGUMENT.sub(r"{\1}", rule)
        for method in methods:
            paths.setdefault(path, {})[method.lower()] = _operation(operation, rule, method)
    return {
        "openapi": _VERSION,
        "info": {
            "title": "Vigie",
            "version": model.__version__,
            "summary": "Tags news about the moderation of online platforms, in French and English",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _routes(app: Flask) -> Iterator[tuple[str, list[str], Operation | None]]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or rule.endpoint.endswith(".static"):
            continue
        methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        operation = getattr(app.view_functions[rule.endpoint], _OPERATION, None)
        yield str(rule.rule), methods, operation


def _schemas(operations: list[Operation]) -> dict[str, Any]:
    modes: dict[tuple[type[BaseModel], Any], None] = {(Problem, "serialization"): None}
    for operation in operations:
        for body in operation.request:
            if body.schema is not None:
                modes[body.schema, "validation"] = None
        for bodies in operation.answers.values():
            for body in bodies:
                if body.schema is not None:
                    # What is left out of an answer unless asked for has a default: it is not required.
                    modes[body.schema, "validation"] = None
    _, definitions = models_json_schema(list(modes), ref_template=_REFERENCE)
    schemas: dict[str, Any] = definitions["$defs"]
    return dict(sorted(schemas.items()))


def _operation(operation: Operation, rule: str, method: str) -> dict[str, Any]:
    answers = {
        str(status): {
            "description": _STATUSES[status],
            "content": _content(bodies),
        }
        for status, bodies in operation.answers.items()
    }
    for status in sorted({*operation.problems, *_ALWAYS}):
        answers[str(status)] = {
            "description": _REFUSALS.get(status) or problems.title(status),
            "content": {problems.CONTENT_TYPE: {"schema": _reference(Problem)}},
        }
    described: dict[str, Any] = {
        "operationId": _identifier(rule, method),
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": answers,
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _ARGUMENT.findall(rule)
    ] + [dict(parameter) for parameter in operation.parameters]
    if operation.description:
        described["description"] = operation.description
    if parameters:
        described["parameters"] = parameters
    if operation.request:
        described["requestBody"] = {"required": True, "content": _content(operation.request)}
    if operation.security:
        described["security"] = [{"key": []}]
    return described


def _content(bodies: tuple[Body, ...]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for body in bodies:
        schema = {"type": "string"} if body.schema is None else _reference(body.schema)
        content[body.content_type] = {"schema": schema, "example": body.example}
    return content


def _reference(schema: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=schema.__name__)}


def _identifier(rule: str, method: str) -> str:
    words = re.findall(r"\w+", _ARGUMENT.sub(r"\1", rule)) or ["index"]
    return "_".join([method.lower(), *words])


_ALWAYS = (503,)
"""Any call may find all places taken."""

_REFUSALS = {503: "This cannot be answered now: no model, no place, or no database"}
_STATUSES = {200: "The answer", 201: "Taken in", 202: "Accepted", 204: "Done"}
