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
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from service import create_app
from service.__main__ import _parser as service_parser
from service.settings import PREFIX, Settings
from training.__main__ import _parser as training_parser

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = ("1.30", "1.33", "1.37")
SETTINGS = {PREFIX + field.name.upper() for field in fields(Settings)}


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
        assert options.feedback == "env"
        assert not any("://" in part or "$(" in part for part in command)
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


@pytest.fixture(scope="module")
def scraped(version, tmp_path_factory) -> dict[str, set[str]]:
    """What the service really gives Prometheus: the labels of each metric, those that Prometheus adds among them."""
    url = f"sqlite:///{tmp_path_factory.mktemp('scraped')}/feedback.db"
    app = create_app(Settings(model=version, database_url=url))
    client = app.test_client()
    text = "Twitter a suspendu le compte du sénateur après des messages de haine."
    for body in ({"text": text}, {"text": "Rien."}, {"text": text, "operating_point": "recall"}):
        assert client.post("/v1/classify", json=body).status_code == 200
    given = {"text": text, "topics": [], "model": client.get("/v1/model").json["version"]}
    assert client.post("/v1/feedback", json=given).status_code == 201
    found: dict[str, set[str]] = {"up": {"job", "instance"}}
    for family in text_string_to_metric_families(client.get("/metrics").get_data(as_text=True)):
        for sample in family.samples:
            found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return found


def expressions_of(path: Path) -> list[str]:
    """The expressions of a dashboard, its annotations among them, or of a file of alerts."""
    if path.suffix == ".yml":
        return [rule["expr"] for group in read(path)["groups"] for rule in group["rules"]]
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*shown, *(entry["expr"] for entry in dashboard["annotations"]["list"])]


@pytest.mark.parametrize("name", ["grafana/dashboards/vigie.json", "prometheus/alerts.yml"])
def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_the_service_has(scraped, name):
    expressions = expressions_of(DEPLOY / name)
    assert len(expressions) >= 8
    for expression in expressions:
        named = set(re.findall(r"\b(?:vigie_\w+|up)\b", expression))
        assert named, expression
        assert named <= set(scraped), expression
        grouped = re.findall(r"\b(?:by|ignoring)\s*\(([^)]*)\)", expression)
        labels = {label.strip() for group in grouped for label in group.split(",")}
        labels |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
        assert labels <= set().union(*(scraped[metric] for metric in named)), expression
        assert expression.count("(") == expression.count(")"), expression


def test_every_metric_of_the_service_is_shown(scraped):
    shown = " ".join(expressions_of(DEPLOY / "grafana" / "dashboards" / "vigie.json"))
    bases = {re.sub(r"_(?:bucket|count|sum|created)$", "", name) for name in scraped} - {"up"}
    left_out = {"vigie_drift_passages", "vigie_drift_topic_rate"}  # Their z is shown.
    missing = {base for base in bases if base not in shown} - left_out
    assert missing == set()


def test_panels_have_places_of_their_own():
    path = DEPLOY / "grafana" / "dashboards" / "vigie.json"
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_the_dashboard_finds_its_data_and_is_found(compose):
    (source,) = read(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    path = DEPLOY / "grafana" / "dashboards" / "vigie.json"
    (variable,) = json.loads(path.read_text(encoding="utf-8"))["templating"]["list"]
    assert variable["current"]["value"] == source["uid"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read(DEPLOY / "grafana/provisioning/dashboards/vigie.yaml")["providers"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    prometheus = read(DEPLOY / "prometheus" / "prometheus.yml")
    mounted = [volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]]
    assert set(prometheus["rule_files"]) <= set(mounted)
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["service:8000"]}]
