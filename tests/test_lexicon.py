from __future__ import annotations

import json

import pytest

from model.errors import ArtifactError
from model.lexicon import MOST_CONCEPTS, Lexicon


def names(lexicon: Lexicon, word: str) -> set[str]:
    return {lexicon.concepts[number] for number in lexicon.concepts_of(word)}


def test_words_of_both_languages_share_a_concept():
    lexicon = Lexicon({"ban": ["banned", "exclu*"], "court": ["tribunal"]})
    assert names(lexicon, "Banned") == names(lexicon, "exclue") == {"ban"}
    assert names(lexicon, "tribunal") == {"court"}
    assert names(lexicon, "tribunals") == set()


def test_a_word_can_belong_to_several_concepts():
    lexicon = Lexicon({"a": ["post*"], "b": ["posted"]})
    assert names(lexicon, "posted") == {"a", "b"}


def test_a_word_has_a_bounded_number_of_concepts():
    lexicon = Lexicon({f"c{i}": ["word"] for i in range(20)})
    assert lexicon.concepts_of("word") == tuple(range(MOST_CONCEPTS))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected an object"),
        ('{"a": []}', 'concept "a" has no list of forms'),
        ('{"a": ["Été"]}', '"Été" is not folded'),
        ('{"a": ["two words"]}', '"two words" is not a word'),
        ('{"a": ["x*"]}', '"x*" is too short a beginning'),
        ("{", "not a lexicon"),
    ],
)
def test_a_bad_lexicon_is_refused_with_its_place(tmp_path, content, message):
    path = tmp_path / "lexicon.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=str(path)) as error:
        Lexicon.load(path)
    assert message in str(error.value)


def test_our_own_lexicon_is_well_formed_and_survives_writing(tmp_path):
    lexicon = Lexicon.default()
    assert names(lexicon, "Twitter") == names(lexicon, "Facebook")
    path = tmp_path / "lexicon.json"
    path.write_text(json.dumps(lexicon.forms))
    assert Lexicon.load(path).forms == lexicon.forms
