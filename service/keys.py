"""API keys: named, with scopes, in a JSON file that holds no key but its SHA-256.

A key is 32 random bytes, so its plain SHA-256 cannot be searched for: a slow hash protects words that people choose, and would only
slow every request down here. The file is replaced in one rename and looked at anew at each request, so a key that is created or revoked
counts at once, in every worker. A revoked key stays in the file by name, without its hash: nobody else gets the name under which
feedback was kept.

    {"keys": [{"name": "newsroom", "scopes": ["classify"], "created": "2026-11-21T10:00:00+00:00", "sha256": "…"}]}
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.errors import SettingsError, VigieError, unknown_name

CLASSIFY, FEEDBACK, ADMIN = "classify", "feedback", "admin"
SCOPES = (CLASSIFY, FEEDBACK, ADMIN)
KEY_PREFIX = "vigie_"
_KEY_BYTES = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOG = logging.getLogger("vigie")


class KeyFileError(VigieError):
    """The file of keys cannot be read, or a key cannot be made or revoked; never names a key itself."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the file knows it; `sha256` is empty once it is revoked."""

    name: str
    scopes: tuple[str, ...]
    created: str
    sha256: str
    revoked: str | None = None


class Keys:
    """The keys of a file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        """Reads the file; SettingsError where that fails."""
        self._path = path
        try:
            self._stamp = _stamp(path)
            self._known = _usable(read_keys(path))
        except (OSError, KeyFileError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SettingsError(
                f"VIGIE_KEYS_FILE: {path}: {reason}; make it with "
                "`python -m service keys create NAME --scope admin`"
            ) from None

    def find(self, presented: str) -> Key | None:
        """The key that was presented, None if there is no such key. Takes the same time for every answer."""
        self._refresh()
        digest = _digest(presented)
        found = None
        for sha256, key in self._known:
            if hmac.compare_digest(sha256, digest):
                found = key
        return found

    def _refresh(self) -> None:
        """A file that cannot be read, or is gone, leaves the keys as they were."""
        try:
            stamp = _stamp(self._path)
        except OSError as error:
            stamp = (-1, -1, error.errno or 0)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._known = _usable(read_keys(self._path))
        except KeyFileError as error:
            _LOG.error("keys stay as they were: %s", error)


def read_keys(path: Path) -> list[Key]:
    """Every key in the file, revoked ones too; KeyFileError where it cannot be read."""
    try:
        content: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError:
        raise KeyFileError(f"{path}: not JSON") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise KeyFileError(f'{path}: expected an object with a list "keys"')
    keys = [_key(path, number, entry) for number, entry in enumerate(entries)]
    if len({key.name for key in keys}) != len(keys):
        raise KeyFileError(f"{path}: two keys have the same name")
    return keys


def create_key(path: Path, name: str, scopes: Sequence[str]) -> str:
    """Adds a key and returns it: the only time that it is seen. Makes the file, readable for its owner alone."""
    if not _NAME.fullmatch(name):
        raise KeyFileError(f'name "{name}": expected small letters, digits, ".", "_" and "-"')
    for scope in scopes:
        if scope not in SCOPES:
            raise KeyFileError(unknown_name("scope", scope, SCOPES))
    key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    with _locked(path):
        keys = read_keys(path) if path.exists() else []
        for other in keys:
            if other.name == name:
                taken = f", revoked {other.revoked}" if other.revoked else ""
                raise KeyFileError(f'{path}: the name "{name}" is taken{taken}')
        ordered = tuple(scope for scope in SCOPES if scope in scopes)
        _write(path, [*keys, Key(name, ordered, _now(), _digest(key).hex())])
    return key


def revoke_key(path: Path, name: str) -> None:
    """Makes a key worthless; its name stays taken."""
    with _locked(path):
        keys = read_keys(path)
        names = [key.name for key in keys if not key.revoked]
        if name not in names:
            raise KeyFileError(f"{path}: {unknown_name('key', name, names)}")
        _write(
            path,
            [
                Key(key.name, key.scopes, key.created, "", _now()) if key.name == name else key
                for key in keys
            ],
        )


def _key(path: Path, number: int, entry: Any) -> Key:
    where = f"{path}: keys[{number}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise KeyFileError(f'{where}: expected an object with "name"')
    scopes, sha256, revoked = entry.get("scopes"), entry.get("sha256", ""), entry.get("revoked")
    if not isinstance(scopes, list) or not all(scope in SCOPES for scope in scopes):
        raise KeyFileError(f"{where}: scopes are of {', '.join(SCOPES)}")
    if not revoked and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise KeyFileError(f"{where}: sha256 is 64 hexadecimal digits")
    return Key(entry["name"], tuple(scopes), str(entry.get("created", "")), sha256, revoked)


def _usable(keys: Sequence[Key]) -> list[tuple[bytes, Key]]:
    return [(bytes.fromhex(key.sha256), key) for key in keys if not key.revoked]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, keys: Sequence[Key]) -> None:
    """Written beside and renamed; keeps the owner and the mode of the file that it replaces, else 0600."""
    content = json.dumps({"keys": [_entry(key) for key in keys]}, indent=1) + "\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            if path.exists():
                before = path.stat()
                os.fchmod(stream.fileno(), before.st_mode & 0o777)
                os.fchown(stream.fileno(), before.st_uid, before.st_gid)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _entry(key: Key) -> dict[str, Any]:
    return {name: value for name, value in asdict(key).items() if value}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
