"""Versions over HTTP, for keys with the scope admin: the same as ``python -m service models`` does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from flask import Blueprint, Response, current_app
from pydantic import BaseModel, ConfigDict, Field

from model.classifier import Classifier
from model.errors import ArtifactError, PassageError, RegistryError
from model.registry import Registry
from service import access, examples
from service.answers import json_answer, read_body, read_query
from service.difference import differences
from service.feedback_schemas import DifferencesOut, LiveOut
from service.inputs import read_input
from service.openapi import JSON, Body, Operation, describes, query_parameters
from service.problems import ProblemError, too_large
from service.results import Identifier
from service.schemas import PassageIn
from service.settings import Settings

admin_api = Blueprint("admin", __name__)
access.guard(admin_api)
_HELD_OUT = "heldout.jsonl"
_BY_HAND = "by hand"


class ReasonIn(BaseModel):
    """Query of ``POST /v1/models/{version}/promote`` and ``POST /v1/models/rollback``."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = Field(
        _BY_HAND, description="stands in the promotion log"
    )


class DifferenceQuery(BaseModel):
    """Query of ``GET`` and ``POST /v1/models/{v1}/diff/{v2}``."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="most passages to list")


class DifferenceIn(BaseModel):
    """Body of ``POST /v1/models/{v1}/diff/{v2}``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"passages": [{"id": "a", "text": "A fine for Meta."}]}]},
    )

    passages: Annotated[list[PassageIn], Field(min_length=1)]


@admin_api.post("/v1/models/<version>/promote")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Make a version live",
        {200: (Body(JSON, LiveOut, examples.LIVE),)},
        problems=(401, 403, 404, 409, 422),
        parameters=query_parameters(ReasonIn),
        tag="model",
        security=True,
    )
)
def promote(version: str) -> Response:
    """Makes a version live, once all of its files match their digests; workers follow within `VIGIE_RELOAD_SECONDS`."""
    reason = read_query(ReasonIn).reason
    registry = _registry()
    _folder(registry, version)
    try:
        registry.promote(version, reason=reason, by=_by())
    except ArtifactError as error:
        raise _refused(error, registry) from None
    return _live(registry)


@admin_api.post("/v1/models/rollback")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Go back to the version that was live before",
        {200: (Body(JSON, LiveOut, examples.LIVE),)},
        problems=(401, 403, 409, 422),
        parameters=query_parameters(ReasonIn),
        tag="model",
        security=True,
    )
)
def rollback() -> Response:
    """Makes the version live that was live before this one."""
    reason = read_query(ReasonIn).reason
    registry = _registry()
    try:
        registry.rollback(reason="" if reason == _BY_HAND else reason, by=_by())
    except ArtifactError as error:
        raise _refused(error, registry) from None
    except RegistryError:
        raise ProblemError(409, "no earlier version to go back to") from None
    return _live(registry)


@admin_api.get("/v1/models/<old>/diff/<new>")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Held-out passages that two versions give different topics",
        {200: (Body(JSON, DifferencesOut, examples.DIFFERENCES),)},
        problems=(401, 403, 404, 409, 422),
        parameters=query_parameters(DifferenceQuery),
        tag="model",
        security=True,
    )
)
def diff_held_out(old: str, new: str) -> Response:
    """Held-out passages of the old version to which the two give different topics, with the words that did it."""
    limit = read_query(DifferenceQuery).limit
    registry = _registry()
    try:
        passages = list(read_input(str(_folder(registry, old) / _HELD_OUT)))
    except PassageError:
        raise ProblemError(
            409, f'"{old}" keeps no held-out passages; post passages instead'
        ) from None
    return _differences(registry, (old, new), passages, limit)


@admin_api.post("/v1/models/<old>/diff/<new>")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Posted passages that two versions give different topics",
        {200: (Body(JSON, DifferencesOut, examples.DIFFERENCES),)},
        request=(Body(JSON, DifferenceIn, examples.DIFFERENCES_IN),),
        problems=(400, 401, 403, 404, 409, 413, 415, 422),
        parameters=query_parameters(DifferenceQuery),
        tag="model",
        security=True,
    )
)
def diff_posted(old: str, new: str) -> Response:
    """Which of the posted passages two versions give different topics, with the words that did it."""
    limit = read_query(DifferenceQuery).limit
    settings: Settings = current_app.extensions["vigie_settings"]
    asked = read_body(DifferenceIn).passages
    if len(asked) > settings.max_passages:
        raise too_large(
            f"{len(asked)} passages, at most {settings.max_passages} in a request",
            settings.max_passages,
            "passages",
        )
    for number, passage in enumerate(asked):
        if len(passage.text) > settings.max_characters:
            place = f"passages[{number}].text"
            raise too_large(
                f"{place}: {len(passage.text)} characters, at most {settings.max_characters}",
                settings.max_characters,
                place,
            )
    passages = [(passage.id, passage.text) for passage in asked]
    return _differences(_registry(), (old, new), passages, limit)


def _differences(
    registry: Registry,
    versions: tuple[str, str],
    passages: Sequence[tuple[Identifier, str]],
    limit: int,
) -> Response:
    folders = [_folder(registry, version) for version in versions]
    try:
        old, new = (Classifier.load(folder) for folder in folders)
    except ArtifactError as error:
        raise _refused(error, registry) from None
    found = list(islice(differences(old, new, passages), limit + 1))
    answer: dict[str, Any] = {
        "old": old.version,
        "new": new.version,
        "passages": len(passages),
        "differences": found[:limit],
        "more": len(found) > limit,
    }
    return json_answer(answer)


def _registry() -> Registry:
    settings: Settings = current_app.extensions["vigie_settings"]
    if settings.model is not None:
        raise ProblemError(
            409, "one version is served by its folder (VIGIE_MODEL); there is no registry to change"
        )
    return Registry(settings.registry)


def _folder(registry: Registry, version: str) -> Path:
    known = registry.versions()
    if version not in known:
        listed = ", ".join(known) or "none"
        raise ProblemError(404, f"no such version in the registry; versions: {listed}")
    return registry.folder(version)


def _live(registry: Registry) -> Response:
    return json_answer({"live": registry.current(), "live_since": registry.live_since()})


def _refused(error: ArtifactError, registry: Registry) -> ProblemError:
    return ProblemError(409, str(error).replace(f"{registry.root}/", ""), "version-refused")


def _by() -> str:
    return f"key {access.caller()}"
