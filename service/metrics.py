"""Prometheus metrics, right over several workers.

`service.server` makes a folder for them before it starts the workers and names it in ``PROMETHEUS_MULTIPROC_DIR``; each worker then keeps
its counts in files there, and whichever worker is asked adds all of them up. Counts of a worker that died stay, as a counter must not
fall; its share of `vigie_model_info`, the number of workers that serve a version, goes. Without the folder counts are this process's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service import signals
from service.tally import Tally

if TYPE_CHECKING:
    from flask import Flask

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WORKERS_GAUGE = "gauge_livesum_"


class Metrics:
    """The service's metrics; a label's counter is looked up once and kept."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.folder = shared_folder()
        self._registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str) -> Any:
            return Counter(f"vigie_{name}", about, labels, registry=self._registry)

        self._requests = _Children(
            counter("requests", "requests answered, by route and status", "route", "status")
        )
        self._seconds = _Children(
            Histogram(
                "vigie_request_seconds",
                "seconds from the first line of a request to its answer",
                ("route",),
                buckets=BUCKETS,
                registry=self._registry,
            )
        )
        self._topics = _Children(counter("topics", "times that a topic was given", "topic"))
        self._reasons = _Children(
            counter("review_reasons", "times that a reason for review came up", "reason")
        )
        self._passages = counter("passages", "passages classified")
        self._refused = counter("reload_failures", "new versions that a worker refused")
        self._turned_away = counter(
            "turned_away", "requests answered 503 because all places were taken"
        )
        self._feedback = _Children(counter("feedback", "feedback kept, by kind", "kind"))
        self._database = counter("database_unavailable", "times that the database failed")
        self._limiter = counter("limiter_unavailable", "times that requests could not be counted")
        self._model = Gauge(
            "vigie_model_info",
            "workers that serve a version",
            ("version",),
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def listen(self, app: Flask) -> None:
        """Counts what the rest of an application signals (see `service.signals`)."""
        signals.feedback_kept.connect(self._kept, app)
        signals.database_unavailable.connect(self._database_failed, app)
        signals.limiter_unavailable.connect(self._limiter_failed)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        self._requests[route, str(status)].inc()
        self._seconds[route].observe(seconds)

    def passages(self, counted: Tally) -> None:
        """Counts classified passages, their topics and reasons."""
        self._passages.inc(counted.passages)
        for topic, count in counted.topics.items():
            self._topics[topic].inc(count)
        for reason, count in counted.reasons.items():
            self._reasons[reason].inc(count)

    def serving(self, version: str, before: str | None) -> None:
        """Notes which version this worker serves from now on."""
        if before is not None:
            self._model.labels(before).set(0)
        self._model.labels(version).set(1)

    def refused(self) -> None:
        """Counts a version that was refused."""
        self._refused.inc()

    def turned_away(self) -> None:
        """Counts a request that found no place."""
        self._turned_away.inc()

    def _kept(self, _: object, kind: str) -> None:
        self._feedback[kind].inc()

    def _database_failed(self, _: object, **__: object) -> None:
        self._database.inc()

    def _limiter_failed(self, _: object, **__: object) -> None:
        self._limiter.inc()

    def render(self, collectors: Iterable[Any] = ()) -> bytes:
        """All metrics in Prometheus' text format, those of further collectors after them."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if self.folder is not None:
            _forget_dead(self.folder)
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self.folder))  # type: ignore[no-untyped-call]
        more = CollectorRegistry()
        for collector in collectors:
            more.register(collector)
        return generate_latest(registry) + generate_latest(more)


class _Children(dict[Any, Any]):
    """A metric's children by their label values: `labels` costs more than the count itself."""

    def __init__(self, metric: Any) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: Any) -> Any:
        child = (
            self._metric.labels(*labels)
            if isinstance(labels, tuple)
            else self._metric.labels(labels)
        )
        self[labels] = child
        return child


def shared_folder() -> Path | None:
    """The folder that this machine's workers share, None where each counts for itself."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else None


def is_alive(process: int) -> bool:
    """Whether a process of this number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _forget_dead(folder: Path) -> None:
    """Takes workers that no longer run out of the gauges of live workers."""
    for path in folder.glob(f"{_WORKERS_GAUGE}*.db"):
        process = path.stem.removeprefix(_WORKERS_GAUGE)
        if process.isdecimal() and not is_alive(int(process)):
            path.unlink(missing_ok=True)
