"""The database itself: migrations, addresses, and a real PostgreSQL that stops, starts and hangs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from servers import Answer, PostgreSQL, call, serving, workers

from model import SettingsError
from service.database import Database, DatabaseError, parse_url
from service.feedback import Base, FeedbackStore, Predicted, Wanted
from service.keys import create_key

TEXT = "Twitter has permanently suspended the account."
PREDICTED = Predicted("v1", "en", ("fraud",), {"fraud": 0.75}, (), 0.1)


@pytest.fixture(scope="module")
def running():
    server = PostgreSQL()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.remove()


@pytest.fixture
def postgresql(running):
    """A running server without tables of ours."""
    database = Database(running.url)
    with database._engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    database.close()
    return running


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/feedback.db"
    else:
        url = request.getfixturevalue("postgresql").url
    database = Database(url)
    yield database
    database.close()


def test_migrations_make_the_tables_that_the_code_expects(database):
    database.upgrade()
    with database._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_processes_that_migrate_at_once_take_turns(database):
    program = "import sys; from service.database import Database; Database(sys.argv[1]).upgrade()"
    url = database.url.render_as_string(hide_password=False)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            cwd=Path(__file__).parents[1],
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors.decode()


def test_both_databases_keep_and_give_back_the_same(database):
    store = FeedbackStore(database)
    texts = ["Un texte 😀 « là »", "another % text ' \"", "un TEXTE 😀 « là »"]
    for text in texts:
        store.add(text, ["fraud", "boycott"], PREDICTED, comment=text, given_by="anna")
    first, _, _ = store.listed(Wanted(), 0, 10)
    assert (first["text"], first["comment"], first["topics"]) == (
        texts[0],
        texts[0],
        ["fraud", "boycott"],
    )
    assert first["model"] == {"version": "v1", "topics": ["fraud"], "scores": {"fraud": 0.75}}
    store.mark(1, True, "bruno")
    store.mark(2, True, "bruno")
    assert [p["feedback"] for p in store.export()] == [2, 1]
    assert [p["feedback"] for p in store.export(None)] == [3, 2]
    store.enqueue([("waiting", PREDICTED), (texts[0], PREDICTED)], 10, timedelta(days=1))
    store.enqueue([("Waiting", PREDICTED)], 10, timedelta(days=1))
    assert [w["text"] for w in store.waiting(10)] == ["waiting"]
    assert store.delete_older(timedelta(0)) == 4


def test_tables_of_a_later_release_are_left_alone(database):
    database.upgrade()
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    later = Database(database.url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseError, match="the tables are of a later release"):
        FeedbackStore(later).listed(Wanted(), 0, 1)
    later.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("feedback.db", "expected sqlite:///FILE or postgresql://"),
        ("mysql://u:secret@h/d", "expected sqlite or postgresql, got mysql"),
        ("sqlite://", "expected a file"),
        ("sqlite:///:memory:", "expected a file"),
    ],
)
def test_a_database_that_cannot_be_used_stops_the_start(url, message):
    with pytest.raises(SettingsError, match=f"VIGIE_DATABASE_URL: {message}") as error:
        parse_url(url)
    assert "secret" not in str(error.value)


def test_an_address_of_postgresql_is_taken_with_or_without_its_driver():
    for url in ("postgresql://h/d", "postgres://h/d", "postgresql+psycopg://h/d"):
        assert parse_url(url).drivername == "postgresql+psycopg"


def test_a_migration_killed_half_way_is_done_again(tmp_path):
    path = tmp_path / "feedback.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE feedback (id INTEGER)")
    database = Database(f"sqlite:///{path}")
    FeedbackStore(database).add(TEXT, [], PREDICTED)
    database.close()


class Load:
    """Threads that classify and give feedback until it is over."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._model = call(port, "/v1/model", key=key).body["version"]
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=target)
            for target in (self._classify, self._classify, self._give)
        ]
        self.promised: list[int] = []
        self.refused: list[Answer] = []
        self.classified: list[tuple[int, float]] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    def _classify(self) -> None:
        while not self._over.is_set():
            started = time.monotonic()
            answer = call(self._port, "/v1/classify", {"text": TEXT}, key=self._key)
            self.classified.append((answer.status, time.monotonic() - started))

    def _give(self) -> None:
        while not self._over.is_set():
            number = len(self.promised) + len(self.refused)
            body = {"text": f"{number} {TEXT}", "topics": [], "model": self._model}
            answer = call(self._port, "/v1/feedback", body, key=self._key)
            if answer.status == 201:
                self.promised.append(answer.body["id"])
            else:
                self.refused.append(answer)


def test_postgresql_stops_and_starts_under_load(version, tmp_path, postgresql):
    """Classification goes on; feedback says 503 while it is away; every 201 is there in the end."""
    key = create_key(tmp_path / "keys", "all", ["classify", "feedback", "admin"])
    settings = {"database_url": postgresql.url, "keys_file": tmp_path / "keys", "workers": 2}
    with serving(tmp_path, "--model", str(version), **settings) as service:
        with Load(service.port, key) as load:
            time.sleep(1)
            postgresql.stop()
            before = len(load.promised)
            time.sleep(1)
            assert len(load.promised) <= before + 1
            postgresql.start()
            deadline = time.monotonic() + 10
            while len(load.promised) < before + 10 and time.monotonic() < deadline:
                time.sleep(0.1)
        assert before > 5
        assert len(load.promised) >= before + 10
        assert {answer.status for answer in load.refused} == {503}
        assert {answer.headers["retry-after"] for answer in load.refused} == {"5"}
        assert {answer.body["type"] for answer in load.refused} == {
            "urn:vigie:problem:database-unavailable"
        }
        assert {status for status, _ in load.classified} == {200}
        assert max(seconds for _, seconds in load.classified) < 1
        export = call(service.port, "/v1/feedback/export?reviewed=all", key=key).body
        found = {json.loads(line)["feedback"] for line in export.splitlines()}
        assert set(load.promised) <= found
        assert "secret-password" not in service.log.read_text()


def test_a_postgresql_that_hangs_holds_a_worker_up_once_and_shortly(version, tmp_path, postgresql):
    settings = {"database_url": postgresql.url, "workers": 1}
    with serving(tmp_path, "--model", str(version), **settings) as service:
        model = call(service.port, "/v1/model").body["version"]
        body = {"text": TEXT, "topics": [], "model": model}
        assert call(service.port, "/v1/feedback", body).status == 201
        frozen = postgresql.processes()
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        try:
            started = time.monotonic()
            assert call(service.port, "/v1/feedback", body, timeout=20).status == 503
            first = time.monotonic() - started
            started = time.monotonic()
            assert call(service.port, "/v1/feedback", body).status == 503
            assert call(service.port, "/v1/classify", {"text": TEXT}).status == 200
            assert time.monotonic() - started < 0.5
        finally:
            for process in frozen:
                os.kill(process, signal.SIGCONT)
        assert first < 8
        time.sleep(5.2)
        assert call(service.port, "/v1/feedback", body).status == 201


def test_the_service_starts_while_the_database_is_away(version, tmp_path, postgresql):
    postgresql.stop()
    try:
        with serving(tmp_path, "--model", str(version), database_url=postgresql.url) as service:
            model = call(service.port, "/v1/model").body["version"]
            body = {"text": TEXT, "topics": [], "model": model}
            assert call(service.port, "/v1/classify", {"text": TEXT}).status == 200
            assert call(service.port, "/v1/feedback", body).status == 503
            postgresql.start()
            # Where its absence was slow to see, it is left alone for 5 s.
            deadline = time.monotonic() + 8
            while (answer := call(service.port, "/v1/feedback", body)).status == 503:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert answer.status == 201
    finally:
        if not (postgresql.folder / "postmaster.pid").exists():
            postgresql.start()


def test_a_killed_worker_loses_no_feedback(version, tmp_path):
    """Two real workers on one SQLite file, one of them killed while both write."""
    path = tmp_path / "feedback.db"
    settings = {"database_url": f"sqlite:///{path}", "workers": 2}
    with serving(tmp_path, "--model", str(version), **settings) as service:
        model = call(service.port, "/v1/model").body["version"]
        promised: list[int] = []

        def give(first: int) -> None:
            for number in range(first, first + 30):
                body = {"text": f"{number} {TEXT}", "topics": [], "model": model}
                try:
                    answer = call(service.port, "/v1/feedback", body)
                except OSError:
                    continue
                assert answer.status == 201
                promised.append(answer.body["id"])

        threads = [threading.Thread(target=give, args=(first,)) for first in (0, 1000, 2000)]
        for thread in threads:
            thread.start()
        time.sleep(0.15)
        os.kill(workers(service.process)[0], signal.SIGKILL)
        for thread in threads:
            thread.join(30)
    with closing(sqlite3.connect(path)) as connection:
        found = {number for (number,) in connection.execute("SELECT id FROM feedback")}
    assert len(promised) > 5
    assert set(promised) <= found
