"""A small model, trained once from some of the project's own passages, and what stands on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
from flask import Flask
from flask.testing import FlaskClient

from model import Classifier, Registry, Taxonomy
from model.artifact import STAGING_PREFIX
from service import create_app
from service.settings import Settings
from training.passages import Passage, read_passages
from training.train import train

DATA = Path(__file__).resolve().parents[1] / "training" / "data"

for variable in [name for name in os.environ if name.startswith("VIGIE_")]:
    del os.environ[variable]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what can be done without end: a little with every run of the tests, more by hand."""
    group = parser.getgroup("vigie")
    group.addoption("--bodies", type=int, default=1500, help="mutated bodies sent to a real server")
    group.addoption("--kills", type=int, default=5, help="kills of a server that keeps feedback")
    group.addoption("--soak", type=float, default=12.0, help="seconds of load with promotions")


@pytest.fixture(scope="session")
def passages() -> list[Passage]:
    """Some hundreds of the project's passages, both languages and all topics among them."""
    return read_passages([DATA], Taxonomy.default().slugs)[::20]


@pytest.fixture(scope="session")
def version(passages: list[Passage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small trained version; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "version"
    train(passages, Taxonomy.default(), folder, jobs=1)
    return folder


@pytest.fixture(scope="session")
def classifier(version: Path) -> Classifier:
    return Classifier.load(version)


@pytest.fixture(scope="session")
def pipeline(version: Path):
    return joblib.load(version / "pipeline.joblib")


@pytest.fixture
def registry(version: Path, tmp_path: Path) -> Registry:
    """A registry of one's own with the small version live."""
    return make_registry(version, tmp_path / "registry")


def make_registry(version: Path, root: Path) -> Registry:
    """A registry with a copy of a version, live."""
    registry = Registry(root)
    name = registry.add(copy_version(version, root / f"{STAGING_PREFIX}copy"))
    registry.promote(name)
    return registry


def copy_version(version: Path, folder: Path) -> Path:
    """A copy of a version's folder."""
    folder.mkdir(parents=True)
    for path in version.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="session")
def app(version: Path) -> Flask:
    return create_app(Settings(model=version))


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client
