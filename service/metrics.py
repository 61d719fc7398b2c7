"""Prometheus metrics, right over several workers.

`service.server` makes a folder for them before it starts the workers and names it in ``PROMETHEUS_MULTIPROC_DIR``; each worker then keeps
its counts in files there, and whichever worker is asked adds all of them up. Counts of a worker that died stay, as a counter must not
fall, but move into one file for all the dead (whenever a worker starts, and with each scrape), so that workers that die again and again do
not fill the disk; its share of `vigie_model_info`, the number of workers that serve a version, goes. Without the folder counts are this
process's own.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service import signals
from service.tally import Tally

if TYPE_CHECKING:
    from flask import Flask

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OF_THE_DEAD = 0
"""In place of a worker's number: no process that can be asked for has it."""

_FILE = re.compile(r"(counter|histogram|gauge_livesum)_(\d+)\.db")


class Metrics:
    """The service's metrics; a label's counter is looked up once and kept."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.folder = shared_folder()
        if self.folder is not None:
            with _alone(self.folder):
                _gather_dead(self.folder)
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

    def requests(self, route: str, status: int, seconds: Sequence[float]) -> None:
        """Counts answered requests by what each took."""
        self._requests[route, str(status)].inc(len(seconds))
        observe = self._seconds[route].observe
        for each in seconds:
            observe(each)

    def passages(self, counted: Tally) -> None:
        """Counts classified passages, their topics and reasons."""
        self._passages.inc(counted.passages)
        for topic, count in counted.topics.items():
            self._topics[topic].inc(count)
        for reason, count in counted.reasons.items():
            self._reasons[reason].inc(count)

    def serving(self, version: str, before: str | None) -> None:
        """Notes which version this worker serves from now on."""
        if before is not None and before != version:
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

        more = CollectorRegistry()
        for collector in collectors:
            more.register(collector)
        if self.folder is None:
            return generate_latest(self._registry) + generate_latest(more)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self.folder))  # type: ignore[no-untyped-call]
        with _alone(self.folder):
            _gather_dead(self.folder)
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


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One worker at a time moves files, and none reads them meanwhile."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _gather_dead(folder: Path) -> None:
    """Adds the counts of workers that no longer run to the file of the dead; takes them out of the gauges of live workers."""
    for path in sorted(folder.glob("*.db")):
        named = _FILE.fullmatch(path.name)
        if named is None or int(named[2]) == _OF_THE_DEAD or is_alive(int(named[2])):
            continue
        if named[1] != "gauge_livesum":
            _add_counts(path, path.with_name(f"{named[1]}_{_OF_THE_DEAD}.db"))
        path.unlink()


def _add_counts(path: Path, gathered: Path) -> None:
    """Adds one file's counts to another's, which is replaced as a whole."""
    from prometheus_client.mmap_dict import MmapedDict

    counts: dict[str, float] = {}
    for each in (gathered, path):
        if each.exists():
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(each)):  # type: ignore[no-untyped-call]
                counts[key] = counts.get(key, 0.0) + value
    staged = gathered.with_suffix(".staged")
    staged.unlink(missing_ok=True)
    written = MmapedDict(str(staged))  # type: ignore[no-untyped-call]
    for key, value in counts.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    staged.replace(gathered)
