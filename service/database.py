"""The database behind feedback: connection, its short timeouts, migrations.

A worker answers one request at a time, so waiting for the database is waiting for classification. Every wait is bounded, and after a
failure that took long the database is left alone for some seconds, in which calls fail at once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from model.errors import SettingsError, VigieError

MIGRATIONS = Path(__file__).with_name("migrations")
_CONNECT_SECONDS = 2
_ANSWER_SECONDS = 2
_GRACE_SECONDS = 0.5
_SLOW_SECONDS = 0.5
_REST_SECONDS = 5.0
_LOCK_NUMBER = 0x5649474945  # "VIGIE"
_READ_ONLY = "vigie_read_only"
_LOG = logging.getLogger("vigie")


class DatabaseError(VigieError):
    """The database cannot be reached, is full or refuses; the message holds no password and no text."""


class Database:
    """A database by its URL; connects and brings its tables up to date when it is first used."""

    def __init__(self, url: str, seconds: int = _ANSWER_SECONDS) -> None:
        """`seconds` is the longest wait for an answer of the database, and for other writers."""
        self.url = parse_url(url)
        self._engine = (
            _sqlite(self.url, seconds) if self.is_sqlite else _postgresql(self.url, seconds)
        )
        self._reading = self._engine.execution_options(**{_READ_ONLY: True})
        self._migrated = False
        self._migrating = threading.Lock()
        self._rests_until = 0.0

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, committed at the end; DatabaseError where it failed, and then nothing of it is kept."""
        with self._guarded(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with; DatabaseError where that fails."""
        with self._guarded(), self._reading.connect() as connection:
            yield connection

    def upgrade(self) -> None:
        """Brings the tables up to date, one process at a time."""
        with self._guarded(migrate=False):
            self._migrate()

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def forget(self) -> None:
        """Removes what deleted rows left in SQLite's log beside the file; as far as no reader holds it."""
        if self.is_sqlite:
            with self._guarded():
                connection = self._engine.raw_connection()
                try:
                    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    connection.close()

    @contextmanager
    def _guarded(self, *, migrate: bool = True) -> Iterator[None]:
        started = time.monotonic()
        if started < self._rests_until:
            raise DatabaseError("the database did not answer in time; it is asked again soon")
        try:
            if migrate and not self._migrated:
                self._migrate()
            yield
        except (SQLAlchemyError, OSError) as error:
            if time.monotonic() - started > _SLOW_SECONDS:
                self._rests_until = time.monotonic() + _REST_SECONDS
            raise DatabaseError(_reason(error)) from None

    def _migrate(self) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self._migrating, self._alone() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise DatabaseError(f"the tables are of a later release: {error}") from None
            self._migrated = True

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction that no other process migrates beside."""
        if not self.is_sqlite:
            with self._engine.begin() as connection:
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK_NUMBER})
                yield connection
            return
        path = Path(str(self.url.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._engine.begin() as connection:
                yield connection


def parse_url(url: str) -> URL:
    """The URL of a database that feedback can be kept in; SettingsError for any other, without its password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError(
            "VIGIE_DATABASE_URL: expected sqlite:///FILE or postgresql://user:password@host/name"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise SettingsError(
            f"VIGIE_DATABASE_URL: expected sqlite or postgresql, got {parsed.drivername}"
        )
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SettingsError(
            "VIGIE_DATABASE_URL: expected a file, sqlite:///var/feedback.db: workers cannot share "
            "a database in memory"
        )
    return parsed


def _sqlite(url: URL, seconds: int) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": seconds})
    event.listen(engine, "connect", partial(_prepare_sqlite, seconds))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL, seconds: int) -> Engine:
    """Bounded on both sides: a server that hangs cannot keep its own timeouts, and its system still acknowledges packets."""
    milliseconds = seconds * 1000
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=2,
        max_overflow=2,
        pool_timeout=_CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": milliseconds,
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            "application_name": "vigie",
        },
    )
    event.listen(engine, "do_connect", partial(_connect_postgresql, seconds))
    return engine


def _connect_postgresql(seconds: int, _: Any, __: Any, arguments: Any, options: Any) -> Any:
    from service.postgresql import BoundedConnection

    connection = BoundedConnection.connect(*arguments, **options)
    connection.longest_wait = seconds + _GRACE_SECONDS
    return connection


def _prepare_sqlite(seconds: int, connection: Any, _: Any) -> None:
    """Readers beside one writer; a commit is on the disk before it is acknowledged; deleted texts are overwritten."""
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={seconds * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its turn at the start: one that began by reading could only fail later."""
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _reason(error: SQLAlchemyError | OSError) -> str:
    """What the database said, in a line; a driver's message for a broken constraint may hold values, so it is left out."""
    if isinstance(error, OSError):
        return f"the database cannot be used: {error.strerror}"
    if isinstance(error, DBAPIError) and error.orig is not None:
        kind = type(error.orig).__name__
        if kind == "OperationalError":
            lines = str(error.orig).strip().splitlines() or [kind]
            return f"the database cannot be used: {lines[0]}"
        return f"the database refused: {kind}"
    return f"the database cannot be used: {type(error).__name__}"
