"""What is noted of a request: for its log line, its metrics and drift. Numbers and names, never text.

A request only adds to a few lists. What they hold goes to the log, the metrics and drift ten times a second, all at once, and before
either of the latter is read: to count and log each request by itself cost a third of its score. A worker that is killed takes the
last tenth of a second with it.

The log line has `request_id`, `method`, `route` (the pattern, not the address as sent, which could hold anything), `status`, `ms`,
`passages` and `model`.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from typing import Any, Protocol

from flask import Request
from werkzeug.routing import Rule

from model.classifier import Classifier
from service.drift import Traffic
from service.logs import AccessLog, timestamp
from service.metrics import Metrics
from service.tally import Tally

ENVIRON_KEY = "vigie.observation"
REQUEST_ID_HEADER = "X-Request-ID"
MODEL_HEADER = "Vigie-Model"
NO_ROUTE = "none"
_SETTLE_SECONDS = 0.1
_MOST_PENDING = 1000
"""Requests after which whoever adds one settles, so that what is pending is bounded wherever the thread that settles does not run."""

_LOG = logging.getLogger("vigie")
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KNOWN_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


@dataclass(slots=True)
class Observation:
    """One request as far as it has come; views set `version` and `passages`, streams `route`."""

    request_id: str
    method: str
    started: float = field(default_factory=time.perf_counter)
    route: str | None = None
    status: int = 0
    version: str | None = None
    passages: int = 0

    @classmethod
    def of(cls, environ: dict[str, Any]) -> Observation:
        """The observation of a request that begins; its id is the client's where that is well-formed."""
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if request_id is None or not _WELL_FORMED_ID.fullmatch(request_id):
            request_id = f"{random.getrandbits(64):016x}"
        method = environ["REQUEST_METHOD"]
        return cls(request_id, method if method in _KNOWN_METHODS else "other")


class ObservedRequest(Request):
    """Flask's request, which tells the observation the pattern of its route as soon as it is found."""

    @property
    def url_rule(self) -> Rule | None:
        """The rule that matched."""
        rule: Rule | None = self.__dict__.get("_url_rule")
        return rule

    @url_rule.setter
    def url_rule(self, rule: Rule | None) -> None:
        self.__dict__["_url_rule"] = rule
        observation = self.environ.get(ENVIRON_KEY)
        if observation is not None and rule is not None:
            observation.route = rule.rule


class Sampler(Protocol):
    """Takes texts for review (see `service.review`)."""

    def offer(
        self, classifier: Classifier, texts: Sequence[str], results: Sequence[dict[str, Any]]
    ) -> None:
        """Takes some of the texts; never waits."""


@dataclass(slots=True)
class Counts:
    """Requests and Results since the last time that they were settled.

    `seconds` holds what each request took by its route and status, `comparable` the Results for all topics at ``balanced``, as the
    training data's rates are, `others` all other Results.
    """

    seconds: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    requests: int = 0
    comparable: Tally = field(default_factory=Tally)
    others: Tally = field(default_factory=Tally)


class Observer:
    """Where observations go."""

    def __init__(self, metrics: Metrics, traffic: Traffic, sampler: Sampler | None = None) -> None:
        self.metrics = metrics
        self.traffic = traffic
        self._sampler = sampler
        self._log = AccessLog()
        self._counts = Counts()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Settles a few times a second from now on, and when the process ends."""
        Finalize(None, self.settle, exitpriority=1)
        threading.Thread(target=self._run, name="observer", daemon=True).start()

    def classified(
        self,
        observation: Observation | None,
        classifier: Classifier,
        texts: Sequence[str],
        results: Sequence[dict[str, Any]],
        *,
        comparable: bool,
    ) -> None:
        """Counts Results, and offers their texts for review."""
        with self._lock:
            counts = self._counts
            (counts.comparable if comparable else counts.others).add(results)
        if self._sampler is not None:
            self._sampler.offer(classifier, texts, results)
        if observation is not None:
            observation.version = classifier.version
            observation.passages += len(results)

    def answered(self, observation: Observation) -> None:
        """Counts and logs a request whose answer is complete."""
        seconds = time.perf_counter() - observation.started
        with self._lock:
            counts = self._counts
            counts.seconds[observation.route or NO_ROUTE, observation.status].append(seconds)
            counts.requests += 1
            full = counts.requests >= _MOST_PENDING
        if full:
            self.settle()
        if self._log.enabled:
            self._log.add(
                {
                    "time": timestamp(time.time()),
                    "level": "info",
                    "logger": "vigie.requests",
                    "message": "request",
                    "request_id": observation.request_id,
                    "method": observation.method,
                    "route": observation.route,
                    "status": observation.status,
                    "ms": round(seconds * 1000, 2),
                    "passages": observation.passages,
                    "model": observation.version,
                }
            )

    def settle(self) -> None:
        """Hands what was counted to the metrics and to drift, and writes the log's lines."""
        self._log.flush()
        with self._lock:
            counts, self._counts = self._counts, Counts()
        for (route, status), seconds in counts.seconds.items():
            self.metrics.requests(route, status, seconds)
        for tally in (counts.comparable, counts.others):
            if tally.languages:
                self.metrics.passages(tally)
        if counts.comparable.languages:
            self.traffic.window.add(counts.comparable)

    def _run(self) -> None:
        while not self._stopped.wait(_SETTLE_SECONDS):
            try:
                self.settle()
                self.traffic.share()
            except Exception:  # noqa: BLE001 - the edge of a thread
                _LOG.exception("counting requests failed")
