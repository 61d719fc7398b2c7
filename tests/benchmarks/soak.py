"""Minutes of steady load on the service while another version goes live every few seconds.

    python tests/benchmarks/soak.py [--registry DIR] [--seconds S] [--every S] [--share F] [--workers N] [--clients N] [--json]

Measures what the service can do, then asks for a share of that, 0.8 unless told otherwise, for `--seconds`, 300 unless told otherwise. Two
versions take turns in a registry of its own: the live one of the registry given, and the same with every log-odds raised by one. Their
answers to the requests asked are fetched first, each from its version alone; afterwards every answer must be one of these to the last byte,
and the one of the version that it names. Prints what was asked, what failed, latency, and the workers' own memory from after
the first turn of both versions to the end. Exit code 1 where a request failed, an answer was wrong, a version was never seen, or memory
grew by more than `--growth` percent.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing as mp
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from model import Registry  # noqa: E402
from model.artifact import MANIFEST, STAGING_PREFIX, manifest_digest  # noqa: E402

TEXT = (
    "Twitter a suspendu vendredi le compte d'un sénateur après plusieurs messages de haine visant une consœur. La plateforme dit avoir "
    "appliqué son règlement ; l'élu dénonce une censure et annonce qu'il saisira la justice."
)
BODIES = (
    json.dumps({"text": TEXT}).encode(),
    json.dumps({"passages": [{"id": i, "text": f"{TEXT} {i}"} for i in range(10)]}).encode(),
)
_MANY_IN = 20
"""One request in so many has several passages."""

_HEADERS = {"Content-Type": "application/json"}
_CAPACITY_SECONDS = 3.0
Expected = dict[tuple[str, int], bytes]


@dataclass
class Seen:
    """What clients saw: answers by version, milliseconds of each, failures in words."""

    versions: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


@dataclass
class Report:
    """What a run came to; memory in megabytes, its growth from the first fifth to the last in percent."""

    seconds: float
    capacity: float
    asked: int
    per_second: float
    promotions: int
    answers: dict[str, int]
    failures: dict[str, int]
    p50_ms: float
    p99_ms: float
    memory_before: float
    memory_after: float
    growth: float
    memory_course: list[float]


def main() -> int:
    """Runs, prints, and says whether all held."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        report = soak(options, Path(folder))
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        _print(report)
    held = not report.failures and len(report.answers) == 2 and report.growth <= options.growth
    return 0 if held else 1


def soak(options: argparse.Namespace, folder: Path) -> Report:
    """Starts the service, loads it, promotes, and adds up."""
    registry, versions = _registry(options.registry, folder / "registry")
    port = _free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "service", "serve", "--registry", str(registry.root)),
                *("--port", str(port), "--workers", str(options.workers)),
            ],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(port, versions[0])
            expected = _expected(port, registry, versions, options.workers)
            load = _Load(port, expected, options.clients)
            capacity = load.run(None, _CAPACITY_SECONDS)
            rate = len(capacity.milliseconds) / _CAPACITY_SECONDS
            return _run(load, rate, registry, versions, server.pid, options)
        finally:
            server.terminate()
            server.wait(15)


def _run(
    load: _Load,
    capacity: float,
    registry: Registry,
    versions: list[str],
    pid: int,
    options: argparse.Namespace,
) -> Report:
    began = time.monotonic()
    load.begin(capacity * options.share, options.seconds)
    memory: list[tuple[float, int]] = []
    promotions = 0
    while (elapsed := time.monotonic() - began) < options.seconds:
        if elapsed >= (promotions + 1) * options.every:
            promotions += 1
            registry.promote(versions[promotions % 2], reason="soak")
        memory.append((elapsed, _memory(pid)))
        time.sleep(0.2)
    seen = load.end()
    settled = [pair for pair in memory if pair[0] >= 2 * options.every] or memory
    fifth = max(len(settled) // 5, 1)
    before, after = (
        statistics.median(m for _, m in part) for part in (settled[:fifth], settled[-fifth:])
    )
    times = sorted(seen.milliseconds)
    return Report(
        options.seconds,
        round(capacity),
        len(times) + seen.failures.total(),
        round(len(times) / options.seconds, 1),
        promotions,
        dict(seen.versions),
        dict(seen.failures),
        round(times[len(times) // 2], 2),
        round(times[len(times) * 99 // 100], 2),
        round(before / 1e6, 1),
        round(after / 1e6, 1),
        round((after / before - 1) * 100, 1),
        [
            round(settled[at][1] / 1e6, 1)
            for at in range(0, len(settled), max(len(settled) // 10, 1))
        ],
    )


class _Load:
    """Clients, each a process with a connection that it keeps, asking at an even pace or as quickly as they are answered."""

    def __init__(self, port: int, expected: Expected, clients: int) -> None:
        self._port = port
        self._expected = expected
        self._clients = clients
        self._running: list[Any] = []

    def run(self, rate: float | None, seconds: float) -> Seen:
        """Asks for so long, and says what was seen."""
        self.begin(rate, seconds)
        return self.end()

    def begin(self, rate: float | None, seconds: float) -> None:
        """Begins to ask; `rate` is requests per second of all clients together, None for as many as are answered."""
        each = None if rate is None else rate / self._clients
        context = mp.get_context("fork")
        for number in range(self._clients):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (self._port, self._expected, each, seconds, number, theirs)
            process = context.Process(target=_client, args=arguments)
            process.start()
            theirs.close()
            self._running.append((process, ours))

    def end(self) -> Seen:
        """Waits for all clients to end."""
        total = Seen()
        for process, ours in self._running:
            seen: Seen = ours.recv()
            process.join()
            total.versions += seen.versions
            total.milliseconds += seen.milliseconds
            total.failures += seen.failures
        self._running = []
        return total


def _client(
    port: int, expected: Expected, rate: float | None, seconds: float, number: int, result: Any
) -> None:
    seen = Seen()
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    asked = number
    while (elapsed := time.monotonic() - began) < seconds:
        due = 0.0 if rate is None else (asked - number) / rate - elapsed
        if due > 0:
            time.sleep(due)
        which = int(asked % _MANY_IN == 0)
        asked += 1
        started = time.monotonic()
        try:
            connection.request("POST", "/v1/classify", BODIES[which], _HEADERS)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            seen.failures[type(error).__name__] += 1
            connection.close()
            continue
        version = response.getheader("Vigie-Model") or ""
        if response.status != 200:
            seen.failures[f"status {response.status}"] += 1
        elif expected.get((version, which)) != content:
            seen.failures["an answer that is not its version's"] += 1
        else:
            seen.versions[version] += 1
            seen.milliseconds.append((time.monotonic() - started) * 1000)
    connection.close()
    result.send(seen)


def _registry(source: Path, root: Path) -> tuple[Registry, list[str]]:
    """A registry with the live version of another, and the same version with other biases."""
    live = Registry(source).current_folder()
    registry = Registry(root)
    versions = []
    for raised in (0.0, 1.0):
        staged = root / f"{STAGING_PREFIX}{raised}"
        shutil.copytree(live, staged)
        if raised:
            path = staged / MANIFEST
            manifest = json.loads(path.read_text())
            manifest["bias"] = [value + raised for value in manifest["bias"]]
            for entry in manifest["self_check"]:
                entry["log_odds"] = [value + raised for value in entry["log_odds"]]
            manifest["model_version"] += "-raised"
            manifest["manifest_sha256"] = manifest_digest(manifest)
            path.write_text(json.dumps(manifest))
        versions.append(registry.add(staged))
    registry.promote(versions[0])
    return registry, versions


def _expected(port: int, registry: Registry, versions: list[str], workers: int) -> Expected:
    """The answer of each version to each body, while all workers serve that version."""
    expected: Expected = {}
    for version in reversed(versions):
        registry.promote(version)
        _wait_for(port, version, in_a_row=20 * workers)
        for which, body in enumerate(BODIES):
            expected[version, which] = _ask(port, body)[1]
    if any(expected[versions[0], w] == expected[versions[1], w] for w in range(len(BODIES))):
        raise SystemExit("both versions answer the same: nothing to tell them apart by")
    return expected


def _wait_for(port: int, version: str, in_a_row: int = 1) -> None:
    deadline = time.monotonic() + 60
    found = 0
    while found < in_a_row:
        if time.monotonic() > deadline:
            raise SystemExit(f"the service did not come to serve {version}")
        try:
            found = found + 1 if _ask(port, BODIES[0])[0] == version else 0
        except (OSError, http.client.HTTPException):
            found = 0
        if not found:
            time.sleep(0.1)


def _ask(port: int, body: bytes) -> tuple[str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/v1/classify", body, _HEADERS)
        response = connection.getresponse()
        return response.getheader("Vigie-Model") or "", response.read()
    finally:
        connection.close()


def _memory(pid: int) -> int:
    """Bytes of the workers below a process that are theirs alone."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for worker in (task / "children").read_text().split():
            for line in Path(f"/proc/{worker}/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    total += int(line.split()[1]) * 1024
    return total


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--registry", type=Path, default=Path("var/registry"))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between promotions")
    parser.add_argument("--share", type=float, default=0.8, help="of what the service can do")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--growth", type=float, default=5.0, help="most growth of memory, percent")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _print(report: Report) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, value in asdict(report).items():
        print(f"{name:14} {value}")


if __name__ == "__main__":
    raise SystemExit(main())
