"""Active learning: which of the passages that are classified wait for somebody to look at them.

A request only puts a sample of its uncertain passages into a short list in memory. A thread of the worker writes the list to the database
every second; what does not fit into the list, or cannot be written, is dropped: the queue is a sample anyway.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from model.classifier import BALANCED, Classifier, logit
from model.review import LOW_COVERAGE, NEAR_THRESHOLD
from service.database import DatabaseError
from service.feedback import FeedbackStore, Predicted
from service.results import SCORE_DIGITS
from service.settings import Settings

_MOST_PENDING = 64
_MOST_CHARACTERS = 5000
_EVERY_SECONDS = 1.0
_WORTH_ASKING = frozenset((NEAR_THRESHOLD, LOW_COVERAGE))
_LOG = logging.getLogger("vigie")


class ReviewSampler:
    """Takes a sample of the passages with a reason for review, and writes it to the queue now and then."""

    def __init__(self, store: FeedbackStore, settings: Settings) -> None:
        self._store = store
        self._share = settings.review_percent / 100
        self._most = settings.review_passages
        self._longest = timedelta(days=settings.review_days)
        self._pending: deque[tuple[Classifier, str]] = deque(maxlen=_MOST_PENDING)
        self._failing = False
        self._stopped = threading.Event()

    def offer(
        self, classifier: Classifier, texts: Sequence[str], results: Sequence[dict[str, Any]]
    ) -> None:
        """Takes a share of the texts that a label would teach something; never waits."""
        for text, result in zip(texts, results, strict=True):
            if (
                result["needs_review"]
                and not _WORTH_ASKING.isdisjoint(result["reasons"])
                and len(text) <= _MOST_CHARACTERS
                and random.random() < self._share  # noqa: S311 - a sample
                and "\0" not in text
            ):
                self._pending.append((classifier, text))

    def write(self) -> int:
        """Writes what is pending; returns how many passages. What cannot be written is dropped."""
        passages: list[tuple[str, Predicted]] = []
        while self._pending:
            classifier, text = self._pending.popleft()
            passages.append((text, predict(classifier, text)))
        if not passages:
            return 0
        try:
            self._store.enqueue(passages, self._most, self._longest)
        except DatabaseError as error:
            if not self._failing:
                _LOG.warning("the review queue is not written: %s", error)
            self._failing = True
            return 0
        self._failing = False
        return len(passages)

    def start(self) -> None:
        """Writes every second from now on."""
        threading.Thread(target=self._run, name="review-sampler", daemon=True).start()

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            try:
                self.write()
            except Exception:  # noqa: BLE001 - the edge of a thread
                _LOG.exception("writing the review queue failed")


def predict(classifier: Classifier, text: str) -> Predicted:
    """What a version makes of a text, at the balanced operating point, with the distance of the nearest topic to its threshold."""
    prediction = classifier.predict([text])[0]
    distances = np.abs(classifier.log_odds([text])[0] - logit(classifier.thresholds(BALANCED)))
    return Predicted(
        classifier.version,
        prediction.language,
        prediction.topics,
        {topic: round(score, SCORE_DIGITS) for topic, score in prediction.scores.items()},
        prediction.reasons,
        float(distances.min()),
    )
