"""Bodies in and out: a request's JSON into its schema, an answer into JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import orjson
from flask import Response, request
from pydantic import BaseModel, ValidationError

from service.problems import ProblemError, from_validation

_Schema = TypeVar("_Schema", bound=BaseModel)


def read_body(schema: type[_Schema]) -> _Schema:
    """The request's body; ProblemError where it is not JSON or does not fit."""
    if request.mimetype != "application/json":
        got = request.mimetype or "none"
        raise ProblemError(415, f"expected content type application/json, got {got}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ProblemError(415, "compressed bodies are not read")
    try:
        return schema.model_validate_json(request.get_data(cache=False))
    except ValidationError as error:
        raise from_validation(error) from None


def read_query(schema: type[_Schema]) -> _Schema:
    """The request's query; ProblemError where it does not fit."""
    try:
        return schema.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        raise from_validation(error) from None


def json_answer(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer as JSON."""
    return Response(
        orjson.dumps(content), status, dict(headers or {}), content_type="application/json"
    )


def json_lines(records: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """Records as NDJSON, a line each."""
    for record in records:
        yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
