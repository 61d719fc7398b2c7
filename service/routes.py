"""The HTTP interface. Views only translate: a request into a call, an answer into JSON."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, current_app, request
from pydantic import ValidationError

from model.crosswalk import load_crosswalk
from model.errors import UnknownNameError
from model.registry import Registry
from service import articles, classification, drift, examples, metrics, openapi, streams
from service.live import LiveModel, ModelSource
from service.observation import ENVIRON_KEY, Observation, Observer
from service.openapi import JSON, Body, Operation, describes
from service.problems import ProblemError, from_validation, too_large
from service.schemas import (
    ArticleIn,
    ArticleOut,
    ClassifyIn,
    ClassifyOut,
    DriftOut,
    Health,
    ModelOut,
    ModelsOut,
    OpenApiDocument,
    Options,
    Ready,
    TopicsOut,
)
from service.settings import Settings

api = Blueprint("api", __name__)
_NO_STORE = {"Cache-Control": "no-store"}
_STREAM_PARAMETERS = (
    {
        "name": "operating_point",
        "in": "query",
        "description": "for streams: which thresholds decide",
        "schema": {"type": "string", "enum": ["balanced", "precision", "recall"]},
    },
    {
        "name": "explain",
        "in": "query",
        "description": "for streams: give the words behind each topic",
        "schema": {"type": "boolean"},
    },
    {
        "name": "topics",
        "in": "query",
        "description": "for streams: answer for these topics only, separated by commas",
        "schema": {"type": "string", "minLength": 1},
    },
)


def _answers(schema: Any, example: Any) -> dict[int, tuple[Body, ...]]:
    return {200: (Body(JSON, schema, example),)}


@api.post("/v1/classify")
@describes(
    Operation(
        "Topics of one text or of several passages",
        {
            200: (
                Body(JSON, ClassifyOut, examples.CLASSIFY_OUT),
                Body(streams.CONTENT_TYPE, None, examples.STREAM_OUT),
            )
        },
        request=(
            Body(JSON, ClassifyIn, examples.CLASSIFY_IN),
            Body(streams.CONTENT_TYPE, None, examples.STREAM_IN),
        ),
        problems=(400, 413, 415, 422),
        parameters=_STREAM_PARAMETERS,
        description=(
            "As JSON, all at once. As NDJSON, a passage a line in and a Result or a problem a line out, streamed: any number of "
            "lines; options come in the query."
        ),
    )
)
def classify() -> Response:
    """Topics of one text or of several passages."""
    if request.mimetype == streams.CONTENT_TYPE:
        return _stream()
    _expect(JSON)
    answer = classification.answer(
        request.get_data(cache=False), _live(), _settings(), _observer(), _observation()
    )
    return Response(answer, content_type=JSON)


@api.post("/v1/articles")
@describes(
    Operation(
        "Topics of an article and of its passages",
        _answers(ArticleOut, examples.ARTICLE_OUT),
        request=(Body(JSON, ArticleIn, examples.ARTICLE_IN),),
        problems=(400, 413, 415, 422),
        description=(
            "HTML is cleaned of markup and page furniture. A passage is a paragraph, or a part of a long one. What is left of the "
            "page's furniture is marked and has no topics. An article has each topic that one of its passages has, with the highest "
            "probability among them."
        ),
    )
)
def article() -> Response:
    """Topics of an article and of its passages."""
    _expect(JSON)
    settings, live = _settings(), _live()
    try:
        asked = ArticleIn.model_validate_json(request.get_data(cache=False))
    except ValidationError as error:
        raise from_validation(error) from None
    text = _article_text(asked, settings)
    stretches = articles.split_passages(text)
    classification.check_number(len(stretches), settings)
    if asked.title is not None:
        classification.check_length(asked.title, "title", settings)
    titles = [] if asked.title is None else [asked.title]
    texts = [*titles, *(stretch.text for stretch in stretches)]
    results = classification.classify_passages(
        live,
        texts,
        classification.to_asked(asked),
        None,
        settings.request_seconds,
        settings.max_characters,
    )
    passages = articles.passages_of(results, titles, stretches)
    own = [i for i, passage in enumerate(passages) if not passage["furniture"]]
    _observer().classified(
        _observation(),
        live.classifier,
        [texts[i] for i in own],
        [passages[i] for i in own],
        comparable=classification.is_comparable(asked),
    )
    return _json(
        {
            "model": live.describe(asked.operating_point),
            "text": text,
            "topics": articles.article_topics(passages),
            "passages": passages,
        }
    )


@api.get("/v1/topics")
@describes(
    Operation(
        "The topics with their definitions, thresholds, held-out figures and crosswalk codes",
        _answers(TopicsOut, examples.TOPICS),
        tag="model",
    )
)
def topics() -> Response:
    """The topics with their definitions, thresholds, held-out figures and crosswalk codes."""
    manifest = _live().classifier.manifest
    figures = manifest["metrics"]["per_topic"]
    listed = [
        {
            **topic,
            "thresholds": {
                point: {key: value for key, value in thresholds[t].items() if key != "topic"}
                for point, thresholds in manifest["operating_points"].items()
            },
            "held_out": {
                key: value for key, value in figures[topic["slug"]].items() if key != "threshold"
            },
        }
        for t, topic in enumerate(manifest["topics"])
    ]
    return _json(
        {"taxonomy": manifest["taxonomy"], "crosswalk": load_crosswalk(), "topics": listed}
    )


@api.get("/v1/model")
@describes(
    Operation("The model that answers", _answers(ModelOut, examples.MODEL), tag="model"),
)
def model() -> Response:
    """The model that answers: version, data, figures, since when it is live."""
    live = _live()
    return _json({**_summary(live.classifier.manifest), "live_since": live.since})


@api.get("/v1/models")
@describes(
    Operation(
        "Every version in the registry, oldest first",
        _answers(ModelsOut, examples.MODELS),
        tag="model",
    )
)
def models() -> Response:
    """Every version in the registry, oldest first, and which is live."""
    settings = _settings()
    if settings.model is not None:
        live = _live()
        listed = [{**_summary(live.classifier.manifest), "live": True, "live_since": None}]
        return _json({"live": live.classifier.version, "models": listed})
    from model import artifact

    registry = Registry(settings.registry)
    current = registry.current()
    listed = [
        {
            **_summary(artifact.read_manifest(registry.folder(version))),
            "live": version == current,
            "live_since": registry.live_since() if version == current else None,
        }
        for version in registry.versions()
    ]
    return _json({"live": current, "models": listed})


@api.get("/v1/drift")
@describes(
    Operation(
        "Recent traffic beside the training data",
        _answers(DriftOut, examples.DRIFT),
        tag="operation",
        description=(
            "Languages, vocabulary coverage and topic rates of the last hour, over all workers, and in steps of five minutes. Passages of requests for some topics "
            "only, or at another operating point than balanced, are not counted."
        ),
    )
)
def recent_drift() -> Response:
    """Recent traffic beside the training data."""
    return _json({**_drift(), **drift.history(_observer().traffic.steps())})


@api.get("/metrics")
@describes(
    Operation(
        "Metrics for Prometheus",
        {200: (Body("text/plain", None, examples.METRICS),)},
        tag="operation",
    )
)
def prometheus() -> Response:
    """Metrics of all workers for Prometheus."""
    _observer().settle()
    collectors = [drift.DriftCollector(_drift())] if _source().current else []
    return Response(
        _observer().metrics.render(collectors),
        content_type=metrics.CONTENT_TYPE,
        headers=_NO_STORE,
    )


@api.get("/healthz")
@describes(Operation("The process answers", _answers(Health, {"status": "ok"}), tag="operation"))
def healthz() -> Response:
    """The process answers."""
    return _json({"status": "ok"})


@api.get("/readyz")
@describes(
    Operation(
        "A model is loaded and checked",
        _answers(Ready, {"status": "ready", "model": "v0123456789ab"}),
        tag="operation",
    )
)
def readyz() -> Response:
    """A model is loaded and gives its reference texts the scores that it should."""
    return _json({"status": "ready", "model": _live().classifier.version})


@api.get("/openapi.json")
@describes(
    Operation(
        "This document",
        _answers(OpenApiDocument, examples.DOCUMENT),
        tag="documentation",
    )
)
def openapi_document() -> Response:
    """The OpenAPI document."""
    return _json(openapi.document(current_app))


@api.get("/docs")
@describes(
    Operation(
        "This document, to read",
        {200: (Body("text/html", None, "<!doctype html>…"),)},
        tag="documentation",
    )
)
def docs() -> Response:
    """The OpenAPI document as a page of its own: no script, nothing from another host."""
    from service.docs import CONTENT_SECURITY_POLICY, render

    return Response(
        render(openapi.document(current_app)),
        content_type="text/html; charset=utf-8",
        headers={
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )


def _stream() -> Response:
    _refuse_encoding()
    try:
        asked = Options.model_validate(_query_options())
    except ValidationError as error:
        raise from_validation(error) from None
    observation = _observation()
    if observation is not None:
        observation.route = f"{request.url_rule} ({streams.CONTENT_TYPE})"
    try:
        answer = streams.StreamedClassification(
            _live(), asked, _settings(), _observer(), observation
        )
    except UnknownNameError as error:
        raise ProblemError(422, f"topics: {error}", where="topics") from None
    return Response(
        answer.answer(_unlimited_body()), content_type=streams.CONTENT_TYPE, headers=_NO_STORE
    )


def _unlimited_body() -> Any:
    from werkzeug.wsgi import get_input_stream

    return get_input_stream(request.environ, max_content_length=None)


def _query_options() -> dict[str, Any]:
    """The options of a stream, from the query."""
    given: dict[str, Any] = request.args.to_dict()
    if "explain" in given:
        given["explain"] = {"true": True, "1": True, "false": False, "0": False}.get(
            given["explain"], given["explain"]
        )
    if "topics" in given:
        given["topics"] = [topic for topic in given["topics"].split(",") if topic]
    return given


def _article_text(asked: ArticleIn, settings: Settings) -> str:
    given, place = (asked.text, "text") if asked.html is None else (asked.html, "html")
    content = given or ""
    if len(content) > settings.max_article_characters:
        raise too_large(
            f"{place}: {len(content)} characters, at most {settings.max_article_characters}",
            settings.max_article_characters,
            place,
        )
    return content if asked.html is None else articles.clean_html(content)


def _drift() -> dict[str, Any]:
    classifier = _live().classifier
    _observer().settle()
    compared = drift.compare(
        _observer().traffic.total(), classifier.manifest["training"].get("reference")
    )
    return {"model": classifier.version, **compared}


def _summary(manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": manifest["model_version"],
        "taxonomy": manifest["taxonomy"],
        "languages": manifest["languages"],
        "training": {
            key: value for key, value in manifest["training"].items() if key != "reference"
        },
        "metrics": {key: value for key, value in manifest["metrics"].items() if key != "per_topic"},
        "learning_curve": manifest.get("learning_curve", []),
    }


def _expect(content_type: str) -> None:
    if request.mimetype != content_type:
        got = request.mimetype or "none"
        raise ProblemError(415, f"expected content type {content_type}, got {got}")
    _refuse_encoding()


def _refuse_encoding() -> None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ProblemError(415, "compressed bodies are not read")


def _settings() -> Settings:
    settings: Settings = current_app.extensions["vigie_settings"]
    return settings


def _source() -> ModelSource:
    source: ModelSource = current_app.extensions["vigie_models"]
    return source


def _observer() -> Observer:
    observer: Observer = current_app.extensions["vigie_observer"]
    return observer


def _observation() -> Observation | None:
    observation: Observation | None = request.environ.get(ENVIRON_KEY)
    return observation


def _live() -> LiveModel:
    live = _source().current
    if live is None:
        raise ProblemError(503, "no model is loaded; train one with `make model`")
    return live


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), content_type=JSON)
