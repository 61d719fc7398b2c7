"""The HTTP interface. Views only translate: a request into a call, an answer into JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint, Response, current_app, request
from pydantic import ValidationError

from model.errors import UnknownNameError
from model.registry import Registry
from service import results
from service.live import LiveModel, ModelSource
from service.problems import ProblemError, from_validation, too_large
from service.schemas import ClassifyIn, PassageIn
from service.settings import Settings

if TYPE_CHECKING:
    from service.review import ReviewSampler

api = Blueprint("api", __name__)


@api.post("/v1/classify")
def classify() -> Response:
    """Topics of one text or of several passages."""
    _expect("application/json")
    settings = _settings()
    try:
        asked = ClassifyIn.model_validate_json(request.get_data(cache=False))
    except ValidationError as error:
        raise from_validation(error) from None
    if asked.passages is None:
        passages = [PassageIn(text=asked.text or "")]
        places = ["text"]
    else:
        passages = asked.passages
        if len(passages) > settings.max_passages:
            raise too_large(
                f"{len(passages)} passages, at most {settings.max_passages} in a request",
                settings.max_passages,
                "passages",
            )
        places = [f"passages[{i}].text" for i in range(len(passages))]
    for passage, place in zip(passages, places, strict=True):
        if len(passage.text) > settings.max_characters:
            raise too_large(
                f"{place}: {len(passage.text)} characters, at most {settings.max_characters}",
                settings.max_characters,
                place,
            )
    live = _live()
    found = _answer(live, asked, passages)
    return _json({"model": _model(live, asked.operating_point), "results": found})


@api.get("/v1/topics")
def topics() -> Response:
    """The topics with their definitions, thresholds and held-out figures."""
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
    return _json({"taxonomy": manifest["taxonomy"], "topics": listed})


@api.get("/v1/model")
def model() -> Response:
    """The model that answers: version, data, figures, since when it is live."""
    live = _live()
    return _json({**_summary(live.classifier.manifest), "live_since": live.since})


@api.get("/v1/models")
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


@api.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return _json({"status": "ok"})


@api.get("/readyz")
def readyz() -> Response:
    """A model is loaded and gives its reference texts the scores that it should."""
    return _json({"status": "ready", "model": _live().classifier.version})


def _answer(live: LiveModel, asked: ClassifyIn, passages: list[PassageIn]) -> list[dict[str, Any]]:
    texts = [passage.text for passage in passages]
    try:
        found = results.classify(
            live.classifier,
            texts,
            results.Asked(
                asked.operating_point,
                asked.explain,
                None if asked.topics is None else tuple(asked.topics),
            ),
            [passage.id for passage in passages],
        )
    except UnknownNameError as error:
        raise ProblemError(422, f"topics: {error}", where="topics") from None
    sampler: ReviewSampler | None = current_app.extensions["vigie_review"]
    if sampler is not None:
        sampler.offer(live.classifier, texts, found)
    return found


def _model(live: LiveModel, operating_point: str) -> dict[str, Any]:
    """Which model answers and how it decides; `unreached` are topics that miss the aim of the operating point."""
    listed = live.classifier.manifest["operating_points"][operating_point]
    return {
        "version": live.classifier.version,
        "taxonomy": live.classifier.manifest["taxonomy"],
        "operating_point": operating_point,
        "unreached": [entry["topic"] for entry in listed if not entry["reached"]],
    }


def _summary(manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": manifest["model_version"],
        "taxonomy": manifest["taxonomy"],
        "languages": manifest["languages"],
        "training": manifest["training"],
        "metrics": {key: value for key, value in manifest["metrics"].items() if key != "per_topic"},
    }


def _expect(content_type: str) -> None:
    if request.mimetype != content_type:
        got = request.mimetype or "none"
        raise ProblemError(415, f"expected content type {content_type}, got {got}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ProblemError(415, "compressed bodies are not read")


def _settings() -> Settings:
    settings: Settings = current_app.extensions["vigie_settings"]
    return settings


def _live() -> LiveModel:
    source: ModelSource = current_app.extensions["vigie_models"]
    live = source.current
    if live is None:
        raise ProblemError(503, "no model is loaded; train one with `make model`")
    return live


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), content_type="application/json")
