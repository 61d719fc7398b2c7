from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.articles import LONGEST_PASSAGE, article_topics, clean_html, split_passages

ARTICLE = (
    "Twitter a suspendu vendredi le compte du sénateur, accusé d'avoir publié des messages de haine.\n\n"
    "Lire aussi : Les réseaux et la haine en ligne, nouvelle suspension de compte\n"
    "  La plateforme dit avoir appliqué son règlement. L'élu parle de censure.  \n"
    "Partager sur Facebook\n"
)
HTML = """<!doctype html><html><head><title>Journal</title><script>var banned = "compte suspendu";</script></head><body>
<nav><a href="/">Accueil</a> <a href="/monde">Monde</a></nav>
<article><h1>Le sénateur banni du réseau</h1>
<p>Twitter a <b>suspendu</b> vendredi le compte du sénateur, accusé d'avoir publié pendant des mois des messages de haine contre une
consœur de son groupe.</p>
<p>La plateforme dit avoir appliqué son règlement, après une dizaine de signalements venus d'associations et d'un avertissement resté
sans effet. L'élu parle de censure et promet de saisir la justice dès lundi.</p>
<p>Lire aussi : Les réseaux et la haine</p></article>
<footer>© 2024 Le Journal. Tous droits réservés.</footer></body></html>"""


def post(client, **body):
    return client.post("/v1/articles", data=json.dumps(body), content_type="application/json")


def test_offsets_point_into_the_text_that_is_returned(client):
    answer = post(client, text=ARTICLE).get_json()
    assert answer["text"] == ARTICLE
    texts = [answer["text"][p["start"] : p["end"]] for p in answer["passages"]]
    assert texts[2] == ("La plateforme dit avoir appliqué son règlement. L'élu parle de censure.")
    assert [p["furniture"] for p in answer["passages"]] == [False, True, False, True]


def test_furniture_has_no_topics_and_gives_the_article_none(client, classifier):
    headlines = [
        "Twitter suspend le compte d'un élu",
        "Plainte contre le réseau pour harcèlement",
        "Facebook supprime mille comptes",
    ]
    links = [f"Lire aussi : {headline}" for headline in headlines]
    by_itself = classifier.predict(links, "recall")
    assert any(prediction.topics for prediction in by_itself)
    answer = post(client, text="\n".join(links), explain=True, operating_point="recall").get_json()
    assert answer["topics"] == []
    for passage, prediction in zip(answer["passages"], by_itself, strict=True):
        assert passage["furniture"]
        assert passage["topics"] == []
        assert passage["explanation"] == {}
        assert not passage["needs_review"]
        assert passage["scores"]["deplatforming"] == pytest.approx(
            prediction.scores["deplatforming"], abs=1e-6
        )


def test_passages_are_classified_as_by_themselves(client):
    answer = post(client, text=ARTICLE).get_json()
    first = answer["passages"][0]
    alone = client.post(
        "/v1/classify",
        data=json.dumps({"text": ARTICLE[first["start"] : first["end"]]}),
        content_type="application/json",
    ).get_json()
    assert alone["model"] == answer["model"]
    assert {k: first[k] for k in alone["results"][0]} == alone["results"][0]


def test_a_title_is_a_passage_of_its_own(client, classifier):
    heading = "Twitter suspend le compte d'un élu et retire ses messages de haine"
    expected = classifier.predict([heading], "recall")[0].topics
    assert expected
    answer = post(client, text="?!", title=heading, operating_point="recall").get_json()
    assert [t["topic"] for t in answer["topics"]] == list(expected)
    answer = post(client, text="Rien à voir.", title=heading).get_json()
    title, body = answer["passages"]
    assert title["title"]
    assert (title["start"], title["end"]) == (None, None)
    assert not body["title"]


def test_an_articles_topic_is_as_probable_as_in_its_best_passage():
    results = [
        {"topics": ["a"], "scores": {"a": 0.6, "b": 0.4}},
        {"topics": ["b", "a"], "scores": {"a": 0.7, "b": 0.9}},
        {"topics": [], "scores": {"a": 0.99, "b": 0.1}},
    ]
    assert article_topics(results) == [
        {"topic": "b", "score": 0.9, "passages": 1},
        {"topic": "a", "score": 0.7, "passages": 2},
    ]


def test_html_is_cleaned_of_markup_scripts_and_navigation(client):
    answer = post(client, html=HTML).get_json()
    text = answer["text"]
    assert "Twitter a suspendu vendredi" in text
    assert not any(word in text for word in ("<", "var banned", "Accueil"))
    assert all(
        text[p["start"] : p["end"]].strip() == text[p["start"] : p["end"]]
        for p in answer["passages"]
    )
    assert len(answer["passages"]) >= 2


def test_html_too_short_for_an_article_keeps_its_text():
    assert clean_html("<p>Twitter <b>suspend</b> le compte.</p><p>Fin</p>") == (
        "Twitter suspend le compte.\nFin"
    )


@pytest.mark.parametrize("html", ["", " ", "<", "<!-- a -->", "<p></p>", "\x00", "<a" * 3000])
def test_html_without_text_has_no_passages(client, html):
    answer = post(client, html=html)
    assert answer.status_code == 200
    assert answer.get_json()["topics"] == []


def test_deep_html_is_answered(client):
    assert post(client, html="<div>" * 20_000 + "banni").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({}, 422, "body"),
        ({"text": "a", "html": "b"}, 422, "body"),
        ({"text": 3}, 422, "text"),
        ({"text": "a", "title": []}, 422, "title"),
        ({"text": "a", "language": "fr"}, 422, "language"),
        ({"text": "a", "topics": ["lawsuits"]}, 422, "topics"),
        ({"text": "x" * 1_000_001}, 413, "text"),
        ({"html": "x" * 1_000_001}, 413, "html"),
        ({"text": "ab\n" * 1001}, 413, "passages"),
        ({"text": "a", "title": "x" * 100_001}, 413, "title"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_its_place(client, body, status, where):
    answer = post(client, **body)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.get_json(force=True)["where"] == where


def test_long_paragraphs_are_split_between_sentences():
    text = "Le réseau a fermé dix comptes hier. " * 100
    stretches = split_passages(text)
    assert len(stretches) == 4
    assert all(len(s.text.split()) <= LONGEST_PASSAGE for s in stretches)
    assert all(s.text.endswith("hier.") for s in stretches)


@given(st.text(st.sampled_from('ab É.!\n\r\t «»"0'), max_size=3000))
def test_passages_stand_in_order_and_lose_no_word(text):
    stretches = split_passages(text * 3)
    assert all((text * 3)[s.start : s.end] == s.text for s in stretches)
    assert all(a.end <= b.start for a, b in pairwise(stretches))
    lines = [
        line.split()
        for line in (text * 3).split("\n")
        if sum(character.isalpha() for character in line) >= 2
    ]
    assert [w for s in stretches for w in s.text.split()] == [w for line in lines for w in line]
