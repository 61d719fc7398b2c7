"""Files by address, local or any that fsspec reads, written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec

from model.artifact import STAGING_PREFIX, sync_folder
from model.errors import BulkError

LOCK = "_lock"
_LOCK_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_OBJECT_STORES = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory"))
"""Stores where a file appears whole when its upload ends; elsewhere it is uploaded beside and moved."""


@dataclass(frozen=True)
class Storage:
    """A folder or file at an address. Instances travel to worker processes as the address alone."""

    address: str

    @property
    def _fs(self) -> Any:
        return _resolve(self.address)[0]

    @property
    def root(self) -> str:
        """The path in its file system; absolute where that is local."""
        return str(_resolve(self.address)[1])

    @property
    def is_local(self) -> bool:
        """Whether this is a path of this machine."""
        return _is_local(self._fs)

    def files(self) -> list[str]:
        """Paths of the files at the address: itself, those its glob matches, or those in the folder and below, in order.

        Names that begin with a dot or an underscore are left out, as other readers of folders do. BulkError where there is nothing.
        """
        fs, root = self._fs, self.root
        if any(c in root for c in "*?["):
            return sorted(path for path in fs.glob(root) if fs.isfile(path))
        if fs.isfile(root):
            return [root]
        if not fs.isdir(root):
            raise BulkError(f"{self.address}: no such file or folder")
        _check_listable(fs, root)
        prefix = root.rstrip("/") + "/"
        return sorted(
            path
            for path in fs.find(root)
            if not any(name[:1] in {".", "_"} for name in path.removeprefix(prefix).split("/"))
        )

    def stamp(self, path: str) -> tuple[int, str]:
        """Size in bytes, and what changes when the content does: time of change, or the store's own mark."""
        if self.is_local:
            found = Path(path).stat()
            return found.st_size, str(found.st_mtime_ns)
        info = self._fs.info(path)
        marks = ("ETag", "etag", "md5Hash", "checksum", "LastModified", "mtime", "created")
        mark = next((info[key] for key in marks if info.get(key)), "")
        return int(info["size"]), str(mark)

    def open(self, path: str) -> IO[bytes]:
        """A file to read, unbuffered where it is local."""
        if self.is_local:
            return Path(path).open("rb", buffering=0)
        stream: IO[bytes] = self._fs.open(path, "rb")
        return stream

    def within(self, name: str) -> str:
        """The path of a file in this folder."""
        return f"{self.root.rstrip('/')}/{name}"

    def write(self, name: str, content: Any) -> None:
        """Writes a file of this folder, so that its name is never on half a file; `content` is bytes or a buffer."""
        path = self.within(name)
        if self.is_local:
            _write_local(Path(path), content)
        elif self._fs.protocol in _OBJECT_STORES or set(self._fs.protocol) & _OBJECT_STORES:
            self._fs.pipe_file(path, bytes(content))
        else:
            staged = f"{path}{STAGING_PREFIX}{os.getpid()}"
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(staged, bytes(content))
            self._fs.mv(staged, path)

    def read(self, name: str) -> bytes | None:
        """A file of this folder, None where there is none."""
        try:
            return bytes(self._fs.cat_file(self.within(name)))
        except FileNotFoundError:
            return None

    def names(self, folder: str = "") -> list[str]:
        """Names of the files in this folder or in a folder of it, in order; none where it does not exist."""
        fs = self._fs
        path = self.within(folder).rstrip("/")
        fs.invalidate_cache()
        try:
            listed = fs.ls(path, detail=False)
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rpartition("/")[2] for name in listed)

    def remove(self, name: str) -> None:
        """Removes a file or a folder of this folder, if it is there."""
        path = self.within(name)
        if self._fs.exists(path):
            self._fs.rm(path, recursive=True)

    def make(self) -> None:
        """Makes the folder."""
        self._fs.makedirs(self.root, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out of this folder; waits for what a killed run left working. Local folders only: elsewhere nothing is held."""
        if not self.is_local:
            yield
            return
        with Path(self.within(LOCK)).open("a") as stream:
            if not _lock(stream):
                raise BulkError(f"{self.address}: another run is writing here")
            yield

    @contextmanager
    def joined(self, name: str) -> Iterator[None]:
        """Held on a file of this folder by a worker process for its life, so that no later run starts while it may still write."""
        if not self.is_local:
            yield
            return
        with Path(self.within(name)).open("r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            yield

    def wait_for_workers(self, name: str) -> None:
        """Waits until the worker processes of a killed run have let go of a file; BulkError where they do not."""
        path = Path(self.within(name))
        if not self.is_local or not path.exists():
            return
        with path.open("r+") as stream:
            if not _lock(stream):
                raise BulkError(f"{self.address}: workers of an earlier run are still writing")

    def sweep(self) -> None:
        """Removes files that killed processes left half-written."""
        for folder in ("", "_done", "_rejects"):
            for name in self.names(folder):
                if STAGING_PREFIX in name:
                    self.remove(f"{folder}/{name}" if folder else name)


def _resolve(address: str) -> tuple[Any, str]:
    try:
        fs, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise BulkError(f"{address}: {error}") from None
    except ValueError as error:
        raise BulkError(f"{address}: {error}") from None
    return fs, path


def _is_local(fs: Any) -> bool:
    protocol = fs.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def _check_listable(fs: Any, root: str) -> None:
    """PermissionError for a folder that may not be listed: fsspec would pass over it, and the run over its files."""
    if _is_local(fs):
        for folder, _, _ in os.walk(root, onerror=_raise):
            if not os.access(folder, os.R_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", folder)


def _raise(error: OSError) -> None:
    raise error


def _lock(stream: IO[str]) -> bool:
    """Takes a lock alone; False where others hold it for too long."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        else:
            return True


def _write_local(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor, staged = tempfile.mkstemp(dir=path.parent, prefix=STAGING_PREFIX)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(staged, 0o644)
            os.replace(staged, path)
        except BaseException:
            Path(staged).unlink(missing_ok=True)
            raise
    except OSError as error:
        # A write has no name of its own; the user needs one.
        raise OSError(error.errno, error.strerror, str(path)) from error
    sync_folder(path.parent)
