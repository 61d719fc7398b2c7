"""What Results come to, counted once for metrics and drift."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class LanguageTally:
    """Passages in one language: how many, the sum of their vocabulary coverage, how many got each topic."""

    passages: int = 0
    coverage: float = 0.0
    topics: dict[str, int] = field(default_factory=dict)

    def add(self, other: LanguageTally, times: int = 1) -> None:
        """Adds another tally's counts, or with ``times=-1`` takes them away."""
        self.passages += times * other.passages
        self.coverage += times * other.coverage
        for topic, count in other.topics.items():
            self.topics[topic] = self.topics.get(topic, 0) + times * count


@dataclass(slots=True)
class Tally:
    """Passages by language, and how often each reason for review came up."""

    languages: dict[str, LanguageTally] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, results: Iterable[dict[str, Any]]) -> None:
        """Counts Results (see `service.results`)."""
        languages, reasons = self.languages, self.reasons
        for result in results:
            language = result["language"]
            entry = languages.get(language)
            if entry is None:
                entry = languages[language] = LanguageTally()
            entry.passages += 1
            entry.coverage += result["vocabulary_coverage"]
            topics = entry.topics
            for topic in result["topics"]:
                topics[topic] = topics.get(topic, 0) + 1
            for reason in result["reasons"]:
                reasons[reason] = reasons.get(reason, 0) + 1

    @property
    def passages(self) -> int:
        """All passages."""
        return sum([tally.passages for tally in self.languages.values()])

    @property
    def topics(self) -> dict[str, int]:
        """How many passages got each topic, over all languages."""
        total = LanguageTally()
        for tally in self.languages.values():
            total.add(tally)
        return total.topics
