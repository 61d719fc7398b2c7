from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import copy_version

from model import Registry
from model.artifact import STAGING_PREFIX, read_manifest, write_manifest
from service import create_app
from service.keys import create_key
from service.settings import Settings


def add_version(registry: Registry, version: Path, name: str, threshold: float) -> str:
    """Adds a version that gives every topic from a threshold on."""
    staged = copy_version(version, registry.root / f"{STAGING_PREFIX}{name}")
    manifest = read_manifest(staged)
    for point in manifest["operating_points"]["balanced"]:
        point["threshold"] = threshold
    manifest["scope"]["thresholds"]["balanced"] = 0.0
    write_manifest(staged, {**manifest, "model_version": name})
    return registry.add(staged)


@pytest.fixture
def admin(registry, version, tmp_path):
    add_version(registry, version, "v-all", 0.01)
    key = create_key(tmp_path / "keys", "olga", ["admin"])
    app = create_app(Settings(registry=registry.root, keys_file=tmp_path / "keys"))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


def problem(answer, status: int, name: str) -> str:
    assert answer.status_code == status, answer.data
    document = answer.get_json(force=True)
    assert document["type"] == f"urn:vigie:problem:{name}"
    return document["detail"]


def test_a_version_is_promoted_and_rolled_back(admin, registry):
    first = registry.current()
    answer = admin.post("/v1/models/v-all/promote?reason=better")
    assert answer.json["live"] == registry.current() == "v-all"
    assert answer.json["live_since"] == registry.live_since()
    entry = registry.log()[-1]
    assert (entry["action"], entry["by"], entry["reason"]) == ("promote", "key olga", "better")
    assert admin.post("/v1/models/rollback").json["live"] == registry.current() == first
    entry = registry.log()[-1]
    assert (entry["action"], entry["by"], entry["reason"]) == (
        "rollback",
        "key olga",
        "rollback from v-all",
    )


def test_what_cannot_be_promoted_is_refused_and_nothing_changes(admin, registry):
    first = registry.current()
    for unknown in ("v0", "current", ".."):
        detail = problem(admin.post(f"/v1/models/{unknown}/promote"), 404, "not-found")
        assert str(registry.root) not in detail
    (registry.root / "v-all" / "rows.npy").write_bytes(b"altered")
    detail = problem(admin.post("/v1/models/v-all/promote"), 409, "version-refused")
    assert detail.startswith("v-all/rows.npy: digest")
    detail = problem(admin.post("/v1/models/rollback"), 409, "conflict")
    assert detail == "no earlier version to go back to"
    assert registry.current() == first


def test_the_held_out_passages_show_what_changed(admin, registry):
    first = registry.current()
    answer = admin.get(f"/v1/models/{first}/diff/v-all?limit=3").json
    kept = (registry.root / first / "heldout.jsonl").read_text().splitlines()
    assert (answer["old"], answer["new"], answer["passages"]) == (first, "v-all", len(kept))
    assert (len(answer["differences"]), answer["more"]) == (3, True)
    difference = answer["differences"][0]
    assert set(difference) == {"id", "text", "lost", "gained", "terms"}
    assert difference["gained"]
    texts = {json.loads(line)["text"] for line in kept}
    assert difference["text"] in texts
    same = admin.get(f"/v1/models/{first}/diff/{first}").json
    assert (same["differences"], same["more"]) == ([], False)


def test_posted_passages_show_what_changed(admin, registry):
    first = registry.current()
    passages = [{"id": "a", "text": "Twitter has suspended the account."}, {"text": "Nothing."}]
    answer = admin.post(f"/v1/models/{first}/diff/v-all", json={"passages": passages}).json
    assert answer["passages"] == 2
    assert answer["differences"][0]["id"] == "a"
    problem(admin.post(f"/v1/models/{first}/diff/v-all", json={"passages": []}), 422, "invalid")
    many = [{"text": "x"}] * 1001
    problem(admin.post(f"/v1/models/{first}/diff/v-all", json={"passages": many}), 413, "too-large")
    long = [{"text": "x" * 100_001}]
    problem(admin.post(f"/v1/models/{first}/diff/v-all", json={"passages": long}), 413, "too-large")
    problem(admin.get(f"/v1/models/{first}/diff/v0"), 404, "not-found")


def test_a_service_of_one_folder_has_no_registry_to_change(version, tmp_path):
    key = create_key(tmp_path / "keys", "olga", ["admin"])
    client = create_app(Settings(model=version, keys_file=tmp_path / "keys")).test_client()
    headers = {"Authorization": f"Bearer {key}"}
    for path in ("/v1/models/rollback", "/v1/models/v1/promote"):
        assert "VIGIE_MODEL" in problem(client.post(path, headers=headers), 409, "conflict")
