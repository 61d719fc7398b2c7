from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.text import fold, stem, word_terms, words


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("Élysée", "elysee"),
        ("E\u0301lyse\u0301e", "elysee"),
        ("ﬁn", "fin"),
        ("2021", "0"),
        ("٣٤", "0"),
        ("İstanbul", "istanbul"),
        ("X", "x"),
        ("\u037ab", "b"),
        ("\ufe70", ""),
    ],
)
def test_case_accents_and_compatibility_forms_are_folded(word, folded):
    assert fold(word) == folded


def test_composed_and_decomposed_letters_give_the_same_terms():
    assert word_terms("supprimé") == word_terms("supprime\u0301") == ("~supprim", "^suppr")


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("suspended", "suspend"),
        ("suspending", "suspend"),
        ("comptes", "compt"),
        ("compte", "compt"),
        ("red", "red"),
        ("used", "used"),
    ],
)
def test_stem_drops_endings_but_keeps_four_letters(word, stemmed):
    assert stem(word) == stemmed


def test_apostrophes_and_punctuation_part_words():
    assert words("L'appli « X », c’est fini.") == ["L", "appli", "X", "c", "est", "fini"]


def test_a_run_too_long_to_be_a_word_gives_no_terms():
    assert word_terms("a" * 65) is None
    assert word_terms("a" * 64) == ("~" + "a" * 64, "^aaaaa")


@given(st.text())
def test_every_text_has_words_that_stand_in_it(text):
    place = 0
    for word in words(text):
        place = text.index(word, place) + len(word)
        word_terms(word)
