"""Vigie's classifier: loads a version and classifies passages, with NumPy and the standard library alone.

    >>> from model import Classifier
    >>> classifier = Classifier.load("var/registry/current")
    >>> classifier.predict(["Twitter has permanently suspended the account."])[0].topics
    ('deplatforming',)

Names are imported when first used, so that a command line that only prints its help does not wait for NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.classifier import Classifier
    from model.errors import (
        ArtifactError,
        PassageError,
        RegistryError,
        SettingsError,
        TaxonomyError,
        UnknownNameError,
        VigieError,
    )
    from model.prediction import Contribution, Explanation, Prediction
    from model.registry import Registry
    from model.taxonomy import Taxonomy, Topic

__version__ = "0.1.0"

_HOMES = {
    "model.classifier": ("Classifier",),
    "model.errors": (
        "ArtifactError",
        "PassageError",
        "RegistryError",
        "SettingsError",
        "TaxonomyError",
        "UnknownNameError",
        "VigieError",
    ),
    "model.prediction": ("Contribution", "Explanation", "Prediction"),
    "model.registry": ("Registry",),
    "model.taxonomy": ("Taxonomy", "Topic"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
