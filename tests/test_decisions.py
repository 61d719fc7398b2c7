from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.decisions import reason_lists, rounded, topic_lists


def test_decisions_in_columns_are_those_of_each_text_alone(classifier, passages):
    texts = [p.text for p in passages[:400]]
    texts += ["", "…", "Hola, ¿qué tal estás?", "Привет мир это новости", "x" * 200, "Ban !"]
    decisions = classifier.decisions(texts, "recall")
    alone = [classifier.predict([text], "recall")[0] for text in texts]
    assert topic_lists(decisions, classifier.topics) == [p.topics for p in alone]
    assert reason_lists(decisions) == [p.reasons for p in alone]
    assert decisions.languages == [p.language for p in alone]
    assert decisions.coverage.tolist() == [p.vocabulary_coverage for p in alone]
    assert decisions.scores.tolist() == [list(p.scores.values()) for p in alone]
    assert decisions.scope.tolist() == [p.scope for p in alone]
    assert decisions.needs_review.tolist() == [p.needs_review for p in alone]
    assert classifier.predict(texts, "recall") == alone


def test_no_texts_give_no_decisions(classifier):
    decisions = classifier.decisions([])
    assert decisions.scores.shape == (0, len(classifier.topics))
    assert decisions.languages == []
    assert classifier.predict([]) == []


@given(st.lists(st.floats(0, 1)), st.integers(0, 6))
def test_rounding_columns_is_rounding_each(values, digits):
    found = rounded(np.array(values, dtype=np.float64), digits)
    assert found.tolist() == [round(value, digits) for value in values]


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_rounding_holds_beside_every_tie(step):
    ties = (np.arange(20_000) + 0.5) / 1e4
    values = np.nextafter(ties, ties + step) if step else ties
    assert rounded(values, 4).tolist() == [round(value, 4) for value in values.tolist()]
