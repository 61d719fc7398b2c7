"""What recent traffic is held against (see `service.drift`): by language, how many passages, how much of their words the model knows, and
how often it gives each topic.

Topics are those that the model gave to passages whose event it had not seen, at the balanced thresholds: what it does, not what the labels
say, so that a model that gives a topic too often does not look like a change of the news. Coverage is that of the passages it learnt from,
and so a little higher than that of news it never met.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.text import word_terms, words
from training.passages import Passage


def reference(
    passages: Sequence[Passage],
    given: npt.NDArray[np.bool_],
    topics: Sequence[str],
    terms: Collection[str],
) -> dict[str, Any]:
    """Rates by language; `given` are the decisions, shape (n_passages, n_topics), `terms` the model's terms of single words."""
    languages = np.array([passage.lang for passage in passages])
    known = set(terms)
    coverages = np.array([_coverage(passage.text, known) for passage in passages])
    return {
        language: {
            "passages": int(rows.sum()),
            "vocabulary_coverage": round(float(coverages[rows].mean()), 4),
            "topics": dict(zip(topics, given[rows].mean(axis=0).round(5).tolist(), strict=True)),
        }
        for language in sorted(set(languages.tolist()))
        for rows in [languages == language]
    }


def _coverage(text: str, known: set[str]) -> float:
    """The share of a text's words whose stem is known; 0 where it has none."""
    found = words(text)
    stems = [terms[0] for word in found if (terms := word_terms(word)) is not None]
    return sum(stem in known for stem in stems) / len(found) if found else 0.0
