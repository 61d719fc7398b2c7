from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.lexicon import Lexicon
from model.text import WORD
from training.pipeline import CONCEPTS, WORDS, Parameters, count_terms, fit_features, weigh
from training.translation import FOLDER, Dictionary, translations

PARAMETERS = Parameters.load()
LEXICON = Lexicon.default()
TEXTS = [
    "The senator was banned; the bans were lifted.",
    "Le compte du sénateur a été suspendu.",
    "Das Konto wurde gesperrt.",
]


def test_every_line_of_the_dictionaries_is_a_word_and_what_stands_for_it():
    paths = sorted(FOLDER.glob("*.tsv"))
    assert [path.name for path in paths] == ["en-fr.tsv", "fr-en.tsv"]
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        entries = [line.split("\t") for line in lines]
        assert all(len(entry) == 2 and all(entry) for entry in entries)
        assert all(WORD.fullmatch(word) for word, _ in entries)
        assert all(e.strip() == e != "" for _, listed in entries for e in listed.split("/"))
        assert len(lines) == len({word for word, _ in entries})


def test_words_are_found_by_their_stem_and_the_commonest_equivalent_is_used():
    dictionary = Dictionary([("posts", ["messages", "billets"]), ("account", ["compte"])])
    assert (
        dictionary.translate("Post, posts: Accounts of Zork") == "messages messages compte of Zork"
    )
    assert dictionary.translate("?!") == ""


def test_a_word_that_only_the_other_dictionary_has_is_read_backwards_unless_it_is_a_name():
    backwards = [("youtubeur", ["youtube", "you tube"]), ("vidéaste", ["youtube"])]
    dictionary = Dictionary([("on", ["sur"])], backwards)
    assert dictionary.translate("a youtube video on YouTube") == "a youtubeur video sur YouTube"


def test_texts_of_other_languages_are_not_translated():
    found = translations(TEXTS, ["en", "fr", "de"])
    assert "sénateur" in found[0]
    assert "senator" in found[1]
    assert found[2] is None


@pytest.fixture(scope="module")
def counts(passages):
    texts = [p.text for p in passages]
    translated = [
        t if i % 3 else None for i, t in enumerate(translations(texts, [p.lang for p in passages]))
    ]
    return texts, count_terms(PARAMETERS, LEXICON, texts, translated)


def test_pairs_of_words_come_from_passages_and_words_from_translations_too(passages, counts):
    texts, blocks = counts
    alone = count_terms(PARAMETERS, LEXICON, texts)
    brought = set(blocks[WORDS].terms) - set(alone[WORDS].terms)
    assert brought
    assert not any(" " in term for term in brought)
    assert set(alone[WORDS].terms) < set(blocks[WORDS].terms)
    assert not alone[WORDS].translated.nnz


def test_features_are_those_that_the_blocks_give(counts):
    texts, blocks = counts
    inside, outside = np.arange(0, len(texts), 2), np.arange(1, len(texts), 2)
    learnt = {name: block.of(inside) for name, block in blocks.items()}
    features, rows, again = fit_features(PARAMETERS, learnt, LEXICON)
    assert len(again) == sum(i % 3 != 0 for i in inside)
    assert rows.shape[0] == len(inside) + len(again)
    expected = features.transform([texts[i] for i in inside])
    assert abs(rows[: len(inside)] - expected).max() < 1e-6
    others = weigh(features, {name: block.of(outside) for name, block in blocks.items()})
    assert abs(others - features.transform([texts[i] for i in outside])).max() < 1e-6


def test_a_weight_of_0_leaves_translations_out(counts, passages):
    texts, _ = counts
    off = replace(PARAMETERS, translated_weight=0.0)
    found = count_terms(off, LEXICON, texts, translations(texts, [p.lang for p in passages]))
    assert not any(found[name].translated.nnz for name in (WORDS, CONCEPTS))
