"""Feedback over HTTP on a real server with SQLite: what was answered with 201 is there, whatever happens to the server or to the disk."""

from __future__ import annotations

import http.client
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from running import JSON, ROOT, running, wait_for
from servers import free_port

TEXT = "Twitter has permanently suspended the account."
FILLER = "A long text about the rules of a platform. " * 40
WRITERS = 3


def kept(path: Path) -> set[int]:
    """The ids that a fresh connection finds; the file is sound."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {number for (number,) in connection.execute("SELECT id FROM feedback")}


class Writer(threading.Thread):
    """Gives feedback to whoever listens on a port, until it is told to stop."""

    def __init__(self, port: int, model: str, name: int) -> None:
        super().__init__()
        self._port, self._model, self._name = port, model, name
        self.promised: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            body = {"text": f"{self._name} {number} {TEXT}", "topics": [], "model": self._model}
            with suppress(OSError, http.client.HTTPException):
                self._give(json.dumps(body))
                continue
            time.sleep(0.02)

    def _give(self, body: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        with closing(connection):
            connection.request("POST", "/v1/feedback", body, {"Content-Type": JSON})
            response = connection.getresponse()
            content = response.read()
            if response.status == 201:
                self.promised.append(json.loads(content)["id"])


def start(port: int, version: Path, database: Path, log: Path) -> subprocess.Popen[bytes]:
    settings = {"VIGIE_DATABASE_URL": f"sqlite:///{database}", "VIGIE_MODEL": str(version)}
    with log.open("ab") as stream:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "service", "serve"),
                *("--port", str(port), "--workers", "2"),
            ],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def test_kills_at_any_moment_lose_nothing_that_was_acknowledged(
    version, classifier, tmp_path, pytestconfig
):
    """The whole server is killed, master and workers at once, while others write; then it is started on the same file."""
    kills = pytestconfig.getoption("--kills")
    port, database, log = free_port(), tmp_path / "feedback.db", tmp_path / "log"
    writers = [Writer(port, classifier.version, name) for name in range(WRITERS)]
    generator = random.Random(5)
    for writer in writers:
        writer.start()
    in_writing = 0
    try:
        for _ in range(kills):
            before = sum(len(writer.promised) for writer in writers)
            server = start(port, version, database, log)
            try:
                wait_for(
                    lambda before=before: sum(len(w.promised) for w in writers) > before,
                    f"feedback to be kept: {log}",
                    30,
                )
                time.sleep(generator.uniform(0, 0.05))
            finally:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait(10)
            in_writing += 1
    finally:
        for writer in writers:
            writer.over.set()
        for writer in writers:
            writer.join(20)
    promised = [number for writer in writers for number in writer.promised]
    found = kept(database)
    print(f"{in_writing} kills, {len(promised)} acknowledged, {len(found)} kept")
    assert len(promised) == len(set(promised)) >= kills
    assert set(promised) <= found
    assert len(found - set(promised)) <= kills * WRITERS  # What each writer was not told any more.


def limit_files(pids: list[int], size: int) -> None:
    """From now on no file of these processes can grow beyond a size, as on a full disk; needs no privilege."""
    for pid in pids:
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit is Linux's")
def test_a_full_disk_refuses_feedback_and_nothing_else(version, classifier, tmp_path):
    database = tmp_path / "feedback.db"
    settings = {"database_url": f"sqlite:///{database}", "workers": 2, "log_level": "warning"}
    with running(tmp_path, "--model", str(version), **settings) as service:

        def give(number: int):
            body = {"text": f"{number} {FILLER}", "topics": [], "model": classifier.version}
            return service.ask("POST", "/v1/feedback", json.dumps(body), {"Content-Type": JSON})

        promised = [give(number).json()["id"] for number in range(5)]
        limit_files(service.workers(), 600_000)
        refused = []
        for number in range(5, 2000):
            answer = give(number)
            if answer.status == 201:
                promised.append(answer.json()["id"])
            else:
                refused.append(answer)
            assert service.classify(TEXT).status == 200
            if len(refused) == 5:
                break
        assert {answer.status for answer in refused} == {503}
        assert {answer.json()["type"] for answer in refused} == {
            "urn:vigie:problem:database-unavailable"
        }
        assert {answer.headers["retry-after"] for answer in refused} == {"5"}
        assert kept(database) == set(promised)
        limit_files(service.workers(), resource.RLIM_INFINITY)
        wait_for(lambda: give(0).status == 201, "feedback to be kept again", 10)
        assert set(promised) <= kept(database)
    assert FILLER[:20] not in service.log.read_text()
