"""The files to deploy with: against the schemas of their formats, and against the service itself.

The schemas are those that check-jsonschema (compose-spec) and kubernetes-validate (every release of Kubernetes) ship. They say that the
fields exist and have the right types; that a cluster accepts and runs the manifests is not tested here.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from jsonschema.validators import validator_for
from ruamel.yaml import YAML

from service import create_app
from service.__main__ import _parser as service_parser
from service.settings import PREFIX, Settings
from training.__main__ import _parser as training_parser

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = ("1.30", "1.33", "1.37")
SETTINGS = {PREFIX + field.name.upper() for field in fields(Settings)}
METRICS = {
    "vigie_requests_total",
    "vigie_request_seconds_bucket",
    "vigie_passages_total",
    "vigie_topics_total",
    "vigie_review_reasons_total",
    "vigie_model_info",
    "vigie_reload_failures_total",
}


def read_all(path: Path) -> list[Any]:
    with path.open(encoding="utf-8") as stream:
        return list(YAML(typ="safe").load_all(stream))


def read(path: Path) -> Any:
    (document,) = read_all(path)
    return document


@pytest.fixture(scope="module")
def compose() -> Any:
    return read(ROOT / "compose.yaml")


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    """The manifests that the kustomization lists, by kind."""
    listed = read(DEPLOY / "kubernetes" / "kustomization.yaml")["resources"]
    present = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert {*listed, "kustomization.yaml"} <= present
    documents = [d for name in listed for d in read_all(DEPLOY / "kubernetes" / name)]
    return {document["kind"]: document for document in documents}


def pod(manifest: Any) -> Any:
    """The specification of the pods that a Deployment or a CronJob makes."""
    spec = manifest["spec"]
    return spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]


def test_compose_fits_its_schema(compose):
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendored.read_text(encoding="utf-8"))
    errors = [
        f"{e.json_path}: {e.message}" for e in validator_for(schema)(schema).iter_errors(compose)
    ]
    assert errors == []
    assert [*validator_for(schema)(schema).iter_errors({"services": {"a": {"imag": "x"}}})]


def test_compose_names_what_it_uses(compose):
    services, volumes = compose["services"], compose["volumes"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in volumes, source
        if isinstance(service.get("depends_on"), dict):
            for dependency in service["depends_on"]:  # The image of the service has its own check.
                assert dependency == "service" or "healthcheck" in services[dependency]


def test_compose_has_no_password_of_its_own(compose):
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${")
    assert not re.search(r"://\w+:(?!\$\{)[^@/\s]*@", text)


def test_settings_in_compose_and_kubernetes_exist(compose, manifests):
    given = set(compose["services"]["service"]["environment"])
    (container,) = pod(manifests["Deployment"])["containers"]
    given |= {entry["name"] for entry in container["env"]}
    assert given
    assert given <= SETTINGS


def test_the_commands_of_the_jobs_are_understood(compose, manifests):
    """A `retrain` that no longer has one of its options would fail at night."""
    program = ["/opt/training/bin/python", "-m", "training"]
    (container,) = pod(manifests["CronJob"])["containers"]
    for command in (
        compose["services"]["retrain"]["command"],
        [*container["command"], *container["args"]],
    ):
        assert command[:3] == program
        options = training_parser().parse_args(command[3:])
        assert options.feedback
        assert options.registry.is_absolute()
    (container,) = pod(manifests["Deployment"])["containers"]
    assert service_parser().parse_args(container["args"]).run


@pytest.mark.parametrize("release", KUBERNETES)
def test_the_manifests_fit_their_schemas(manifests, release):
    kinds = {"PersistentVolumeClaim", "Deployment", "Service", "HorizontalPodAutoscaler", "CronJob"}
    assert kinds <= set(manifests)
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, release, strict=True)
    wrong = {**manifests["Service"], "spec": {**manifests["Service"]["spec"], "prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, release, strict=True)


def test_the_manifests_belong_together(manifests):
    deployment, service = manifests["Deployment"], manifests["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    retrain_labels = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
    assert not service["spec"]["selector"].items() <= retrain_labels["labels"].items()
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    (container,) = pod(deployment)["containers"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    claim = manifests["PersistentVolumeClaim"]["metadata"]["name"]
    images = {
        entry["name"] for entry in read(DEPLOY / "kubernetes" / "kustomization.yaml")["images"]
    }
    for manifest in (deployment, manifests["CronJob"]):
        spec = pod(manifest)
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert volumes["registry"]["persistentVolumeClaim"]["claimName"] == claim
        for each in [*spec["containers"], *spec.get("initContainers", ())]:
            assert {mount["name"] for mount in each["volumeMounts"]} <= set(volumes)
            assert each["image"] in images
            assert each["resources"]["limits"]["memory"]


def test_kubernetes_sets_no_settings_of_its_own(manifests):
    """For a Service of the name vigie it would set VIGIE_PORT=tcp://…, which stops the start."""
    for kind in ("Deployment", "CronJob"):
        assert pod(manifests[kind])["enableServiceLinks"] is False


def test_the_probes_ask_for_what_the_service_answers(manifests, version):
    client = create_app(Settings(model=version)).test_client()
    (container,) = pod(manifests["Deployment"])["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert client.get(container[probe]["httpGet"]["path"]).status_code == 200


def test_the_dashboard_shows_metrics_of_the_service_alone():
    path = DEPLOY / "grafana" / "dashboards" / "vigie.json"
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    expressions = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    found = {name for e in expressions for name in re.findall(r"vigie_[a-z_]+", e)}
    assert {name for name in found if not name.startswith("vigie_drift_")} == METRICS
    assert any("vigie_drift_" in expression for expression in expressions)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for expression in expressions:
        assert expression.count("(") == expression.count(")"), expression


def test_the_dashboard_finds_its_data_and_is_found(compose):
    (source,) = read(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    path = DEPLOY / "grafana" / "dashboards" / "vigie.json"
    (variable,) = json.loads(path.read_text(encoding="utf-8"))["templating"]["list"]
    assert variable["current"]["value"] == source["uid"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read(DEPLOY / "grafana/provisioning/dashboards/vigie.yaml")["providers"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    (job,) = read(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["service:8000"]}]
