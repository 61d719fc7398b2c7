"""A real server for tests: granian with its workers, its log in a file."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
JSON = "application/json"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Running:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    opened: list[socket.socket] = field(default_factory=list)

    def ask(self, method: str, path: str, body=None, headers=None, timeout=20) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
            return Answer(
                response.status, {k.lower(): v for k, v in response.getheaders()}, content
            )
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def classify(self, text: str, **options) -> Answer:
        body = json.dumps({"text": text, **options})
        return self.ask("POST", "/v1/classify", body, {"Content-Type": JSON})

    def connect(self) -> socket.socket:
        """A bare connection; closed when the service ends, if not before."""
        self.opened.append(socket.create_connection(("127.0.0.1", self.port), timeout=20))
        return self.opened[-1]

    def workers(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

    def memory(self) -> int:
        """Resident bytes of all workers that are theirs alone."""
        total = 0
        for pid in self.workers():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    total += int(line.split()[1]) * 1024
        return total

    def lines(self) -> list[dict]:
        """What was logged, line by line; a line that is not JSON fails."""
        content = self.log.read_text().splitlines()
        return [json.loads(line) for line in content if not line.startswith("Vigie on ")]


@contextmanager
def running(folder: Path, *arguments: str, **settings: object) -> Iterator[Running]:
    """A server with settings (without their prefix); ends with the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    log = folder / f"server-{port}.log"
    environment = {f"VIGIE_{name.upper()}": str(value) for name, value in settings.items()}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", str(port), *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
    service = Running(process, port, log)
    try:
        wait_for(lambda: _is_ready(service), "the service to be ready", 30)
        yield service
    finally:
        for connection in service.opened:
            connection.close()
        if process.poll() is None:
            process.terminate()
        process.wait(15)


def wait_for(condition, what: str, seconds: float = 10) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


def _is_ready(service: Running) -> bool:
    assert service.process.poll() is None, service.log.read_text()
    try:
        return service.get("/readyz").status == 200
    except OSError:
        return False
