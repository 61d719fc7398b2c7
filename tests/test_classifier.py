from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import Classifier, UnknownNameError, vocabulary

TOLERANCE = 1e-6
"""Tables hold weights to 24 binary places."""

ODD_TEXTS = [
    "",
    " ",
    "a",
    "\ud800",
    "x \udfff Facebook \ud800y",
    "E\u0301le\u0301ments 😀 SUPPRIMÉS par Twitter, İstanbul ﬁn ½",
    "mot " * 5000,
    "\x00\x00",
    "网络 审查 Telegram блокировка",
    "a" * 200_000,
]
unicode_texts = st.text(st.characters(), max_size=80)
news_words = st.sampled_from(
    [
        "Twitter",
        "banned",
        "le",
        "compte",
        "supprimé",
        "court",
        "X",
        "ruled",
        "é",
        "é",
        "12",
        "3",
        "😀",
        "haine,",
        "hate-speech",
        "l'appli",
        "'",
        "Ⅷ",
    ]
)
texts = st.one_of(unicode_texts, st.lists(news_words, max_size=30).map(" ".join))
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_scores_equal_the_pipelines_on_all_passages(classifier, pipeline, passages):
    listed = [p.text for p in passages] + ODD_TEXTS
    difference = np.abs(classifier.predict_proba(listed) - pipeline.predict_proba(listed))
    assert difference.max() < TOLERANCE


@relaxed
@given(st.lists(texts, max_size=4))
def test_scores_equal_the_pipelines_on_any_text(classifier, pipeline, listed):
    ours = classifier.predict_proba(listed)
    assert ours.shape == (len(listed), len(classifier.topics))
    if listed:
        assert np.abs(ours - pipeline.predict_proba(listed)).max() < TOLERANCE


@relaxed
@given(st.lists(texts, min_size=1, max_size=5))
def test_the_answer_for_a_text_does_not_depend_on_its_batch(classifier, listed):
    together = classifier.predict_proba(listed)
    alone = np.concatenate([classifier.predict_proba([text]) for text in listed])
    assert np.array_equal(together, alone)


def test_long_batches_are_scored_in_runs_with_the_same_answers(classifier, passages):
    listed = [p.text for p in passages] * 3
    assert sum(map(len, listed)) > 200_000
    scores = classifier.predict_proba(listed)
    assert np.array_equal(scores[-1], classifier.predict_proba(listed[-1:])[0])
    predictions = classifier.predict(listed)
    assert [tuple(p.scores.values()) for p in predictions] == [tuple(row) for row in scores]


def test_a_caption_or_a_button_gets_no_topic(classifier):
    for text in ("Commentaires", "Twitter bans", "Compte Twitter suspendu"):
        (alone,) = classifier.predict([text], "recall")
        among = classifier.predict([text, text], "recall")
        assert alone.topics == among[0].topics == ()
        assert "too_short" in alone.reasons


def test_a_bare_string_is_an_error(classifier):
    with pytest.raises(TypeError, match="sequence of str"):
        classifier.predict_proba("text")


def test_no_texts_give_no_rows(classifier):
    assert classifier.predict_proba([]).shape == (0, len(classifier.topics))
    assert classifier.predict([]) == []


def test_a_text_without_words_scores_the_bias_and_is_sent_to_review(classifier):
    prediction = classifier.predict([""])[0]
    assert prediction.topics == ()
    bias = np.array(classifier.manifest["bias"])
    assert np.allclose(list(prediction.scores.values()), 1 / (1 + np.exp(-bias)))
    assert prediction.vocabulary_coverage == 0.0
    assert "too_short" in prediction.reasons


def test_topics_of_texts_in_scope_reach_their_threshold_most_probable_first(classifier, passages):
    for point in ("balanced", "precision", "recall"):
        thresholds = dict(zip(classifier.topics, classifier.thresholds(point), strict=True))
        scope_threshold = classifier.manifest["scope"]["thresholds"][point]
        for prediction in classifier.predict([p.text for p in passages[:100]], point):
            reached = [t for t, score in prediction.scores.items() if score >= thresholds[t]]
            expected = reached if prediction.scope >= scope_threshold else []
            if "too_short" in prediction.reasons:
                continue
            assert sorted(prediction.topics) == sorted(expected)
            scores = [prediction.scores[topic] for topic in prediction.topics]
            assert scores == sorted(scores, reverse=True)


def test_scope_equals_the_pipelines(classifier, pipeline, passages):
    listed = [p.text for p in passages[:100]]
    features = pipeline.named_steps["features"].transform(listed)
    expected = pipeline.scope_.predict_proba(features)[:, 1]
    assert np.abs(classifier.scope_proba(listed) - expected).max() < TOLERANCE
    assert [p.scope for p in classifier.predict(listed)] == list(classifier.scope_proba(listed))


def test_decisions_as_an_array_are_those_of_the_predictions(classifier, passages):
    listed = [p.text for p in passages[:50]]
    given = classifier.decide(listed, "recall")
    for row, prediction in zip(given, classifier.predict(listed, "recall"), strict=True):
        assert {classifier.topics[t] for t in np.flatnonzero(row)} == set(prediction.topics)


def test_an_unknown_operating_point_or_topic_is_named(classifier):
    with pytest.raises(UnknownNameError, match='unknown operating point "precise"; did you mean'):
        classifier.predict(["x"], "precise")
    with pytest.raises(UnknownNameError, match='"lawsuits"; did you mean "lawsuit"'):
        classifier.explain("x", "lawsuits")


@relaxed
@given(texts)
def test_explanations_sum_to_the_log_odds_and_point_into_the_text(classifier, text):
    log_odds = classifier.log_odds([text])[0]
    for t, explanation in enumerate(classifier.explain_topics(text, classifier.topics)):
        total = explanation.bias + sum(part.contribution for part in explanation)
        assert total == pytest.approx(log_odds[t], abs=1e-6)
        assert explanation.log_odds == log_odds[t]
        for part in explanation:
            assert text[part.start : part.end] == part.text != ""


def test_an_explanation_names_the_words_strongest_first(classifier):
    text = "😀 Le réseau social a SUSPENDU le compte de l'élu."
    explanation = classifier.explain(text, "deplatforming")
    strengths = [abs(part.contribution) for part in explanation]
    assert strengths == sorted(strengths, reverse=True)
    assert "SUSPENDU" in {part.text for part in explanation if part.contribution > 0}
    assert len(explanation) == len(explanation.contributions)
    assert explanation[0] == explanation.contributions[0]


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("El tribunal ha ordenado a la red social que cierre la cuenta del senador", "es", True),
        ("Суд обязал социальную сеть удалить сообщения", "und", True),
        ("The court has ordered the social network to close the account", "en", False),
        ("Le tribunal a ordonné au réseau social de fermer le compte du sénateur", "fr", False),
    ],
)
def test_other_languages_are_sent_to_review(classifier, text, language, reason):
    prediction = classifier.predict([text])[0]
    assert prediction.language == language
    assert ("other_language" in prediction.reasons) is reason
    assert prediction.needs_review is bool(prediction.reasons)


def test_unknown_words_lower_the_coverage(classifier, passages):
    known, unknown = classifier.predict(
        [passages[0].text, "Zorblax quixnorp vantrubble glimwok frobnicate"]
    )
    assert known.vocabulary_coverage > 0.8
    assert unknown.vocabulary_coverage < 0.5
    assert "low_vocabulary_coverage" in unknown.reasons


def test_near_threshold_passages_are_sent_to_review(classifier, passages):
    thresholds = classifier.thresholds()
    odds = np.log(thresholds / (1 - thresholds))
    listed = [p.text for p in passages[:200]]
    near = np.abs(classifier.log_odds(listed) - odds).min(axis=1)
    limit = classifier.manifest["review"]["near_threshold"]
    for prediction, distance in zip(classifier.predict(listed), near, strict=True):
        assert ("near_threshold" in prediction.reasons) is bool(distance < limit)


def test_the_memory_of_words_is_bounded(version, monkeypatch):
    monkeypatch.setattr(vocabulary, "MOST_STRETCHES", 20_000)
    classifier = Classifier.load(version)
    for start in range(0, 60_000, 4_000):
        classifier.predict_proba([" ".join(f"w{n}" for n in range(start, start + 4_000))])
        assert len(classifier._vocabulary.met()) <= 24_000


@pytest.mark.parametrize("text", ["x" * 1_000_000, "mot " * 250_000, "été" * 333_333])
def test_a_million_characters_answer_within_a_second(classifier, text):
    started = time.perf_counter()
    classifier.predict_proba([text])
    assert time.perf_counter() - started < 1.0


def test_threads_share_a_classifier(version, passages):
    classifier = Classifier.load(version)
    listed = [p.text for p in passages]
    expected = Classifier.load(version).predict_proba(listed)
    wrong = []

    def score(step: int) -> None:
        for start in range(0, len(listed), step):
            part = classifier.predict_proba(listed[start : start + step])
            if not np.array_equal(part, expected[start : start + step]):
                wrong.append(start)

    threads = [threading.Thread(target=score, args=(step,)) for step in (1, 1, 7, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
