"""Closes connections on which nothing much moves: half-sent requests, clients that read nothing, keep-alive without requests.

The server bounds how long the headers of a request may take, and nothing after them. So each worker looks at its own sockets every few
seconds: a connection that moved fewer than `LEAST_BYTES` in and out in `idle_seconds` is shut down, which wakes the thread that waits on it.
One rule for a body that stops halfway, for one that trickles in, for an answer that nobody takes. Linux only: elsewhere nothing is closed.

A connection whose request is being computed is still, too. Which one that is the server does not tell; but its last byte came when the
request began. So where a request is older than the time between two looks, connections that moved since about its begin are left alone.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LEAST_BYTES = 256
_LOG = logging.getLogger("vigie")
_LOOKS = 4
"""Looks in `idle_seconds`."""

_TCP_INFO_SIZE = 192
_STATE = struct.Struct("=B")
_ESTABLISHED, _CLOSE_WAIT = 1, 8
_ACKED_AND_RECEIVED = struct.Struct("=QQ")
_ACKED_OFFSET = 120
"""tcpi_bytes_acked in struct tcp_info, followed by tcpi_bytes_received (linux/tcp.h)."""

_DESCRIPTORS = Path("/proc/self/fd")
Name = tuple[object, ...]


@dataclass(slots=True)
class _Seen:
    """Bytes that a connection had moved when its time began to count, and those it has moved by now, with when they last changed."""

    counted: int
    since: float
    moved: int
    last: float


class Connections:
    """The connections of this process that it accepted on one port."""

    def __init__(
        self,
        port: int,
        idle_seconds: float,
        oldest_request: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._port = port
        self._idle = idle_seconds
        self._between = idle_seconds / _LOOKS
        self._oldest_request = oldest_request
        self._seen: dict[Name, _Seen] = {}
        self._stopped = threading.Event()

    def watch(self) -> None:
        """Looks and closes in the background from now on."""
        if sys.platform == "linux":
            threading.Thread(target=self._run, name="connections", daemon=True).start()

    def close_idle(self, now: float) -> int:
        """Shuts down what has not moved enough for `idle_seconds`; returns how many."""
        closed = 0
        seen: dict[Name, _Seen] = {}
        busy_since = self._busy_since(now)
        for name, connection in self._connections():
            moved = _moved(connection)
            if moved is None:
                continue
            known = self._seen.get(name)
            if (
                known is None or moved < known.moved
            ):  # The latter: another connection by the name of an earlier one.
                known = _Seen(moved, now, moved, now)
            entry = seen[name] = known
            if moved != entry.moved:
                entry.moved, entry.last = moved, now
            if moved - entry.counted >= LEAST_BYTES:
                entry.counted, entry.since = moved, now
            elif self._is_over(entry, now) and entry.last < busy_since:
                _shut(connection)
                closed += 1
        self._seen = seen
        return closed

    def _is_over(self, entry: _Seen, now: float) -> bool:
        """Whether so little moved for so long. One that has just begun to move again is given as long once more: it may be a request,
        on a connection that was kept open, that came a moment before this look.
        """
        idle = now - entry.since
        return idle >= 2 * self._idle or (idle >= self._idle and entry.last < now)

    def _busy_since(self, now: float) -> float:
        """Connections that moved since then may wait for an answer that is being computed."""
        oldest = self._oldest_request()
        if oldest is None or now - oldest < self._between:
            return math.inf
        return oldest - self._idle

    def _connections(self) -> Iterator[tuple[Name, socket.socket]]:
        for descriptor in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - names are numbers
            with _duplicate(int(descriptor)) as connection:
                if connection is None:
                    continue
                try:
                    if connection.getsockname()[1] == self._port:
                        yield (*connection.getpeername(),), connection
                except (OSError, IndexError, TypeError):
                    continue

    def _run(self) -> None:
        while not self._stopped.wait(self._between):
            try:
                closed = self.close_idle(time.monotonic())
            except OSError as error:
                _LOG.warning("connections cannot be looked at: %s", error.strerror)
                continue
            if closed:
                _LOG.info("closed %d idle connections", closed)


@contextmanager
def _duplicate(descriptor: int) -> Iterator[socket.socket | None]:
    """The TCP socket behind a descriptor, under a descriptor of our own: the server may close its own at any moment."""
    try:
        duplicate = os.dup(descriptor)
    except OSError:
        yield None
        return
    try:
        connection = socket.socket(fileno=duplicate)
    except OSError as error:
        os.close(duplicate)
        if error.errno not in {errno.ENOTSOCK, errno.EBADF, errno.EINVAL}:
            raise
        yield None
        return
    with connection:
        inet = connection.family in {socket.AF_INET, socket.AF_INET6}
        yield connection if inet and connection.type == socket.SOCK_STREAM else None


def _moved(connection: socket.socket) -> int | None:
    """Bytes received and bytes that the other side took; None where the connection is no longer open."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return None
    if _STATE.unpack_from(info)[0] not in {_ESTABLISHED, _CLOSE_WAIT}:
        return None
    if len(info) < _ACKED_OFFSET + _ACKED_AND_RECEIVED.size:
        return None
    acked, received = _ACKED_AND_RECEIVED.unpack_from(info, _ACKED_OFFSET)
    return int(acked) + int(received)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
