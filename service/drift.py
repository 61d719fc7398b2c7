"""Drift: what recent traffic looks like beside what the live model was trained on.

Each worker counts the passages of the last hour in slots of a minute: by language how many, the share of their words that the model
knows, and how many got each topic. Once a second it writes its window into the folder that the workers share (see `service.metrics`), and
whichever is asked adds up the windows of all that live. Requests for some topics only or at another operating point than ``balanced`` are
left out, since the training data's rates are those of all topics at ``balanced``.

Nothing of a text is kept: windows hold counts.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from service.metrics import is_alive
from service.tally import LanguageTally, Tally

SLOT_SECONDS = 60
SLOTS = 60
STEP_SLOTS = 5
STEPS = SLOTS // STEP_SLOTS
_WRITE_SECONDS = 1.0
_PREFIX = "window-"

Clock = Callable[[], float]
Languages = dict[str, LanguageTally]


class Window:
    """One worker's passages of the last `SLOTS` slots, by language."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: deque[tuple[int, Languages]] = deque()
        self._total: Languages = {}
        self.changes = 0

    def add(self, counted: Tally) -> None:
        """Counts passages in the slot of now."""
        with self._lock:
            slot = self._now()
            self._drop(slot)
            if not self._slots or self._slots[-1][0] != slot:
                self._slots.append((slot, {}))
            _add(self._slots[-1][1], counted.languages)
            _add(self._total, counted.languages)
            self.changes += 1

    def total(self) -> Languages:
        """Counts of the window as it is now, a copy."""
        with self._lock:
            self._drop(self._now())
            total: Languages = {}
            _add(total, self._total)
            return total

    def steps(self) -> dict[int, Languages]:
        """Counts of the window by step: minutes since the clock began, in fives. The clock is the machine's, so workers agree on it."""
        with self._lock:
            self._drop(self._now())
            steps: dict[int, Languages] = {}
            for slot, counted in self._slots:
                _add(steps.setdefault(slot // STEP_SLOTS, {}), counted)
            return steps

    def _now(self) -> int:
        return int(self._clock() // SLOT_SECONDS)

    def _drop(self, now: int) -> None:
        while self._slots and self._slots[0][0] <= now - SLOTS:
            _, gone = self._slots.popleft()
            _add(self._total, gone, times=-1)
            self._total = {key: kept for key, kept in self._total.items() if kept.passages}
            self.changes += 1


class Traffic:
    """Recent traffic over all workers: this one's window, and those that the others have written."""

    def __init__(self, folder: Path | None, clock: Clock = time.monotonic) -> None:
        self.window = Window(clock)
        self._clock = clock
        self._folder = folder
        self._next_write = 0.0
        self._written = 0

    def share(self) -> None:
        """Writes this worker's window for the others, at most once a second and only if it has changed."""
        if self._folder is None or self._clock() < self._next_write:
            return
        self._next_write = self._clock() + _WRITE_SECONDS
        self.window.total()
        changes = self.window.changes
        if changes != self._written:
            self.write()
            self._written = changes

    def total(self) -> Languages:
        """Counts of all live workers."""
        total = self.window.total()
        for other in self._others():
            for counted in other.values():
                _add(total, counted)
        return total

    def steps(self) -> list[Languages]:
        """Counts of all live workers in steps of `STEP_SLOTS` slots, oldest first; the last one is not over yet."""
        steps = self.window.steps()
        for other in self._others():
            for step, counted in other.items():
                _add(steps.setdefault(step, {}), counted)
        now = int(self._clock() // (SLOT_SECONDS * STEP_SLOTS))
        return [steps.get(step, {}) for step in range(now - STEPS + 1, now + 1)]

    def write(self) -> None:
        """Writes this worker's window, whole or not at all."""
        if self._folder is None:
            return
        path = self._folder / f"{_PREFIX}{os.getpid()}.json"
        staged = path.with_suffix(".staged")
        content = {
            step: {
                language: [tally.passages, tally.coverage, tally.topics]
                for language, tally in counted.items()
            }
            for step, counted in self.window.steps().items()
        }
        staged.write_text(json.dumps(content), encoding="utf-8")
        staged.replace(path)

    def _others(self) -> Iterator[dict[int, Languages]]:
        if self._folder is None:
            return
        for path in self._folder.glob(f"{_PREFIX}*"):
            process = int(path.stem.removeprefix(_PREFIX))
            if process == os.getpid():
                continue
            if not is_alive(process):
                path.unlink(missing_ok=True)
                continue
            if path.suffix != ".json":
                continue
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue
            yield {
                int(step): {
                    language: LanguageTally(*counts) for language, counts in counted.items()
                }
                for step, counted in content.items()
            }


def compare(total: Languages, reference: dict[str, Any] | None) -> dict[str, Any]:
    """Recent traffic beside the training data, language by language.

    `reference` is the manifest's; None, as in versions from before it was there, leaves `training` at None. `z` is how many standard errors
    of a rate recent traffic lies from training: a number beyond 4 or so on some hundred passages is worth a look.
    """
    training = reference or {}
    passages = sum(tally.passages for tally in total.values())
    trained = sum(entry["passages"] for entry in training.values())
    return {
        "window_seconds": SLOTS * SLOT_SECONDS,
        "passages": passages,
        "languages": {
            language: {
                "passages": _of(total, language).passages,
                "share": _beside(
                    _of(total, language).passages,
                    passages,
                    training[language]["passages"] / trained if language in training else 0.0,
                    known=reference is not None,
                ),
                "vocabulary_coverage": {
                    "recent": _ratio(_of(total, language).coverage, _of(total, language).passages),
                    "training": training.get(language, {}).get("vocabulary_coverage"),
                },
                "topics": _topics(_of(total, language), training.get(language)),
            }
            for language in sorted({*total, *training})
        },
    }


def history(steps: list[Languages]) -> dict[str, Any]:
    """The window in steps, as rates; a language stands in the steps that it has passages in."""
    return {
        "step_seconds": STEP_SLOTS * SLOT_SECONDS,
        "history": [
            {
                language: {
                    "passages": tally.passages,
                    "vocabulary_coverage": _ratio(tally.coverage, tally.passages),
                    "topics": {
                        topic: round(count / tally.passages, 5)
                        for topic, count in sorted(tally.topics.items())
                    },
                }
                for language, tally in sorted(counted.items())
                if tally.passages
            }
            for counted in steps
        ],
    }


def _topics(recent: LanguageTally, trained: dict[str, Any] | None) -> dict[str, Any]:
    rates: dict[str, float] = trained["topics"] if trained else {}
    return {
        topic: _beside(
            recent.topics.get(topic, 0),
            recent.passages,
            rates.get(topic, 0.0),
            known=trained is not None,
        )
        for topic in sorted({*recent.topics, *rates})
    }


def _beside(count: int, passages: int, training: float, *, known: bool) -> dict[str, float | None]:
    recent = _ratio(count, passages)
    z = None
    if known and recent is not None:
        # A rate of 0 in training has no error of its own; half a passage of doubt keeps the number finite.
        rate = min(max(training, 0.5 / (passages + 1)), 1 - 0.5 / (passages + 1))
        z = round((recent - training) / math.sqrt(rate * (1 - rate) / passages), 2)
    return {"recent": recent, "training": round(training, 5) if known else None, "z": z}


def _ratio(part: float, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None


def _of(total: Languages, language: str) -> LanguageTally:
    return total.get(language) or LanguageTally()


def _add(into: Languages, counted: Languages, times: int = 1) -> None:
    for language, tally in counted.items():
        into.setdefault(language, LanguageTally()).add(tally, times)


class DriftCollector:
    """The comparison as Prometheus gauges, made when they are asked for."""

    def __init__(self, compared: dict[str, Any]) -> None:
        self._compared = compared

    def collect(self) -> Iterator[Any]:
        """Gauges by language, and by language and topic; what is not known is left out."""
        from prometheus_client.core import GaugeMetricFamily

        def gauge(name: str, about: str, *labels: str) -> Any:
            return GaugeMetricFamily(f"vigie_drift_{name}", about, labels=labels)

        passages = gauge("passages", "passages of the last hour", "language")
        share = gauge("language_share", "share of a language", "language", "of")
        coverage = gauge("vocabulary_coverage", "share of words known", "language", "of")
        rate = gauge("topic_rate", "share of passages with a topic", "language", "topic", "of")
        z = gauge("topic_z", "standard errors from training", "language", "topic")
        for language, entry in self._compared["languages"].items():
            passages.add_metric([language], entry["passages"])
            for of in ("recent", "training"):
                _add_known(share, [language, of], entry["share"][of])
                _add_known(coverage, [language, of], entry["vocabulary_coverage"][of])
                for topic, rates in entry["topics"].items():
                    _add_known(rate, [language, topic, of], rates[of])
            for topic, rates in entry["topics"].items():
                _add_known(z, [language, topic], rates["z"])
        yield from (passages, share, coverage, rate, z)


def _add_known(gauge: Any, labels: list[str], value: float | None) -> None:
    if value is not None:
        gauge.add_metric(labels, value)
