"""Feedback over HTTP. Off, and answered with a problem that says so, unless a database is set."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, current_app

from model.classifier import Classifier
from model.errors import ArtifactError, RegistryError, UnknownNameError
from model.registry import Registry
from service import access, examples
from service.ages import AgeError, parse_age
from service.answers import json_answer, json_lines, read_body, read_query
from service.feedback_schemas import (
    MAX_ID,
    Deleted,
    DeleteQuery,
    ExportQuery,
    FeedbackIn,
    FeedbackKept,
    FeedbackOut,
    FeedbackPage,
    FeedbackQuery,
    ReviewedIn,
    WaitingPage,
    WaitingQuery,
)
from service.live import ModelSource
from service.openapi import JSON, Body, Operation, describes, query_parameters
from service.problems import ProblemError, too_large
from service.results import check_topics
from service.settings import Settings
from service.signals import database_unavailable, feedback_kept

if TYPE_CHECKING:
    from service.feedback import FeedbackStore

feedback_api = Blueprint("feedback", __name__)
access.guard(feedback_api)
_RETRY_SECONDS = 5
_EARLIER_VERSIONS = 2
_LOG = logging.getLogger("vigie")


def register(app: Flask, settings: Settings) -> None:
    """Opens the database where one is set. One that cannot be reached is tried again with each call, and does not stop the start."""
    app.extensions["vigie_feedback"] = None
    app.extensions["vigie_review"] = None
    app.extensions["vigie_earlier_versions"] = EarlierVersions(settings)
    if settings.database_url is None:
        return
    from service.database import Database, DatabaseError
    from service.feedback import FeedbackStore
    from service.review import ReviewSampler

    database = Database(settings.database_url)
    store = FeedbackStore(database)
    sampler = ReviewSampler(store, settings)
    app.extensions["vigie_feedback"] = store
    app.extensions["vigie_review"] = sampler if settings.review_percent else None

    @app.errorhandler(DatabaseError)
    def _unavailable(error: DatabaseError) -> Any:
        _LOG.warning("feedback: %s", error)
        database_unavailable.send(app, reason=str(error))
        problem = ProblemError(
            503,
            "the database of feedback does not answer at the moment; this request was not acknowledged",
            "database-unavailable",
            {"Retry-After": str(_RETRY_SECONDS)},
        )
        return app.handle_user_exception(problem)

    try:
        database.upgrade()
    except DatabaseError as error:
        _LOG.warning("feedback: %s", error)
    sampler.start()


class EarlierVersions:
    """Versions of the registry that are not live, for feedback on their answers; the last few stay loaded."""

    def __init__(self, settings: Settings) -> None:
        self._registry = Registry(settings.registry) if settings.model is None else None
        self._loaded: OrderedDict[str, Classifier] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, version: str) -> Classifier | None:
        """The version; None where there is no such version. One is loaded at a time."""
        with self._lock:
            return self._get(version)

    def _get(self, version: str) -> Classifier | None:
        if version in self._loaded:
            self._loaded.move_to_end(version)
            return self._loaded[version]
        if self._registry is None:
            return None
        try:
            classifier = Classifier.load(self._registry.folder(version))
        except (RegistryError, ArtifactError):
            return None
        self._loaded[version] = classifier
        if len(self._loaded) > _EARLIER_VERSIONS:
            self._loaded.popitem(last=False)
        return classifier


@feedback_api.post("/v1/feedback")
@access.needs(access.FEEDBACK, open_without_keys=True)
@describes(
    Operation(
        "Topics that a reader gives a text",
        {201: (Body(JSON, FeedbackKept, examples.FEEDBACK_KEPT),)},
        request=(Body(JSON, FeedbackIn, examples.FEEDBACK_IN),),
        problems=(400, 401, 403, 404, 413, 415, 422),
        tag="feedback",
    )
)
def add() -> Response:
    """Keeps the topics that a reader gives a text, beside the model's own. Answered once it is on the disk."""
    from service.review import predict

    store = _store()
    asked = read_body(FeedbackIn)
    settings: Settings = current_app.extensions["vigie_settings"]
    if len(asked.text) > settings.max_characters:
        raise too_large(
            f"text: {len(asked.text)} characters, at most {settings.max_characters}",
            settings.max_characters,
            "text",
        )
    live = _live()
    try:
        check_topics(live, asked.topics)
    except UnknownNameError as error:
        raise ProblemError(422, f"topics: {error}", where="topics") from None
    kept = store.add(
        asked.text,
        asked.topics,
        predict(_answered(live, asked.model), asked.text),
        asked.comment,
        access.caller(),
    )
    feedback_kept.send(current_app._get_current_object(), kind=kept["kind"])  # type: ignore[attr-defined]
    del kept["text"]
    return json_answer(kept, 201, {"Location": f"/v1/feedback/{kept['id']}"})


@feedback_api.get("/v1/feedback")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Feedback in the order it came",
        {200: (Body(JSON, FeedbackPage, examples.FEEDBACK_PAGE),)},
        problems=(401, 403, 404, 422),
        parameters=query_parameters(FeedbackQuery),
        tag="feedback",
        security=True,
    )
)
def listed() -> Response:
    """Feedback in the order it came; `next` is the `after` of the next page, null on the last."""
    from service.feedback import Wanted

    asked = read_query(FeedbackQuery)
    found = _store().listed(Wanted(asked.reviewed, asked.kind), asked.after, asked.limit + 1)
    page = found[: asked.limit]
    return json_answer(
        {"feedback": page, "next": page[-1]["id"] if len(found) > asked.limit else None}
    )


@feedback_api.get("/v1/feedback/export")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Feedback as passages",
        {200: (Body("application/x-ndjson", None, examples.FEEDBACK_EXPORT),)},
        problems=(401, 403, 404, 422),
        parameters=query_parameters(ExportQuery),
        tag="feedback",
        security=True,
    )
)
def export() -> Response:
    """Feedback as passages, NDJSON: each text once with its newest topics, and an event of its own."""
    reviewed = {"true": True, "false": False, "all": None}[read_query(ExportQuery).reviewed]
    passages = _store().export(reviewed)
    first = list(islice(passages, 1))  # A database that is away is told before the answer begins.
    return Response(json_lines(chain(first, passages)), content_type="application/x-ndjson")


@feedback_api.patch("/v1/feedback/<identifier>")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Mark feedback as reviewed",
        {200: (Body(JSON, FeedbackOut, {**examples.FEEDBACK_KEPT, "text": examples.TEXT}),)},
        request=(Body(JSON, ReviewedIn, {"reviewed": True}),),
        problems=(400, 401, 403, 404, 413, 415, 422),
        tag="feedback",
        security=True,
    )
)
def mark(identifier: str) -> Response:
    """Marks feedback as reviewed: retraining may learn from it."""
    kept = _store().mark(_number(identifier), read_body(ReviewedIn).reviewed, access.caller())
    if kept is None:
        raise ProblemError(404, "no such feedback")
    return json_answer(kept)


@feedback_api.delete("/v1/feedback/<identifier>")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Delete feedback for good",
        {204: ()},
        problems=(401, 403, 404),
        tag="feedback",
        security=True,
    )
)
def delete(identifier: str) -> Response:
    """Deletes feedback, and its text, for good."""
    if not _store().delete(_number(identifier)):
        raise ProblemError(404, "no such feedback")
    return Response(status=204)


@feedback_api.delete("/v1/feedback")
@access.needs(access.ADMIN)
@describes(
    Operation(
        "Delete all feedback of more than an age",
        {200: (Body(JSON, Deleted, {"deleted": 3}),)},
        problems=(401, 403, 404, 422),
        parameters=query_parameters(DeleteQuery),
        tag="feedback",
        security=True,
    )
)
def delete_older() -> Response:
    """Deletes all feedback, and all waiting passages, of more than an age."""
    try:
        age = parse_age(read_query(DeleteQuery).older_than)
    except AgeError as error:
        raise ProblemError(422, f"older_than: {error}", where="older_than") from None
    return json_answer({"deleted": _store().delete_older(age)})


@feedback_api.get("/v1/review")
@access.needs(access.FEEDBACK)
@describes(
    Operation(
        "Passages that the model was least certain of",
        {200: (Body(JSON, WaitingPage, examples.WAITING_PAGE),)},
        problems=(401, 403, 404, 422),
        parameters=query_parameters(WaitingQuery),
        tag="feedback",
        security=True,
    )
)
def waiting() -> Response:
    """Recent passages that the model was least certain of; feedback on one takes it out."""
    return json_answer({"passages": _store().waiting(read_query(WaitingQuery).limit)})


@feedback_api.delete("/v1/review/<identifier>")
@access.needs(access.FEEDBACK)
@describes(
    Operation(
        "Take a passage out of the review queue",
        {204: ()},
        problems=(401, 403, 404),
        tag="feedback",
        security=True,
    )
)
def dismiss(identifier: str) -> Response:
    """Takes a passage out of the review queue, and deletes its text."""
    if not _store().dismiss(_number(identifier)):
        raise ProblemError(404, "no such passage waits")
    return Response(status=204)


def _store() -> FeedbackStore:
    store: FeedbackStore | None = current_app.extensions["vigie_feedback"]
    if store is None:
        raise ProblemError(
            404,
            "feedback keeps texts and is off; set VIGIE_DATABASE_URL, for example "
            "sqlite:///var/feedback.db, to turn it on",
            "feedback-off",
        )
    return store


def _live() -> Classifier:
    source: ModelSource = current_app.extensions["vigie_models"]
    if source.current is None:
        raise ProblemError(503, "no model is loaded; train one with `make model`")
    return source.current.classifier


def _answered(live: Classifier, version: str) -> Classifier:
    """The version that answered; a text is scored anew by the same version, not taken from the client."""
    if version == live.version:
        return live
    earlier: EarlierVersions = current_app.extensions["vigie_earlier_versions"]
    classifier = earlier.get(version)
    if classifier is None:
        raise ProblemError(422, "model: no such version in the registry", where="model")
    return classifier


def _number(identifier: str) -> int:
    """An id out of a path; one that no database can hold is not found, whatever its length."""
    if identifier.isascii() and identifier.isdecimal() and len(identifier) <= len(str(MAX_ID)):
        number = int(identifier)
        if number <= MAX_ID:
            return number
    raise ProblemError(404, "ids are whole numbers")
