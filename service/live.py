"""The model that a worker serves: follows the registry's live version and swaps it between two requests."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.classifier import Classifier
from model.errors import ArtifactError, RegistryError, VigieError
from model.registry import Registry
from service.settings import Settings

_LOG = logging.getLogger("vigie")
_SELF_CHECK_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A loaded and self-checked version, and since when it is live (UTC, ISO 8601; None where no registry says)."""

    classifier: Classifier
    since: str | None


class ModelSource:
    """Holds the model to answer with; `current` never waits for a load."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.model
        self._registry = Registry(settings.registry)
        self._seconds = settings.reload_seconds
        self._live: LiveModel | None = None
        self._refused: Path | None = None
        self._stopped = threading.Event()
        self.refresh()

    @property
    def current(self) -> LiveModel | None:
        """The model to answer with; None where there is none."""
        return self._live

    def follow(self) -> None:
        """Looks for a new live version in the background from now on."""
        if self._folder is None:
            threading.Thread(target=self._run, name="model-source", daemon=True).start()

    def refresh(self) -> None:
        """Loads the live version if it is another one than before; one that is refused leaves the old one in place."""
        try:
            folder = self._folder or self._registry.current_folder()
        except RegistryError as error:
            if self._refused != self._registry.root:
                self._refused = self._registry.root
                _LOG.warning("%s", error)
            return
        live = self._live
        if live is not None and (self._folder or live.classifier.version == folder.name):
            return
        if folder == self._refused:
            return
        try:
            classifier = load_checked(folder)
        except VigieError as error:
            self._refused = folder
            _LOG.error("version refused: %s", error)
            return
        self._refused = None
        self._live = LiveModel(classifier, None if self._folder else self._registry.live_since())
        _LOG.info("serving version %s", classifier.version)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - the edge of a thread
                _LOG.exception("looking for a new version failed")


def load_checked(folder: Path) -> Classifier:
    """Loads a version and scores its reference texts; ArtifactError where they do not come out as expected."""
    classifier = Classifier.load(folder)
    reference = classifier.manifest["self_check"]
    expected = np.array([entry["log_odds"] for entry in reference])
    found = classifier.log_odds([entry["text"] for entry in reference])
    worst = float(np.abs(found - expected).max())
    if not worst <= _SELF_CHECK_TOLERANCE:
        raise ArtifactError(
            f"{folder}: self-check failed: reference scores are off by {worst:.2g} in log-odds"
        )
    return classifier
