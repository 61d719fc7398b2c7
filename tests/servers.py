"""Real servers for tests: the service on granian, PostgreSQL, Redis. Each listens on 127.0.0.1, on a free port."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
_POSTGRESQL = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, headers, and the body as JSON where it is one."""

    status: int
    headers: dict[str, str]
    body: Any


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def call(
    port: int,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    method: str | None = None,
    timeout: float = 10,
) -> Answer:
    """Calls the service; an answer with an error status is an answer too. OSError where there is none."""
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    address = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(address, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return _answer(response)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error)


def _answer(response: Any) -> Answer:
    content = response.read()
    try:
        body = json.loads(content)
    except ValueError:
        body = content.decode()
    return Answer(response.status, dict(response.headers), body)


@dataclass(frozen=True, slots=True)
class Service:
    """The running service; `log` is the file that it writes its messages to."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path


@contextmanager
def serving(folder: Path, *arguments: str, **settings: object) -> Iterator[Service]:
    """The service with settings by their names in small letters, once it is ready."""
    port, log = free_port(), folder / f"service-{time.monotonic_ns()}.log"
    environment = {f"VIGIE_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "service", "serve", "--port", str(port), *arguments]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=stream, stderr=stream
        )
    try:
        _wait_until_ready(port, log)
        yield Service(process, port, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(10)


def _wait_until_ready(port: int, log: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if call(port, "/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not ready after {seconds} s: {log.read_text()}")


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes below the server's own."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def missing(reason: str) -> None:
    """Skips the test that lacks a part beyond Python; fails it where CI has to have the part."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Redis:
    """A Redis server without persistence."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("redis-server") is None:
            missing("needs redis-server: apt-get install redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


class PostgreSQL:
    """A PostgreSQL server of its own, in a folder of its own, run by another user where the tests are run by root."""

    def __init__(self) -> None:
        releases = sorted(_POSTGRESQL.glob("*/bin/pg_ctl")) if _POSTGRESQL.is_dir() else []
        if not releases:
            missing("needs PostgreSQL: apt-get install postgresql")
        self._bin = releases[-1].parent
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.folder = Path(tempfile.mkdtemp(prefix="vigie-postgresql-"))
        if self._as:
            shutil.chown(self.folder, "postgres", "postgres")
        self.port = free_port()
        self.url = f"postgresql://postgres:secret-password@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """As a crash: no checkpoint; what was committed is in the log on the disk."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[int]:
        """The server and what serves its connections."""
        first = int((self.folder / "postmaster.pid").read_text().split()[0])
        tasks = Path(f"/proc/{first}/task").iterdir()
        children = [(task / "children").read_text().split() for task in tasks]
        return [first, *(int(pid) for listed in children for pid in listed)]

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), "-D", str(self.folder), *arguments]
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60
        )
        assert done.returncode == 0, command
