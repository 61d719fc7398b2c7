"""Feedback: what readers say about the model's topics, and the passages that most need to be looked at.

A correction gives other topics than the model did, a confirmation the same. Both keep the text, the model's topics and scores at the
time, who said it (the name of a key) and when. A reviewer marks what is right; `python -m training retrain --feedback` learns from that.

The review queue holds recent passages that the model was least certain of: smallest margin first, the least distance in log-odds
between a topic's score and its threshold. It is bounded in number and in age, holds a text once, and no text that has feedback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Float,
    Identity,
    Integer,
    RowMapping,
    Select,
    String,
    Text,
    TypeDecorator,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from model.language import UNDETERMINED
from service.database import Database

CORRECTION, CONFIRMATION = "correction", "confirmation"
_EXPORT_PAGE = 500


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, UTC; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The time with its zone."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """The tables; `service/migrations` makes them, and a test holds the two together."""


_ID = BigInteger().with_variant(Integer(), "sqlite")


class Feedback(Base):
    """A reader's topics for a text. `id` grows, so of two on the same text the higher one is newer."""

    __tablename__ = "feedback"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - as SQLAlchemy declares it

    id: Mapped[int] = mapped_column(_ID, Identity(), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(8))
    topics: Mapped[list[str]] = mapped_column(JSON)
    kind: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(64))
    model_topics: Mapped[list[str]] = mapped_column(JSON)
    model_scores: Mapped[dict[str, float]] = mapped_column(JSON)
    comment: Mapped[str | None] = mapped_column(Text)
    given_by: Mapped[str | None] = mapped_column(String(64))
    given_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    reviewed_by: Mapped[str | None] = mapped_column(String(64))
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Waiting(Base):
    """A passage that waits for somebody to look at it."""

    __tablename__ = "review_queue"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - as SQLAlchemy declares it

    id: Mapped[int] = mapped_column(_ID, Identity(), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(8))
    model: Mapped[str] = mapped_column(String(64))
    model_topics: Mapped[list[str]] = mapped_column(JSON)
    model_scores: Mapped[dict[str, float]] = mapped_column(JSON)
    reasons: Mapped[list[str]] = mapped_column(JSON)
    margin: Mapped[float] = mapped_column(Float, index=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model version made of a text; `margin` in log-odds."""

    model: str
    language: str
    topics: tuple[str, ...]
    scores: dict[str, float]
    reasons: tuple[str, ...]
    margin: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which feedback to list: None for all."""

    reviewed: bool | None = None
    kind: str | None = None


class FeedbackStore:
    """Feedback and the review queue in a database. Every method raises DatabaseError when the database fails."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(
        self,
        text: str,
        topics: Sequence[str],
        predicted: Predicted,
        comment: str | None = None,
        given_by: str | None = None,
    ) -> dict[str, Any]:
        """Keeps what a reader said and takes the text out of the review queue. It is on the disk when this returns."""
        digest = text_digest(text)
        values = {
            "digest": digest,
            "text": text,
            "language": predicted.language,
            "topics": list(topics),
            "kind": CONFIRMATION if set(topics) == set(predicted.topics) else CORRECTION,
            "model": predicted.model,
            "model_topics": list(predicted.topics),
            "model_scores": predicted.scores,
            "comment": comment,
            "given_by": given_by,
            "given_at": datetime.now(UTC),
            "reviewed_by": None,
            "reviewed_at": None,
        }
        with self.database.write() as connection:
            identifier = connection.scalar(insert(Feedback).values(**values).returning(Feedback.id))
            connection.execute(delete(Waiting).where(Waiting.digest == digest))
        return _feedback({"id": identifier, **values})

    def listed(self, wanted: Wanted, after: int, limit: int) -> list[dict[str, Any]]:
        """Feedback with ids above `after`, in their order, at most `limit`."""
        query = (
            select(*Feedback.__table__.columns)
            .where(Feedback.id > after, *_conditions(wanted))
            .order_by(Feedback.id)
            .limit(limit)
        )
        with self.database.read() as connection:
            return [_feedback(row) for row in connection.execute(query).mappings()]

    def mark(self, identifier: int, reviewed: bool, by: str | None) -> dict[str, Any] | None:
        """Marks feedback as reviewed, or takes the mark away; None where there is no such feedback."""
        change = update(Feedback).where(Feedback.id == identifier)
        change = change.values(
            reviewed_at=datetime.now(UTC) if reviewed else None,
            reviewed_by=by if reviewed else None,
        )
        one = select(*Feedback.__table__.columns).where(Feedback.id == identifier)
        with self.database.write() as connection:
            connection.execute(change)
            row = connection.execute(one).mappings().first()
        return None if row is None else _feedback(row)

    def delete(self, identifier: int) -> bool:
        """Deletes feedback for good; False where there was none."""
        return self._delete(delete(Feedback).where(Feedback.id == identifier)) > 0

    def delete_older(self, age: timedelta) -> int:
        """Deletes what was kept before that long, waiting passages too; returns how many."""
        before = datetime.now(UTC) - age
        feedback = delete(Feedback).where(Feedback.given_at < before)
        waiting = delete(Waiting).where(Waiting.seen_at < before)
        return self._delete(feedback, waiting)

    def export(self, reviewed: bool | None = True) -> Iterator[dict[str, Any]]:
        """Feedback as passages, each text once with its newest topics; its event is its own."""
        before: int | None = None
        while True:
            rows = self._export_page(reviewed, before)
            yield from map(_passage, rows)
            if len(rows) < _EXPORT_PAGE:
                return
            before = rows[-1]["id"]

    def _export_page(self, reviewed: bool | None, before: int | None) -> list[RowMapping]:
        newest = (
            select(func.max(Feedback.id))
            .where(*_conditions(Wanted(reviewed)))
            .group_by(Feedback.digest)
        )
        query: Select[Any] = select(*Feedback.__table__.columns).where(Feedback.id.in_(newest))
        if before is not None:
            query = query.where(Feedback.id < before)
        query = query.order_by(Feedback.id.desc()).limit(_EXPORT_PAGE)
        with self.database.read() as connection:
            return list(connection.execute(query).mappings())

    def enqueue(
        self, passages: Sequence[tuple[str, Predicted]], most: int, longest: timedelta
    ) -> None:
        """Puts passages into the review queue, and lets go of those that are too old or that there are too many of."""
        now = datetime.now(UTC)
        with self.database.write() as connection:
            for text, predicted in passages:
                _enqueue(connection, text, predicted, now)
            connection.execute(delete(Waiting).where(Waiting.seen_at < now - longest))
            kept = select(Waiting.id).order_by(Waiting.margin, Waiting.id.desc()).limit(most)
            connection.execute(delete(Waiting).where(Waiting.id.not_in(kept)))

    def waiting(self, limit: int) -> list[dict[str, Any]]:
        """The passages that the model was least certain of, at most `limit`."""
        query = select(*Waiting.__table__.columns).order_by(Waiting.margin, Waiting.id)
        with self.database.read() as connection:
            return [_waiting(row) for row in connection.execute(query.limit(limit)).mappings()]

    def dismiss(self, identifier: int) -> bool:
        """Takes a passage out of the review queue; False where it was not in it."""
        return self._delete(delete(Waiting).where(Waiting.id == identifier)) > 0

    def _delete(self, *statements: Any) -> int:
        with self.database.write() as connection:
            deleted = sum(connection.execute(statement).rowcount for statement in statements)
        if deleted:
            self.database.forget()
        return deleted


def text_digest(text: str) -> str:
    """SHA-256, the same for texts that differ in spaces and case alone."""
    return hashlib.sha256(" ".join(text.lower().split()).encode("utf-8", "replace")).hexdigest()


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.reviewed is not None:
        reviewed = Feedback.reviewed_at.is_not(None)
        conditions.append(reviewed if wanted.reviewed else ~reviewed)
    if wanted.kind is not None:
        conditions.append(Feedback.kind == wanted.kind)
    return conditions


def _enqueue(connection: Connection, text: str, predicted: Predicted, now: datetime) -> None:
    digest = text_digest(text)
    known = select(Feedback.id).where(Feedback.digest == digest).limit(1)
    if connection.scalar(known) is not None:
        return
    newer = {
        "model": predicted.model,
        "model_topics": list(predicted.topics),
        "model_scores": predicted.scores,
        "reasons": list(predicted.reasons),
        "margin": predicted.margin,
        "seen_at": now,
    }
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(Waiting).values(
        digest=digest, text=text, language=predicted.language, **newer
    )
    connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=newer))


def _feedback(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "kind": row["kind"],
        "text": row["text"],
        "language": row["language"],
        "topics": row["topics"],
        "model": {
            "version": row["model"],
            "topics": row["model_topics"],
            "scores": row["model_scores"],
        },
        "comment": row["comment"],
        "given_by": row["given_by"],
        "given_at": _time(row["given_at"]),
        "reviewed": row["reviewed_at"] is not None,
        "reviewed_by": row["reviewed_by"],
        "reviewed_at": _time(row["reviewed_at"]),
    }


def _waiting(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "text": row["text"],
        "language": row["language"],
        "model": {
            "version": row["model"],
            "topics": row["model_topics"],
            "scores": row["model_scores"],
        },
        "reasons": row["reasons"],
        "margin": round(row["margin"], 6),
        "seen_at": _time(row["seen_at"]),
    }


def _passage(row: Mapping[Any, Any]) -> dict[str, Any]:
    """In the project's format of passages; the event is the text's own, and stays the same when it is labelled anew."""
    event = f"feedback-{row['digest'][:16]}"
    return {
        "id": event,
        "lang": row["language"] or UNDETERMINED,
        "event": event,
        "topics": row["topics"],
        "text": row["text"],
        "feedback": row["id"],
        "kind": row["kind"],
        "model": row["model"],
        "given_at": _time(row["given_at"]),
        "reviewed": row["reviewed_at"] is not None,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")
