"""How many requests a key, or else an address, may make: flask-limiter, counted in Redis for all workers and machines.

Without Redis each worker counts by itself: N workers let through up to N times the limit. While Redis cannot be reached, requests are
let through, and it is asked again every few seconds. Windows are fixed, so that a request costs one round trip.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from flask import Flask, request
from flask_limiter import Limiter, RateLimitExceeded
from limits import parse
from limits.storage import RedisStorage
from redis.exceptions import RedisError

from model.errors import SettingsError
from service.access import caller
from service.problems import ProblemError
from service.settings import Settings
from service.signals import limiter_unavailable

_REDIS_SECONDS = 0.25
_RETRY_SECONDS = 5.0
_PREFIX = "open+"
_LOG = logging.getLogger("vigie")


class OpenRedisStorage(RedisStorage):
    """Counts in Redis; where that fails nothing is counted, for some seconds, and every request is within its limit."""

    STORAGE_SCHEME = ["open+redis", "open+rediss", "open+unix"]  # noqa: RUF012 - as limits declares it

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(
            uri.removeprefix(_PREFIX),
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            **options,
        )
        self._asked_again = 0.0

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Counts a request; 0 while Redis is away."""
        if time.monotonic() < self._asked_again:
            return 0
        try:
            count = super().incr(key, expiry, amount)
        except RedisError as error:
            self._lost(error)
            return 0
        if self._asked_again:
            self._asked_again = 0.0
            _LOG.warning("rate limits count again: Redis is back")
        return count

    def get_expiry(self, key: str) -> float:
        """When the window ends, seconds since 1970; now while Redis is away."""
        try:
            return super().get_expiry(key)
        except RedisError as error:
            self._lost(error)
            return time.time()

    def _lost(self, error: RedisError) -> None:
        reason = type(error).__name__
        if not self._asked_again:
            _LOG.warning("rate limits do not count: Redis cannot be reached (%s)", reason)
        self._asked_again = time.monotonic() + _RETRY_SECONDS
        limiter_unavailable.send(reason=reason)


def register(app: Flask, settings: Settings) -> None:
    """Limits calls under ``/v1/``; SettingsError for a limit or an address that cannot be understood."""
    limit = settings.rate_limit or ""
    try:
        window = parse(limit).get_expiry()
    except ValueError:
        raise SettingsError(
            f'VIGIE_RATE_LIMIT: expected a number of requests and a time, as 6000/minute, got "{limit}"'
        ) from None
    if settings.redis_url is None:
        storage = "memory://"
        _LOG.warning(
            "rate limits count in each worker by itself: %d workers let through up to %d times "
            "%s; set VIGIE_REDIS_URL to count over all of them",
            settings.workers,
            settings.workers,
            limit,
        )
    else:
        storage = _PREFIX + settings.redis_url
        if not settings.redis_url.startswith(("redis://", "rediss://", "unix://")):
            raise SettingsError("VIGIE_REDIS_URL: expected redis://, rediss:// or unix://")
    limiter = Limiter(
        _who,
        app=app,
        application_limits=[limit],
        storage_uri=storage,
        strategy="fixed-window",
        key_prefix="vigie",
    )
    limiter.request_filter(_is_open)
    limiter.logger.setLevel(logging.WARNING)  # Else it logs the address of each client it refuses.

    @app.errorhandler(RateLimitExceeded)
    def _exceeded(_: RateLimitExceeded) -> Any:
        current = limiter.current_limit
        left = current.reset_at - time.time() if current else 1.0
        seconds = min(max(math.ceil(left), 1), window)
        error = ProblemError(
            429,
            f"more than {limit}; the next is answered in {seconds} s",
            headers={"Retry-After": str(seconds)},
            limit=limit,
        )
        return app.handle_user_exception(error)


def _who() -> str:
    name = caller()
    return f"key:{name}" if name else f"address:{request.remote_addr}"


def _is_open() -> bool:
    return not request.path.startswith("/v1/")
