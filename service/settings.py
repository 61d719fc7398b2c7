"""Settings: read once from the environment, prefix ``VIGIE_``; README.md lists them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from model.errors import SettingsError, unknown_name

PREFIX = "VIGIE_"
_LOG_LEVELS = ("debug", "info", "warning", "error")


def _setting(default: Any, about: str, least: int | None = None) -> Any:
    return field(default=default, metadata={"about": about, "least": least})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default; ``VIGIE_`` and the name in capitals sets it."""

    registry: Path = _setting(Path("var/registry"), "folder of versions; its live one is served")
    model: Path | None = _setting(None, "folder of one version to serve, instead of the registry")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8000, "port to listen on", least=1)
    workers: int = _setting(
        1, "processes that answer, each computing one answer at a time", least=1
    )
    max_body_bytes: int = _setting(10_000_000, "largest request body", least=1)
    max_passages: int = _setting(1000, "most passages in a request", least=1)
    max_characters: int = _setting(100_000, "most characters in a passage", least=1)
    max_article_characters: int = _setting(
        1_000_000, "most characters in an article, as text or as HTML", least=1
    )
    request_seconds: int = _setting(
        30, "seconds after which a request that still computes is given up", least=1
    )
    queue: int = _setting(
        64, "requests in a worker at once; one more is answered 503 at once", least=1
    )
    slow_bodies: int = _setting(
        128, "bodies that a worker reads at once, beside its queue", least=1
    )
    idle_seconds: int = _setting(
        20, "seconds in which a connection has to move 256 bytes, or is closed", least=1
    )
    reload_seconds: int = _setting(1, "how often a worker looks for a new live version", least=1)
    log_level: str = _setting("info", "debug, info, warning or error")
    database_url: str | None = _setting(
        None,
        "database that keeps feedback, with its texts: sqlite:///var/feedback.db or "
        "postgresql://user:password@host/name; feedback is off without it",
    )
    review_percent: int = _setting(
        10, "share of the passages with a reason for review that enter the queue, 0 to 100", least=0
    )
    review_passages: int = _setting(1000, "most passages in the review queue", least=1)
    review_days: int = _setting(14, "days after which a passage leaves the review queue", least=1)
    keys_file: Path | None = _setting(
        None, "file of API keys; without it classifying is open and administration is closed"
    )
    rate_limit: str | None = _setting(
        None, "most requests of a key, or else of an address: 100/second, 6000/minute; off without"
    )
    redis_url: str | None = _setting(
        None, "Redis that counts requests for all workers; without it each worker counts by itself"
    )
    trusted_proxies: int = _setting(
        0,
        "proxies in front whose X-Forwarded-For is believed, for the address of a client",
        least=0,
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads the settings; SettingsError names the first that is unknown or has a bad value."""
        environment = os.environ if environment is None else environment
        known = {PREFIX + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable in sorted(environment):
            if not variable.startswith(PREFIX):
                continue
            if variable not in known:
                raise SettingsError(unknown_name("setting", variable, known))
            setting = known[variable]
            values[setting.name] = _parse(
                variable, environment[variable], setting.type, setting.metadata["least"]
            )
        return cls(**values)

    def to_environment(self) -> dict[str, str]:
        """The environment that `from_environment` reads these settings from."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            PREFIX + name.upper(): str(value) for name, value in values.items() if value is not None
        }


def _parse(variable: str, value: str, kind: Any, least: int | None) -> Any:
    kind = str(kind)
    if kind.startswith("Path"):
        if not value:
            raise SettingsError(f"{variable}: expected a path, got nothing")
        return Path(value)
    if kind == "int":
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(f'{variable}: expected a whole number, got "{value}"') from None
        if least is not None and number < least:
            raise SettingsError(f"{variable}: expected {least} or more, got {number}")
        return number
    if variable == PREFIX + "LOG_LEVEL" and value not in _LOG_LEVELS:
        raise SettingsError(f'{variable}: expected one of {", ".join(_LOG_LEVELS)}, got "{value}"')
    if not value:
        raise SettingsError(f"{variable}: expected a value, got nothing")
    return value
