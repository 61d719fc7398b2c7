"""The OpenAPI document as a page to read: made on the server, no script, nothing from another host."""

from __future__ import annotations

import json
from typing import Any

from flask import render_template

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def render(document: dict[str, Any]) -> str:
    """The page of a document."""
    return render_template(
        "docs.html",
        document=document,
        calls=[
            (method.upper(), path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        ],
        name_of=_name_of,
        in_words=_in_words,
        pretty=_pretty,
    )


def _name_of(schema: dict[str, Any]) -> str:
    """The name of a schema that is referred to; empty for one that stands in place."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _in_words(schema: dict[str, Any]) -> str:
    """A property's type in a few words."""
    if "$ref" in schema:
        return _name_of(schema)
    if "anyOf" in schema:
        return " or ".join(_in_words(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_in_words(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    return f"object of {_in_words(values)}" if isinstance(values, dict) else str(kind)


def _pretty(example: Any) -> str:
    if isinstance(example, str):
        return example
    return json.dumps(example, indent=2, ensure_ascii=False)
