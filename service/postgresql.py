"""A connection to PostgreSQL that gives up on a server that does not answer."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, OperationalError


class BoundedConnection(Connection[Any]):
    """psycopg's connection, whose every wait ends after `longest_wait` seconds: the connection is closed, with an OperationalError."""

    longest_wait = 5.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Runs one exchange with the server."""
        try:
            return super().wait(gen, interval, self.longest_wait if timeout is None else timeout)
        except OperationalError:  # psycopg's timeout is one, and leaves the exchange half done.
            self.close()
            raise
