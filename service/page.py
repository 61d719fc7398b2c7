"""The page for people: ``GET /``, and the report of a version to read.

The page is one template and modules of JavaScript that call the same HTTP interface as everyone else; nothing of a text is rendered on
the server. It sets no cookie, loads nothing from another host and runs no script but its own files.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request

from model.artifact import read_manifest
from model.errors import ArtifactError, RegistryError
from model.registry import Registry
from service import access, examples
from service.live import ModelSource
from service.openapi import Body, Operation, describes
from service.problems import ProblemError
from service.report import FILE, content_security_policy, without_passages
from service.settings import Settings

page_api = Blueprint("page", __name__, static_folder="static/page", static_url_path="/page")
LANGUAGES = ("en", "fr")
FOLDER = Path(__file__).parent / "static" / "page"
HTML = "text/html; charset=utf-8"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FIRST_MODULES = (
    "main.js",
    "api.js",
    "article.js",
    "catalogue.js",
    "correction.js",
    "elements.js",
    "explanation.js",
    "passage.js",
    "reading.js",
    "sending.js",
    "words.js",
)
"""What the first view runs, named in its head, so that a browser asks for all of it at once."""


@page_api.get("/")
@describes(
    Operation(
        "The page: paste an article, see what it is about, correct it",
        {200: (Body("text/html", None, "<!doctype html>…"),)},
        tag="documentation",
    )
)
def index() -> Response:
    """The page, in the language that the browser prefers; ``?lang=`` overrides it."""
    language = _language()
    settings: Settings = current_app.extensions["vigie_settings"]
    content = render_template(
        "page.html",
        language=language,
        languages=LANGUAGES,
        words=words(language),
        examples=example_articles(),
        modules=_FIRST_MODULES,
        feedback="off" if current_app.extensions["vigie_feedback"] is None else "on",
        keys="off" if current_app.extensions["vigie_keys"] is None else "on",
        settings=settings,
    )
    headers = {
        **_HEADERS,
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Content-Language": language,
        "Vary": "Accept-Language",
    }
    return Response(content, content_type=HTML, headers=headers)


@page_api.get("/v1/models/<version>/report")
@access.needs(access.CLASSIFY)
@describes(
    Operation(
        "The report of a version, to read",
        {200: (Body("text/html", None, examples.REPORT),)},
        problems=(404,),
        tag="model",
        description="The version's model card with its plots, without the training passages that it quotes.",
    )
)
def report(version: str) -> Response:
    """The report of a version as a page without scripts."""
    folder = _folder(version)
    try:
        read_manifest(folder)  # a report of another format may mark what it quotes in another way
        content = (folder / FILE).read_text(encoding="utf-8")
    except (ArtifactError, FileNotFoundError):
        raise ProblemError(404, "this version has no report") from None
    shown = without_passages(content)
    headers = {**_HEADERS, "Content-Security-Policy": content_security_policy(shown)}
    return Response(shown, content_type=HTML, headers=headers)


@page_api.after_request
def compressed(response: Response) -> Response:
    """Compresses what the page is made of, for those who can read it; nothing here holds what a client sent."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.add("Accept-Encoding")
    if response.status_code != 200 or not request.accept_encodings.quality("gzip"):
        return response
    response.direct_passthrough = False
    response.set_data(gzip.compress(response.get_data(), mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    etag, _ = response.get_etag()
    if etag is not None:
        response.set_etag(etag, weak=True)
    return response


@cache
def words(language: str) -> dict[str, str]:
    """The page's words in a language, by key."""
    content: dict[str, str] = json.loads(
        (FOLDER / "words" / f"{language}.json").read_text(encoding="utf-8")
    )
    return content


@cache
def example_articles() -> list[dict[str, Any]]:
    """Articles to try, written for this page: `id`, `lang`, `title`, `text`."""
    articles: list[dict[str, Any]] = json.loads(
        (FOLDER / "examples.json").read_text(encoding="utf-8")
    )
    return articles


def _language() -> str:
    asked = request.args.get("lang")
    if asked in LANGUAGES:
        return asked
    preferred = (wanted.partition("-")[0].lower() for wanted in request.accept_languages.values())
    return next((language for language in preferred if language in LANGUAGES), LANGUAGES[0])


def _folder(version: str) -> Path:
    settings: Settings = current_app.extensions["vigie_settings"]
    if settings.model is not None:
        source: ModelSource = current_app.extensions["vigie_models"]
        if source.current is None or source.current.classifier.version != version:
            raise ProblemError(404, "no such version is served")
        return settings.model
    try:
        return Registry(settings.registry).folder(version)
    except RegistryError:
        raise ProblemError(404, "no such version in the registry") from None
