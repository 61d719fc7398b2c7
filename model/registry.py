"""The registry: a folder of versions, one of them live.

    REGISTRY/<version>/     a version (see `model.artifact`)
    REGISTRY/current        symbolic link to the live one, replaced in one rename
    REGISTRY/promotions.jsonl   a line for each promotion, only ever appended to
    REGISTRY/.lock          held while one of these changes

`current` decides what is live. A promotion is logged before the link moves, so a process killed in between leaves a line that did not
take effect; readers of the log skip such lines.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model import artifact
from model.errors import ArtifactError, RegistryError

CURRENT = "current"
LOG = "promotions.jsonl"
_STALE_SECONDS = 24 * 3600


class Registry:
    """Versions under a folder; the folder is made when first written to."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def versions(self) -> list[str]:
        """Versions with a manifest, oldest first."""
        if not self.root.is_dir():
            return []
        found = [
            path
            for path in self.root.iterdir()
            if path.is_dir()
            and not path.is_symlink()
            and not path.name.startswith(".")
            and (path / artifact.MANIFEST).is_file()
        ]
        found.sort(key=lambda path: ((path / artifact.MANIFEST).stat().st_mtime, path.name))
        return [path.name for path in found]

    def folder(self, version: str) -> Path:
        """The folder of a version; RegistryError where there is none."""
        known = self.versions()
        if version not in known:
            listed = ", ".join(known) or "none"
            raise RegistryError(f'{self.root}: no version "{version}"; versions: {listed}')
        return self.root / version

    def current(self) -> str | None:
        """The live version, None where there is none yet."""
        try:
            return os.readlink(self.root / CURRENT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryError(
                f"{self.root / CURRENT}: not a symbolic link ({error.strerror})"
            ) from error

    def current_folder(self) -> Path:
        """The folder of the live version; RegistryError where nothing is live."""
        version = self.current()
        if version is None:
            raise RegistryError(
                f"{self.root}: no live version; train one with `make model` or promote one"
            )
        return self.root / version

    def add(self, staged: Path) -> str:
        """Takes a finished version in under the name in its manifest; a version that is there already stays."""
        version = str(artifact.verify(staged)["model_version"])
        with self._locked():
            self._clean()
            if version not in self.versions():
                artifact.publish(staged, self.root / version)
        return version

    def promote(self, version: str, reason: str = "", by: str = "") -> None:
        """Makes a version live, once all of its files match their digests."""
        self._make_live(version, "promote", reason, by)

    def rollback(self, reason: str = "", by: str = "") -> str:
        """Makes the version live that was live before this one, and returns it."""
        previous = self._before_current()
        self._make_live(previous, "rollback", reason or f"rollback from {self.current()}", by)
        return previous

    def _make_live(self, version: str, action: str, reason: str, by: str) -> None:
        with self._locked():
            artifact.verify(self.folder(version))
            self._log(version, action, reason, by)
            link = self.root / f"{artifact.STAGING_PREFIX}current-{os.getpid()}"
            link.unlink(missing_ok=True)
            link.symlink_to(version)
            os.replace(link, self.root / CURRENT)
            artifact.sync_folder(self.root)

    def log(self) -> list[dict[str, Any]]:
        """Promotions in order: action, version, previous, time (UTC, ISO 8601), reason, by; half-written lines are skipped."""
        try:
            lines = (self.root / LOG).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        entries = []
        for line in lines:
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
        return entries

    def live_since(self) -> str | None:
        """When the live version was promoted last."""
        current = self.current()
        times = [entry["time"] for entry in self.log() if entry["version"] == current]
        return times[-1] if times else None

    def _before_current(self) -> str:
        current = self.current()
        for entry in reversed(self.log()):
            if entry["version"] != current or entry["action"] != "promote":
                continue
            previous = entry["previous"]
            if previous != current and previous in self.versions():
                return str(previous)
        raise RegistryError(f"{self.root}: no earlier version to go back to")

    def _log(self, version: str, action: str, reason: str, by: str) -> None:
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "action": action,
            "version": version,
            "previous": self.current(),
            "reason": reason,
            "by": by,
        }
        with (self.root / LOG).open("a+b") as stream:
            if stream.tell() and not _ends_with_newline(stream):
                stream.write(b"\n")
            stream.write(json.dumps(entry, ensure_ascii=False).encode("utf-8") + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _clean(self) -> None:
        """Removes what killed processes left behind long ago."""
        for path in self.root.glob(f"{artifact.STAGING_PREFIX}*"):
            if time.time() - path.lstat().st_mtime < _STALE_SECONDS:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            stream = (self.root / ".lock").open("a")
        except OSError as error:
            raise RegistryError(f"{self.root}: cannot be written: {error.strerror}") from error
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _ends_with_newline(stream: Any) -> bool:
    stream.seek(-1, os.SEEK_END)
    return bool(stream.read(1) == b"\n")


def resolve(model: Path | None, registry: Path) -> Path:
    """The folder of the version to use: the one given, or the registry's live one."""
    if model is None:
        return Registry(registry).current_folder()
    if not model.is_dir():
        raise ArtifactError(f"{model}: no such folder")
    return model
