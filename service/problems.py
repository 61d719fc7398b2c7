"""Errors as `application/problem+json` (RFC 9457): the one place that knows status codes.

The `type` of a problem is stable; `detail` says what was wrong in words, `where` points into the request (``passages[3].text``), and
`limit` gives the limit that was passed, where there is one. No problem repeats the text of a passage.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from model.errors import VigieError

TYPE_PREFIX = "urn:vigie:problem:"
CONTENT_TYPE = "application/problem+json"
_NAMES = {
    400: ("bad-request", "The request cannot be understood"),
    404: ("not-found", "There is nothing here"),
    401: ("unauthorized", "The request has to name a valid API key"),
    403: ("forbidden", "This is not allowed"),
    405: ("method-not-allowed", "This method is not answered here"),
    408: ("timeout", "The request took too long"),
    409: ("conflict", "This cannot be done as things stand"),
    411: ("length-required", "The request has to give its length"),
    413: ("too-large", "The request is too large"),
    414: ("uri-too-long", "The address is too long"),
    415: ("unsupported-media-type", "This content type is not read here"),
    422: ("invalid", "The request has the wrong shape"),
    429: ("too-many-requests", "Too many requests"),
    431: ("headers-too-large", "The headers are too large"),
    503: ("no-model", "No model is loaded"),
}
_UNION_MEMBERS = ("str", "int")
"""What pydantic adds to the place of an error inside a union of types."""
_TITLES = {
    "busy": "All places are taken",
    "database-unavailable": "The database of feedback cannot be used",
    "feedback-off": "Feedback is off",
    "given-up": "The answer takes too long",
    "key-missing": "The request has to show an API key",
    "key-unknown": "The API key is not known",
    "missing-scope": "The API key does not allow this",
    "no-keys": "The service has no API keys",
    "version-refused": "The version cannot be made live",
}
_LOG = logging.getLogger("vigie")


class ProblemError(VigieError):
    """A request that cannot be answered; becomes a problem document, sent with `headers`."""

    def __init__(
        self,
        status: int,
        detail: str,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name or _NAMES[status][0]
        self.headers = dict(headers or {})
        self.more = more

    def to_json(self) -> dict[str, Any]:
        """The problem document."""
        return problem(self.status, str(self), self.name, **self.more)


def problem(status: int, detail: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    """A problem document; `more` adds members, those that are None are left out."""
    default_name, title = _NAMES.get(status, ("error", "The request failed"))
    return {
        "type": TYPE_PREFIX + (name or default_name),
        "title": _TITLES.get(name or "", title),
        "status": status,
        "detail": detail,
        **{key: value for key, value in more.items() if value is not None},
    }


def title(status: int) -> str:
    """What a status means here, in words."""
    return _NAMES.get(status, ("error", "The request failed"))[1]


def too_large(detail: str, limit: int, where: str | None = None) -> ProblemError:
    """A request beyond one of the limits in the settings."""
    return ProblemError(413, detail, where=where, limit=limit)


def from_validation(error: ValidationError) -> ProblemError:
    """The problem of a body that does not fit its schema: 400 where it is not JSON, else 422 with every place."""
    listed = error.errors(include_url=False, include_input=False, include_context=False)
    if listed[0]["type"] == "json_invalid":
        return ProblemError(400, f"not JSON: {_message(listed[0])}", "not-json")
    errors = [{"where": _place(entry["loc"]), "message": _message(entry)} for entry in listed[:20]]
    first = errors[0]
    return ProblemError(
        422, f"{first['where']}: {first['message']}", where=first["where"], errors=errors
    )


def _place(location: tuple[int | str, ...]) -> str:
    place = ""
    for step in location:
        if step in _UNION_MEMBERS:
            continue
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else step
    return place or "body"


def _message(entry: Any) -> str:
    message = str(entry["msg"])
    return message.removeprefix("Invalid JSON: ").removeprefix("Value error, ")


def unexpected(method: str, route: str, error: Exception) -> dict[str, Any]:
    """The problem of an error of the service itself, which is logged; neither says what was sent."""
    _LOG.error("%s %s failed", method, route, exc_info=error)
    return problem(500, "an error of the service itself; its log says more")


def response(document: dict[str, Any]) -> Response:
    """A problem document as a response."""
    return Response(
        json.dumps(document, ensure_ascii=False) + "\n",
        status=document["status"],
        content_type=CONTENT_TYPE,
    )


def register(app: Flask) -> None:
    """Makes every error of the application answer with a problem document."""

    @app.errorhandler(ProblemError)
    def _problem(error: ProblemError) -> Response:
        answer = response(error.to_json())
        answer.headers.update(error.headers)
        return answer

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        status = error.code or 500
        if status == 413:
            limit = app.config["MAX_CONTENT_LENGTH"]
            document = problem(413, f"the body is larger than {limit} bytes", limit=limit)
        elif status < 400:
            return Response(status=status, headers=list(error.get_headers()))
        else:
            document = problem(status, error.description or error.name)
        answer = response(document)
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        rule = str(request.url_rule) if request.url_rule else "a request"
        return response(unexpected(request.method, rule, error))
