"""When to ask a person: the reasons for `needs_review`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

OTHER_LANGUAGE = "other_language"
TOO_SHORT = "too_short"
LOW_COVERAGE = "low_vocabulary_coverage"
NEAR_THRESHOLD = "near_threshold"
REASONS = (OTHER_LANGUAGE, TOO_SHORT, LOW_COVERAGE, NEAR_THRESHOLD)


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """Limits under which a passage is sent to review; stored in each version's manifest.

    A text of fewer than `fewest_words_for_topics` words is a caption or a button, and gets no topic. `near_threshold` is a distance in log-odds between a topic's score and its threshold.
    """

    fewest_words: int = 5
    fewest_words_for_topics: int = 4
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

    def reasons_of_many(
        self,
        language_supported: npt.NDArray[np.bool_],
        n_words: npt.NDArray[np.int64],
        coverage: npt.NDArray[np.float64],
        distance: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.bool_]:
        """As `reasons`, for n texts: all arguments have shape (n,), the answer (n, len(REASONS)), columns in their order."""
        too_short = n_words < self.fewest_words
        return np.column_stack(
            (
                ~language_supported & ~too_short,
                too_short,
                (n_words > 0) & (coverage < self.lowest_coverage),
                distance < self.near_threshold,
            )
        )
