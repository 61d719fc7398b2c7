"""What requests about feedback look like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictStr

MAX_COMMENT = 2000
MAX_ID = 2**63 - 1


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    return text


def _distinct(topics: list[str]) -> list[str]:
    if len(set(topics)) != len(topics):
        raise ValueError("a topic stands there twice")
    return topics


Storable = Annotated[StrictStr, AfterValidator(_storable)]


class FeedbackIn(BaseModel):
    """Body of ``POST /v1/feedback``: the topics that a text should have; the model's own topics confirm it, others correct it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "text": "Twitter has permanently suspended the account.",
                    "topics": ["deplatforming"],
                    "model": "v0123456789ab",
                    "comment": "not content moderation: the account is gone",
                }
            ]
        },
    )

    text: Annotated[Storable, AfterValidator(_not_blank)]
    topics: Annotated[list[StrictStr], AfterValidator(_distinct)] = Field(
        description="all topics of the text; none is an answer too"
    )
    model: Storable = Field(description="version of the model that answered")
    comment: Annotated[Storable, Field(max_length=MAX_COMMENT)] | None = None


class ReviewedIn(BaseModel):
    """Body of ``PATCH /v1/feedback/{id}``."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reviewed": True}]})

    reviewed: StrictBool = Field(description="whether retraining may learn from it")


class FeedbackQuery(BaseModel):
    """Query of ``GET /v1/feedback``."""

    model_config = ConfigDict(extra="forbid")

    reviewed: bool | None = None
    kind: Literal["correction", "confirmation"] | None = None
    after: int = Field(0, ge=0, le=MAX_ID, description="id of the last one seen")
    limit: int = Field(50, ge=1, le=500)


class ExportQuery(BaseModel):
    """Query of ``GET /v1/feedback/export``."""

    model_config = ConfigDict(extra="forbid")

    reviewed: Literal["true", "false", "all"] = "true"


class DeleteQuery(BaseModel):
    """Query of ``DELETE /v1/feedback``."""

    model_config = ConfigDict(extra="forbid")

    older_than: str = Field(description="an age: 90d, 12h, 2w", examples=["90d"])


class WaitingQuery(BaseModel):
    """Query of ``GET /v1/review``."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=500)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelSaid(_Out):
    """What a version of the model made of a text."""

    version: str
    topics: list[str]
    scores: dict[str, float]


class FeedbackKept(_Out):
    """Feedback as it was taken in."""

    id: int
    kind: Literal["correction", "confirmation"]
    language: str
    topics: list[str]
    model: ModelSaid
    comment: str | None
    given_by: str | None = Field(description="name of the key")
    given_at: str = Field(description="UTC, ISO 8601")
    reviewed: bool
    reviewed_by: str | None
    reviewed_at: str | None


class FeedbackOut(FeedbackKept):
    """Feedback with its text."""

    text: str


class FeedbackPage(_Out):
    """Feedback in the order it came."""

    feedback: list[FeedbackOut]
    next: int | None = Field(description="`after` of the next page; null on the last")


class Deleted(_Out):
    """How much was deleted."""

    deleted: int


class WaitingOut(_Out):
    """A passage that waits for somebody to look at it."""

    id: int
    text: str
    language: str
    model: ModelSaid
    reasons: list[str]
    margin: float = Field(description="least distance of a topic to its threshold, in log-odds")
    seen_at: str


class WaitingPage(_Out):
    """Waiting passages, the least certain first."""

    passages: list[WaitingOut]


class LiveOut(_Out):
    """What is live now."""

    live: str
    live_since: str | None


class DifferenceOut(_Out):
    """A passage that two versions give different topics."""

    id: str | int | None
    text: str
    lost: list[str]
    gained: list[str]
    terms: dict[str, list[dict[str, Any]]]


class DifferencesOut(_Out):
    """What two versions disagree on."""

    old: str
    new: str
    passages: int
    differences: list[DifferenceOut]
    more: bool
