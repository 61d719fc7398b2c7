"""Requests per second of ``POST /v1/classify`` beside two no-op Flask routes, interleaved; and a batch beside its passages one by one.

    python tests/benchmarks/serving.py [--registry DIR] [--seconds S] [--rounds N] [--workers N] [--connections N]

Prints machine, versions and method, then a line for each round and the best of each. Needs `wrk` (Debian: apt-get install wrk). Both are
run by granian with the settings of `service.server`. `bare` is a Flask application of one view that returns two bytes; `no-op` is
``GET /healthz`` of the service, which passes the same places, log and metrics as every call. CPU is what the workers used, wrk not counted.

The batch: 1,000 distinct passages in one request, and the same 1,000 in a request each on one connection that is kept open, in turns.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (
    "Twitter a suspendu vendredi le compte d'un sénateur après plusieurs messages de haine visant une consœur. La plateforme dit avoir "
    "appliqué son règlement ; l'élu dénonce une censure et annonce qu'il saisira la justice."
)
NOOP = """
import sys
from pathlib import Path
from flask import Flask, Response
from service.server import make_server
from service.settings import Settings

def create():
    app = Flask("noop")
    @app.post("/v1/classify")
    def noop():
        return Response(b"{}", content_type="application/json")
    return app

if __name__ == "__main__":
    make_server("noop:create", Settings(port=int(sys.argv[1]), workers=int(sys.argv[2]))).serve()
"""
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_REQUESTS = re.compile(r"(\d+) requests in")
_PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)\s*$", re.MULTILINE)
_FAILED = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Round:
    """One run of wrk: requests per second, percentiles in milliseconds, CPU microseconds of the workers a request, what failed."""

    rate: float
    p50: float
    p99: float
    cpu: float
    failed: str


@dataclass(frozen=True)
class Batch:
    """Seconds that some requests took, and CPU seconds of the workers."""

    seconds: float
    cpu: float


@dataclass(frozen=True)
class Subject:
    """What is measured: a path of a server, asked with a script for wrk."""

    name: str
    port: int
    path: str
    script: Path
    server: subprocess.Popen[bytes]


def main() -> int:
    """Measures and prints; 0 where it could."""
    options = _options()
    if shutil.which("wrk") is None:
        print("needs wrk: apt-get install wrk", file=sys.stderr)
        return 1
    _print_head(options)
    with tempfile.TemporaryDirectory() as folder:
        subjects = _subjects(Path(folder), options)
        try:
            for subject in subjects:
                _wait(subject.port)
            rounds = _measure(subjects, options)
            batches = [_measure_batch(subjects[-1]) for _ in range(options.rounds)]
        finally:
            for server in {subject.server.pid: subject.server for subject in subjects}.values():
                server.terminate()
                server.wait(10)
    _print_ratios(rounds)
    _print_batches(batches)
    return 0


def _subjects(folder: Path, options: argparse.Namespace) -> list[Subject]:
    post, get = folder / "post.lua", folder / "get.lua"
    body = json.dumps({"text": TEXT})
    post.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [==[{body}]==]\n"
    )
    get.write_text('wrk.method = "GET"\n')
    (folder / "noop.py").write_text(NOOP)
    bare, ours = _free_port(), _free_port()
    noop = _start([str(folder / "noop.py"), str(bare), str(options.workers)], folder)
    service = _start(
        [
            *("-m", "service", "serve", "--registry", str(options.registry.resolve())),
            *("--port", str(ours), "--workers", str(options.workers)),
        ],
        folder,
    )
    return [
        Subject("bare", bare, "/v1/classify", post, noop),
        Subject("no-op", ours, "/healthz", get, service),
        Subject("classify", ours, "/v1/classify", post, service),
    ]


def _measure(subjects: list[Subject], options: argparse.Namespace) -> dict[str, list[Round]]:
    rounds: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
    for number in range(options.rounds):
        for subject in subjects:
            seen = _wrk(subject, options)
            rounds[subject.name].append(seen)
            print(
                f"round {number + 1}  {subject.name:9} {seen.rate:8.0f} req/s  p50 {seen.p50:6.2f} ms  "
                f"p99 {seen.p99:7.2f} ms  CPU {seen.cpu:6.0f} us/req  {seen.failed}",
                flush=True,
            )
    return rounds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--registry", type=Path, default=Path("var/registry"))
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=16)
    return parser.parse_args()


def _print_head(options: argparse.Namespace) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("flask", "granian", "numpy"))
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    print(
        f"{versions}; wrk, {options.connections} connections, {options.workers} workers, ", end=""
    )
    print(f"{options.rounds} interleaved rounds of {options.seconds} s, one passage a request")


def _print_ratios(rounds: dict[str, list[Round]]) -> None:
    best = {name: max(seen, key=lambda r: r.rate) for name, seen in rounds.items()}
    ours = best["classify"]
    for name in ("bare", "no-op"):
        noop = best[name]
        print(
            f"classify to {name:6} {ours.rate:.0f} of {noop.rate:.0f} req/s: {ours.rate / noop.rate:.2f}   "
            f"p99 {ours.p99:.2f} of {noop.p99:.2f} ms: {ours.p99 / noop.p99:.2f}   "
            f"CPU {ours.cpu:.0f} of {noop.cpu:.0f} us"
        )


def _measure_batch(subject: Subject) -> tuple[Batch, Batch]:
    """1,000 passages in one request, and in a request each."""
    passages = [{"text": f"{TEXT} {number}"} for number in range(1000)]
    together = [json.dumps({"passages": passages}).encode()]
    alone = [json.dumps(passage).encode() for passage in passages]
    return _ask_all(subject, together), _ask_all(subject, alone)


def _ask_all(subject: Subject, bodies: list[bytes]) -> Batch:
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=60)
    before, started = _cpu_seconds(subject.server.pid), time.perf_counter()
    for body in bodies:
        connection.request("POST", subject.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"status {response.status}")
    seconds = time.perf_counter() - started
    connection.close()
    return Batch(seconds, _cpu_seconds(subject.server.pid) - before)


def _print_batches(batches: list[tuple[Batch, Batch]]) -> None:
    together, alone = (min(found, key=lambda b: b.seconds) for found in zip(*batches, strict=True))
    print(
        f"1,000 passages  in one request {together.seconds * 1000:.0f} ms, in a request each {alone.seconds * 1000:.0f} ms: "
        f"{alone.seconds / together.seconds:.1f} times   CPU {together.cpu * 1000:.0f} of {alone.cpu * 1000:.0f} ms"
    )


def _wrk(subject: Subject, options: argparse.Namespace) -> Round:
    before = _cpu_seconds(subject.server.pid)
    ran = subprocess.run(
        [
            *("wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency"),
            *("-s", str(subject.script), f"http://127.0.0.1:{subject.port}{subject.path}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    used = _cpu_seconds(subject.server.pid) - before
    rate, requests = _RATE.search(ran), _REQUESTS.search(ran)
    percentiles = {
        key: float(value) * _MILLISECONDS[unit] for key, value, unit in _PERCENTILE.findall(ran)
    }
    failed = _FAILED.search(ran)
    return Round(
        float(rate.group(1)) if rate else 0.0,
        percentiles.get("50", 0.0),
        percentiles.get("99", 0.0),
        used * 1e6 / max(int(requests.group(1)) if requests else 1, 1),
        failed.group() if failed else "",
    )


def _cpu_seconds(parent: int) -> float:
    """CPU time of a server's workers so far."""
    ticks = 0
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _start(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/classify",
        json.dumps({"text": TEXT}).encode(),
        {"Content-Type": "application/json"},
    )
    for _ in range(150):
        try:
            urllib.request.urlopen(request, timeout=2).read()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("a server did not start")


if __name__ == "__main__":
    raise SystemExit(main())
