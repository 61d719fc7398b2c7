"""The real server: granian with its workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def call(port: int, path: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def wait_until_ready(port: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            call(port, "/readyz")
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"not ready after {seconds} s")


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [sys.executable, "-m", "service", "serve", "--port", str(port), *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_ready(port)
        yield process, port
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(10)


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds(version, stop):
    with serving("--model", str(version), "--workers", "2") as (process, port):
        assert call(port, "/v1/classify", {"text": "The app was banned."})["results"]
        started = time.monotonic()
        process.send_signal(stop)
        assert process.wait(5) == 0
        assert time.monotonic() - started < 2.5


def test_a_killed_worker_is_replaced(version):
    with serving("--model", str(version), "--workers", "2") as (process, port):
        time.sleep(6)  # granian gives up on workers that die within 5.5 s of their start
        before = workers(process)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and len(set(workers(process)) - set(before)) < 1:
            time.sleep(0.1)
        assert set(workers(process)) - set(before)
        wait_until_ready(port)
        for _ in range(20):
            call(port, "/v1/classify", {"text": "The app was banned."})


def test_a_promotion_is_followed_without_a_restart(registry, version):
    from conftest import copy_version
    from test_artifact import rewrite

    with serving("--registry", str(registry.root)) as (_, port):
        assert call(port, "/v1/model")["version"] == registry.current()
        staged = copy_version(version, registry.root / ".staging-x")
        rewrite(staged, model_version="v2")
        registry.promote(registry.add(staged))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and call(port, "/v1/model")["version"] != "v2":
            time.sleep(0.1)
        assert call(port, "/v1/classify", {"text": "x"})["model"]["version"] == "v2"


def test_a_bad_setting_stops_the_start():
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve"],
        cwd=ROOT,
        env={**os.environ, "VIGIE_PROT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == 'error: unknown setting "VIGIE_PROT"; did you mean "VIGIE_PORT"?\n'


def test_gunicorn_runs_the_application_too(version):
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"),
            *("--no-control-socket", "service:create_app()"),
        ],
        cwd=ROOT,
        env={**os.environ, "VIGIE_MODEL": str(version)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(port)
        assert call(port, "/v1/classify", {"text": "The app was banned."})["results"]
    finally:
        process.terminate()
        process.wait(10)
