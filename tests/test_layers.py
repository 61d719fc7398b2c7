"""What may import what, and what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import model

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "model": {"training", "service", "sklearn", "scipy", "joblib", "flask"},
    "training": {"service", "flask"},
    "service": {"training", "sklearn", "scipy", "joblib"},
}


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_imports_go_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        assert not imported(path) & FORBIDDEN[package], path


def test_the_classifier_needs_numpy_and_the_standard_library_alone():
    allowed = {*sys.stdlib_module_names, "numpy", "model"}
    for path in (ROOT / "model").rglob("*.py"):
        assert imported(path) <= allowed, path


def test_serving_loads_neither_scikit_learn_nor_pickles(version):
    program = (
        "import sys\n"
        "sys.modules['pickle'] = None\n"
        "from model import Classifier\n"
        "Classifier.load(sys.argv[1]).predict(['The court ruled.'])\n"
        "assert not {'sklearn', 'scipy', 'joblib'} & set(sys.modules)\n"
    )
    # NumPy itself imports pickle, so it comes first.
    program = "import numpy, numpy.lib.format\n" + program
    subprocess.run([sys.executable, "-c", program, str(version)], cwd=ROOT, check=True)


def test_public_names_of_the_classifier():
    assert model.__all__ == [
        "ArtifactError",
        "Classifier",
        "Contribution",
        "Explanation",
        "PassageError",
        "Prediction",
        "Registry",
        "RegistryError",
        "SettingsError",
        "Taxonomy",
        "TaxonomyError",
        "Topic",
        "UnknownNameError",
        "VigieError",
        "__version__",
    ]
    for name in model.__all__:
        assert getattr(model, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        model.nothing  # noqa: B018
