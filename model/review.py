"""When to ask a person: the reasons for `needs_review`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OTHER_LANGUAGE = "other_language"
TOO_SHORT = "too_short"
LOW_COVERAGE = "low_vocabulary_coverage"
NEAR_THRESHOLD = "near_threshold"
REASONS = (OTHER_LANGUAGE, TOO_SHORT, LOW_COVERAGE, NEAR_THRESHOLD)


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """Limits under which a passage is sent to review; stored in each version's manifest.

    `near_threshold` is a distance in log-odds between a topic's score and its threshold.
    """

    fewest_words: int = 5
    lowest_coverage: float = 0.6
    near_threshold: float = 0.25

    def to_json(self) -> dict[str, Any]:
        """The limits as they stand in a manifest."""
        return asdict(self)

    def reasons(
        self, language_supported: bool, n_words: int, coverage: float, distance: float
    ) -> tuple[str, ...]:
        """Reasons for one text; `distance` is that of the nearest topic to its threshold, in log-odds."""
        found = []
        if n_words < self.fewest_words:
            found.append(TOO_SHORT)
        elif not language_supported:
            found.append(OTHER_LANGUAGE)
        if n_words and coverage < self.lowest_coverage:
            found.append(LOW_COVERAGE)
        if distance < self.near_threshold:
            found.append(NEAR_THRESHOLD)
        return tuple(found)
