"""The files that deploy a cluster: held against the schemas of Kubernetes and of compose, and their commands against the programs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from service.__main__ import _parser

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "dask"
MANIFESTS = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("release", ["1.30", "1.34"])
@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda m: f"{m['kind']}-{m['metadata']['name']}"
)
def test_manifests_fit_kubernetes(manifest, release):
    kubernetes_validate.validate(manifest, release, strict=True)


def test_compose_file_fits_its_schema():
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    content = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(content, json.loads(schema.read_text(encoding="utf-8")))


def commands():
    for manifest in MANIFESTS:
        for container in (
            manifest["spec"].get("template", {"spec": {}})["spec"].get("containers", ())
        ):
            yield container["args"]
    yield SERVICES["scheduler"]["command"]
    yield SERVICES["worker"]["command"]
    yield [*SERVICES["bulk"]["entrypoint"][2:], "/archive/in", "/archive/out"]


def test_commands_are_ones_that_the_programs_take():
    checked = []
    for program, *arguments in commands():
        if program == "service":
            options = _parser().parse_args(arguments)
            assert options.engine == "dask"
        else:
            command = [sys.executable, "-m", program, arguments[0], "--help"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            for option in arguments:
                assert not option.startswith("--") or option in said
        checked.append(program)
    assert checked == ["dask", "dask", "service", "dask", "dask", "service"]


def test_workers_find_the_scheduler_by_its_name():
    (name,) = (m["metadata"]["name"] for m in MANIFESTS if m["kind"] == "Service")
    address = f"tcp://{name}:8786"
    assert sum(address in str(command) for command in commands()) == 2
    assert sum("tcp://scheduler:8786" in str(command) for command in commands()) == 2


def test_service_links_do_not_become_settings():
    templates = [m["spec"]["template"]["spec"] for m in MANIFESTS if "template" in m["spec"]]
    assert [template["enableServiceLinks"] for template in templates] == [False] * 3


def test_what_the_image_copies_is_sent_to_the_build():
    copied = [
        line.split()[1]
        for line in (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
    ]
    sent = (FOLDER.parents[1] / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == ["requirements-cluster.txt"]
    assert {f"!{name}" for name in copied} <= set(sent)
