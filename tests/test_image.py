"""The container image, built and run as in production: read-only, without capabilities, as a user of its own.

Needs podman or docker, and the base image: pulled where a registry can be reached, else put there beforehand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from test_server import call, free_port, wait_until_ready

ROOT = Path(__file__).resolve().parents[1]
BASE = "docker.io/library/python:3.11-slim"
IMAGE = "localhost/vigie-test"
CLUSTER = "localhost/vigie-cluster-test"
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
HARDENED += ("--security-opt", "no-new-privileges")


def engine() -> str:
    """A container engine that works here and has the base image; skips, or fails with CI=true, where there is none."""
    for name in ("podman", "docker"):
        if not shutil.which(name):
            continue
        works = subprocess.run([name, "info"], capture_output=True).returncode == 0
        has_base = subprocess.run([name, "image", "inspect", BASE], capture_output=True)
        if works and (
            has_base.returncode == 0
            or subprocess.run([name, "pull", BASE], capture_output=True).returncode == 0
        ):
            return name
    missing = f"no container engine with {BASE}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def mounts() -> list[str]:
    """What pip inside the build needs to reach the package index as it does outside."""
    found = []
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"):
        if Path(path).is_file():
            found += ["-v", f"{path}:{path}:ro"]
    return found


def build(name: str, tag: str, *more: str) -> None:
    """Builds an image from the project's folder."""
    options = ["--format", "docker", "--pull=never", "--network=host"] if name == "podman" else []
    options += mounts() if name == "podman" else []
    command = [name, "build", *options, *more, "-t", tag, "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def image() -> Iterator[tuple[str, str]]:
    name = engine()
    build(name, IMAGE)
    yield name, IMAGE
    subprocess.run([name, "rmi", "-f", IMAGE], capture_output=True)


@pytest.fixture(scope="module")
def cluster_image(image: tuple[str, str]) -> Iterator[tuple[str, str]]:
    name, service = image
    build(name, CLUSTER, "--file", "deploy/dask/Dockerfile", "--build-arg", f"SERVICE={service}")
    yield name, CLUSTER
    subprocess.run([name, "rmi", "-f", CLUSTER], capture_output=True)


@pytest.fixture(scope="module")
def container(image: tuple[str, str]) -> Iterator[tuple[str, str, int]]:
    name, tag = image
    port = free_port()
    command = [name, "run", "-d", "--network=host", *HARDENED, "-e", f"VIGIE_PORT={port}", tag]
    identifier = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        wait_until_ready(port, 60)
        yield name, identifier, port
    finally:
        subprocess.run([name, "rm", "-f", identifier], capture_output=True)


def inside(container: tuple[str, str, int], *command: str) -> str:
    name, identifier, _ = container
    return subprocess.run(
        [name, "exec", identifier, *command], check=True, capture_output=True, text=True
    ).stdout


def test_it_classifies_read_only_and_without_capabilities(container):
    answer = call(container[2], "/v1/classify", {"text": "Twitter suspended the account."})
    assert "deplatforming" in answer["results"][0]["topics"]


def test_it_runs_as_a_user_of_its_own(container):
    assert inside(container, "id", "-u").strip() == "10001"


def test_it_holds_what_serving_needs_alone(container):
    program = (
        "import importlib.util as u, json;"
        "print(json.dumps([n for n in ('sklearn', 'scipy', 'joblib', 'pytest', 'training')"
        " if u.find_spec(n)]))"
    )
    assert json.loads(inside(container, "python", "-c", program)) == []


def test_its_health_check_passes(container):
    name, identifier, _ = container
    check = inside_check(name, identifier)
    subprocess.run([name, "exec", identifier, *check], check=True, capture_output=True)


def inside_check(name: str, identifier: str) -> list[str]:
    """The health check's command, as the image has it."""
    shown = subprocess.run(
        [name, "inspect", identifier], check=True, capture_output=True, text=True
    ).stdout
    return json.loads(shown)[0]["Config"]["Healthcheck"]["Test"][1:]


def test_sigterm_ends_it_within_two_seconds(image):
    name, tag = image
    port = free_port()
    command = [name, "run", "-d", "--network=host", "-e", f"VIGIE_PORT={port}", tag]
    identifier = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        wait_until_ready(port, 60)
        started = time.monotonic()
        subprocess.run([name, "kill", "-s", "TERM", identifier], check=True, capture_output=True)
        subprocess.run([name, "wait", identifier], check=True, capture_output=True, timeout=20)
        assert time.monotonic() - started < 3
    finally:
        subprocess.run([name, "rm", "-f", identifier], capture_output=True)


def test_a_cluster_of_containers_classifies_an_archive_as_one_container_does(
    cluster_image, tmp_path
):
    services = yaml.safe_load((ROOT / "deploy/dask/compose.yaml").read_text())["services"]
    address = f"tcp://127.0.0.1:{free_port()}"
    (tmp_path / "in").mkdir()
    for number in range(3):
        rows = ({"id": f"{number}-{i}", "text": f"Twitter bans {i} bots"} for i in range(200))
        (tmp_path / "in" / f"{number}.jsonl").write_text(
            "".join(json.dumps(r) + "\n" for r in rows)
        )
    tmp_path.chmod(0o777)  # the image has a user of its own
    command = [cluster_image[0], "run", "--network=host", *HARDENED, "-v", f"{tmp_path}:/archive"]
    running = []

    def start(*arguments: str) -> None:
        done = subprocess.run(
            [*command, "-d", cluster_image[1], *arguments], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        running.append(done.stdout.strip())

    try:
        start("dask", "scheduler", "--host", address, "--no-dashboard")
        for _ in range(2):
            start(*(address if "://" in word else word for word in services["worker"]["command"]))
        bulk = (cluster_image[1], "service", "bulk", "/archive/in", "--part-rows", "50")
        for more in (
            ("/archive/whole",),
            ("/archive/out", "--engine", "dask", "--scheduler", address),
        ):
            done = subprocess.run([*command, "--rm", *bulk, *more], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("600 passages in 12 parts, 0 rejects")
    finally:
        subprocess.run([cluster_image[0], "rm", "-f", *running], capture_output=True)
    whole, out = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("part-*")}
        for name in ("whole", "out")
    )
    assert out == whole
    assert len(whole) == 12
    manifests = [(tmp_path / name / "_manifest.json").read_bytes() for name in ("whole", "out")]
    assert manifests[0] == manifests[1]
