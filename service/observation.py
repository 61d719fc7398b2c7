"""What is noted of a request: for its log line, its metrics and drift. Numbers and names, never text.

The log line has `request_id`, `method`, `route` (the pattern, not the address as sent, which could hold anything), `status`, `ms`,
`passages` and `model`.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flask import Request
from werkzeug.routing import Rule

from model.classifier import Classifier
from service.drift import Traffic
from service.logs import AccessLog, timestamp
from service.metrics import Metrics
from service.tally import tally

ENVIRON_KEY = "vigie.observation"
REQUEST_ID_HEADER = "X-Request-ID"
MODEL_HEADER = "Vigie-Model"
NO_ROUTE = "none"
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
        given = environ.get("HTTP_X_REQUEST_ID", "")
        method = environ["REQUEST_METHOD"]
        return cls(
            given if _WELL_FORMED_ID.fullmatch(given) else secrets.token_hex(8),
            method if method in _KNOWN_METHODS else "other",
        )


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


class Observer:
    """Where observations go."""

    def __init__(self, metrics: Metrics, traffic: Traffic, sampler: Sampler | None = None) -> None:
        self.metrics = metrics
        self.traffic = traffic
        self._sampler = sampler
        self._log = AccessLog()

    def classified(
        self,
        observation: Observation | None,
        classifier: Classifier,
        texts: Sequence[str],
        results: Sequence[dict[str, Any]],
        *,
        comparable: bool,
    ) -> None:
        """Counts Results, and offers their texts for review; `comparable` where they are for all topics at ``balanced``, as the training
        data's rates are.
        """
        counted = tally(results)
        self.metrics.passages(counted)
        if comparable:
            self.traffic.window.add(counted)
        if self._sampler is not None:
            self._sampler.offer(classifier, texts, results)
        if observation is not None:
            observation.version = classifier.version
            observation.passages += counted.passages

    def answered(self, observation: Observation) -> None:
        """Counts and logs a request whose answer is complete."""
        seconds = time.perf_counter() - observation.started
        route = observation.route or NO_ROUTE
        self.metrics.request(route, observation.status, seconds)
        if self._log.enabled:
            self._log.write(
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
