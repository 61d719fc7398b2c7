"""The model that a worker serves: follows the registry's live version and swaps it between two requests."""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from orjson import Fragment, dumps

from model.artifact import MANIFEST
from model.classifier import Classifier
from model.errors import ArtifactError, RegistryError, VigieError
from model.registry import Registry
from service.settings import Settings

_LOG = logging.getLogger("vigie")
_SELF_CHECK_TOLERANCE = 1e-5
_RETRY_SECONDS = 60.0
"""A refused version is tried again after this, or as soon as its manifest is another: the fault may have been of the moment."""


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A loaded and self-checked version, and since when it is live (UTC, ISO 8601; None where no registry says)."""

    classifier: Classifier
    since: str | None
    described: dict[str, Fragment] = field(default_factory=dict, compare=False)

    def describe(self, operating_point: str) -> Fragment:
        """The version and how it decides, as JSON; `unreached` are topics that miss the aim of the operating point."""
        known = self.described.get(operating_point)
        if known is None:
            manifest = self.classifier.manifest
            description = {
                "version": self.classifier.version,
                "taxonomy": manifest["taxonomy"],
                "operating_point": operating_point,
                "unreached": [
                    entry["topic"]
                    for entry in manifest["operating_points"][operating_point]
                    if not entry["reached"]
                ],
            }
            known = self.described[operating_point] = Fragment(dumps(description))
        return known


class Listener(Protocol):
    """Told what becomes of new versions."""

    def serving(self, version: str, before: str | None) -> None:
        """A version is served from now on, in place of another."""

    def refused(self) -> None:
        """A version was refused."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    folder: Path
    manifest: int | None
    until: float


class ModelSource:
    """Holds the model to answer with; `current` never waits for a load."""

    def __init__(
        self,
        settings: Settings,
        listener: Listener | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = settings.model
        self._registry = Registry(settings.registry)
        self._seconds = settings.reload_seconds
        self._listener = listener
        self._clock = clock
        self._live: LiveModel | None = None
        self._served: Path | None = None
        self._refusal: _Refusal | None = None
        self._said: str | None = None
        self._replaced = False
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
            if self._said != str(error):
                self._said = str(error)
                _LOG.warning("%s", error)
            return
        self._said = None
        live = self._live
        if folder == self._served:
            self._refusal = None
            self._let_go()
            return
        if self._is_refused(folder):
            return
        try:
            classifier = load_checked(folder)
        except Exception as error:  # noqa: BLE001 - whatever a version does, the old one stays
            self._refuse(folder, error)
            return
        self._refusal = None
        since = None if self._folder else self._registry.live_since()
        self._live, self._served = LiveModel(classifier, since), folder
        self._replaced = live is not None
        _LOG.info("serving version %s", classifier.version)
        if self._listener is not None:
            self._listener.serving(
                classifier.version, None if live is None else live.classifier.version
            )

    def _let_go(self) -> None:
        """Frees the version before, a look after the swap when no request has it any more: its tables refer to one another, and
        Python by itself would keep several of them for a long time.
        """
        if self._replaced:
            self._replaced = False
            gc.collect()
            _give_back()

    def _is_refused(self, folder: Path) -> bool:
        refusal = self._refusal
        return (
            refusal is not None
            and refusal.folder == folder
            and refusal.manifest == _manifest_time(folder)
            and self._clock() < refusal.until
        )

    def _refuse(self, folder: Path, error: Exception) -> None:
        self._refusal = _Refusal(folder, _manifest_time(folder), self._clock() + _RETRY_SECONDS)
        if isinstance(error, VigieError):
            _LOG.error("version refused: %s", error)
        else:
            _LOG.error("version refused: %s", folder, exc_info=error)
        if self._listener is not None:
            self._listener.refused()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - the edge of a thread
                _LOG.exception("looking for a new version failed")


def load_checked(folder: Path) -> Classifier:
    """Loads a version and scores its reference texts; ArtifactError where they do not come out as expected."""
    classifier = Classifier.load(folder)
    reference = classifier.manifest.get("self_check")
    if not reference:
        raise ArtifactError(f"{folder}: self-check failed: the manifest has no reference texts")
    expected = np.array([entry["log_odds"] for entry in reference])
    found = classifier.log_odds([entry["text"] for entry in reference])
    if found.shape != expected.shape:
        raise ArtifactError(
            f"{folder}: self-check failed: scores of shape {found.shape}, expected {expected.shape}"
        )
    worst = float(np.abs(found - expected).max())
    if not worst <= _SELF_CHECK_TOLERANCE:
        raise ArtifactError(
            f"{folder}: self-check failed: reference scores are off by {worst:.2g} in log-odds"
        )
    return classifier


def _give_back() -> None:
    """Gives freed memory back to the system, where the C library can: glibc by itself keeps what lies between other pieces."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _manifest_time(folder: Path) -> int | None:
    try:
        return (folder / MANIFEST).stat().st_mtime_ns
    except OSError:
        return None
