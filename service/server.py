"""Runs the application on granian; the application itself knows nothing of it.

Each worker is a process with one copy of the model's words and the memory-mapped tables. It answers with as many threads as requests wait
at once, since a thread that reads a slow body waits; scoring holds Python's lock, so a worker computes one answer at a time.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.metrics import FOLDER_VARIABLE
from service.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

_BACKLOG = 1024
_CONNECTIONS = 1024
"""Connections that a worker accepts; more wait in the system's backlog."""

_STOP_SECONDS = 2
_SPARE_THREADS = 8
"""Threads beyond all places: they answer probes, and 503 to those who find no place."""

_FOLDER_PREFIX = "vigie-workers-"
_UNLOCKED_PREFIX = "vigie-starting-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_SWITCH_SECONDS = 0.02
"""Longer than an answer takes to compute, so that a thread finishes it before another takes Python's lock."""

_PACKAGES = ("flask", "pydantic")
_DATABASE_PACKAGES = ("alembic.command", "alembic.config", "sqlalchemy.orm")
_HEADER_MILLISECONDS = 10_000
_HEADER_BYTES = 65_536


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; a worker that dies is started again."""
    os.environ.update(settings.to_environment())
    if settings.model is None:
        os.environ.pop("VIGIE_MODEL", None)
    # Before the workers start: prometheus_client looks for the folder when it is imported.
    os.environ.pop(FOLDER_VARIABLE, None)
    with _shared_folder() as shared:
        if shared is not None:
            os.environ[FOLDER_VARIABLE] = str(shared)
        _import_ahead(settings)
        print(f"Vigie on http://{settings.host}:{settings.port}", file=sys.stderr, flush=True)
        make_server("service.server:create_worker", settings).serve()


def _import_ahead(settings: Settings) -> None:
    """Imports what takes long before workers are forked, so that one that starts in place of another is there at once.

    Nothing that starts threads, as numpy does: they do not survive a fork.
    """
    database = _DATABASE_PACKAGES if settings.database_url else ()
    for name in (*_PACKAGES, *database):
        import_module(name)


@contextmanager
def _shared_folder() -> Iterator[Path | None]:
    """A folder of its own for what workers count together, locked while they run; those that nobody holds any more are removed.

    A lock, not the number of a process: of two containers that share a disk each may have process number 1.
    """
    for parent in _temporary_folders():
        for left in parent.glob(f"{_FOLDER_PREFIX}*"):
            with suppress(OSError), _held(left):
                shutil.rmtree(left, ignore_errors=True)
        try:
            new = Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=parent))
        except OSError:
            continue
        with _held(new):
            shared = new.rename(parent / new.name.replace(_UNLOCKED_PREFIX, _FOLDER_PREFIX))
            try:
                yield shared
            finally:
                shutil.rmtree(shared, ignore_errors=True)
        return
    print(
        "warning: no folder can be written for what workers count together; each counts by itself",
        file=sys.stderr,
    )
    yield None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """A lock on a folder, which processes forked meanwhile hold as well; BlockingIOError where somebody has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _temporary_folders() -> list[Path]:
    """Where temporary files go; in a container without a writable disk, shared memory."""
    try:
        return [Path(tempfile.gettempdir()), _MEMORY]
    except FileNotFoundError:
        return [_MEMORY]


def make_server(target: str, settings: Settings) -> Any:
    """Granian as it is set up here, for the factory that `target` names."""
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server import Server

    from service import logs

    return Server(
        target,
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=settings.workers,
        blocking_threads=settings.queue + settings.slow_bodies + _SPARE_THREADS,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(
            header_read_timeout=_HEADER_MILLISECONDS, max_buffer_size=_HEADER_BYTES
        ),
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_SECONDS,
        log_level=LogLevels(settings.log_level),
        log_dictconfig=logs.server_configuration(),
    )


def create_worker() -> Flask:
    """The application in a worker process, with what watches over its connections."""
    from service.application import create_app
    from service.connections import Connections
    from service.front import Front

    settings = Settings.from_environment()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Code stays for good: what looks for garbage need not go through it. Models are loaded after this, and can be let go.
    gc.freeze()
    app = create_app(settings)
    front: Front = app.extensions["vigie_front"]
    Connections(settings.port, settings.idle_seconds, front.oldest_request).watch()
    # Reading HTML takes half a second to import: not in the way of the first request, nor of being ready.
    threading.Thread(target=import_module, args=("trafilatura",), daemon=True).start()
    return app
