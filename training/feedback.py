"""Passages that readers labelled, for retraining.

The source is the service's own database (``sqlite:///var/feedback.db``, ``postgresql://…``) or a JSONL file that the service exported
(``python -m service feedback export``, ``GET /v1/feedback/export``). A database is the better source for a job that runs by itself:
nobody has to export, and it needs no API key. Its table is read by name: training knows nothing of the service. A URL that holds a
password belongs in the environment, as the service has it (``VIGIE_DATABASE_URL``): everybody on a machine can read the arguments of a
command.

Only what a reviewer has marked is taken. On the same text the newest label wins, over older feedback and over the other passages: those
keep their event, and get the new topics. A new text is an event of its own, so that no split tears apart what belongs together.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import PassageError
from model.language import UNDETERMINED
from training.passages import Passage, read_passages, text_key

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

TABLE = "feedback"
DATABASE_VARIABLE = "VIGIE_DATABASE_URL"
FROM_ENVIRONMENT = "env"
_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Feedback:
    """Where reviewed feedback is read from: the URL of a database, or a file of passages."""

    source: str

    @classmethod
    def of(cls, option: str, environment: Mapping[str, str] | None = None) -> Feedback:
        """What an option names: a source, or `env` for the one that the environment names; PassageError where it names none."""
        if option != FROM_ENVIRONMENT:
            return cls(option)
        named = (os.environ if environment is None else environment).get(DATABASE_VARIABLE)
        if not named:
            raise PassageError(f"feedback: {DATABASE_VARIABLE} is not set")
        return cls(named)

    def read(self, topics: Sequence[str]) -> list[Passage]:
        """The newest reviewed label of each text; PassageError where the source cannot be read.

        A label with a topic that is not (or no longer) in the taxonomy is left out with a warning, so that one does not stop every
        retraining to come.
        """
        if "://" in self.source:
            found = _from_database(self.source)
        elif Path(self.source).exists() and not Path(self.source).read_bytes().strip():
            found = []
        else:
            found = read_passages([Path(self.source)])
        return _newest([p for p in found if _is_usable(p, frozenset(topics))])


def join(passages: Sequence[Passage], labelled: Sequence[Passage]) -> list[Passage]:
    """The passages with the labels of the feedback: the same text gets its topics, another text is added."""
    by_text = {text_key(passage.text): passage for passage in labelled}
    joined, met = [], set()
    for passage in passages:
        key = text_key(passage.text)
        newer = by_text.get(key)
        met.add(key)
        joined.append(passage if newer is None else replace(passage, topics=newer.topics))
    return [*joined, *(passage for key, passage in by_text.items() if key not in met)]


def _newest(passages: Sequence[Passage]) -> list[Passage]:
    """The newest label of each text: the number of the feedback says which it is, else the place in the file."""
    in_order = sorted(passages, key=lambda passage: passage.extra.get("feedback", 0))
    return list({text_key(passage.text): passage for passage in in_order}.values())


def _is_usable(passage: Passage, topics: frozenset[str]) -> bool:
    if passage.extra.get("reviewed") is False:
        return False
    unknown = [topic for topic in passage.topics if topic not in topics]
    if unknown:
        print(
            f"warning: {passage.where}: left out, the taxonomy does not have {', '.join(unknown)}",
            file=sys.stderr,
        )
    return not unknown


def _from_database(source: str) -> list[Passage]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    url = _url(source)
    waiting = {} if url.get_backend_name() == "sqlite" else {"connect_timeout": _CONNECT_SECONDS}
    query = text(
        f"SELECT id, digest, language, topics, text FROM {TABLE} "  # noqa: S608 - a constant
        "WHERE reviewed_at IS NOT NULL ORDER BY id"
    ).columns(**_columns())
    try:
        engine = create_engine(url, hide_parameters=True, connect_args=waiting)
        try:
            with engine.connect() as connection:
                rows = connection.execute(query).mappings().all()
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise PassageError(f"feedback: {url}: cannot be read: {reason}") from None
    return [
        Passage(
            id=f"feedback-{row['digest'][:16]}",
            text=row["text"],
            topics=tuple(row["topics"]),
            event=f"feedback-{row['digest'][:16]}",
            lang=row["language"] or UNDETERMINED,
            where=f"feedback {row['id']}",
            extra={"feedback": row["id"]},
        )
        for row in rows
    ]


def _url(source: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(source)
    except ArgumentError:
        raise PassageError("feedback: expected the URL of a database, or a file") from None
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise PassageError(f"feedback: expected sqlite, postgresql or a file, got {url.drivername}")
    if url.drivername == "sqlite" and not Path(url.database or "").is_file():
        raise PassageError(f"feedback: {url}: no such file")
    return url


def _columns() -> dict[str, Any]:
    from sqlalchemy import JSON, BigInteger, String, Text

    return {"id": BigInteger, "digest": String, "language": String, "topics": JSON, "text": Text}
