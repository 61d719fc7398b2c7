"""Runs the application on granian; the application itself knows nothing of it."""

from __future__ import annotations

import os
import sys

from service.settings import Settings

_BACKLOG = 1024
_STOP_SECONDS = 2


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; a worker that dies is started again."""
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    os.environ.update(settings.to_environment())
    if settings.model is None:
        os.environ.pop("VIGIE_MODEL", None)
    print(f"Vigie on http://{settings.host}:{settings.port}", file=sys.stderr, flush=True)
    Server(
        "service:create_app",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=1,
        backlog=_BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_SECONDS,
        log_level=LogLevels(settings.log_level),
    ).serve()
