from __future__ import annotations

import threading

import pytest

from model.language import LanguageVotes
from model.lexicon import Lexicon
from model.text import LONGEST_WORD
from model.vocabulary import NO_WORD, Vocabulary

NOTHING = 9


@pytest.fixture
def vocabulary() -> Vocabulary:
    terms = ["~bann", "^banne", "~compt"]
    return Vocabulary(terms, Lexicon({"ban": ["bann*"]}), LanguageVotes.default(), NOTHING)


def test_a_stretch_has_the_numbers_of_its_words(vocabulary):
    met = vocabulary.met()
    (banned,), (account,) = met["banned"], met["compte"]
    assert met["«banned,compte»"] == (banned, account)
    assert met["…"] == ()
    assert met["banned"] == (banned,)
    assert NO_WORD not in (banned, account)


def test_the_arrays_hold_what_is_known_of_a_word(vocabulary):
    met = vocabulary.met()
    (known,), (unknown,) = met["Comptes"], met["zyx"]
    assert met.arrays.stems[[NO_WORD, known, unknown]].tolist() == [NOTHING, 2, NOTHING]
    (banned,) = met["bannie"]
    assert met.arrays.prefixes[banned] == NOTHING
    assert met.arrays.concepts[[known, banned], 0].tolist() == [1, 0]


def test_what_is_known_survives_that_room_is_made(vocabulary):
    met = vocabulary.met()
    (first,) = met["compte"]
    taken = met.arrays
    for n in range(20_000):
        met[f"w{n}"]
    (last,) = met["banned"]
    assert met.arrays is not taken
    assert met.arrays.stems[[first, last]].tolist() == [2, 0]
    assert last == 20_002


def test_a_very_long_stretch_is_read_and_not_remembered(vocabulary):
    met = vocabulary.met()
    stretch = ",".join(["compte"] * LONGEST_WORD)
    assert len(set(met[stretch])) == 1
    assert stretch not in met
    assert met["x" * (LONGEST_WORD + 1)] == (NO_WORD,)
    assert len(met) == 1


def test_threads_give_a_word_one_number(vocabulary):
    met = vocabulary.met()
    found: list[list[tuple[int, ...]]] = []
    threads = [
        threading.Thread(target=lambda: found.append([met[f"w{n}"] for n in range(5000)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(numbers == found[0] for numbers in found)
    assert len(set(found[0])) == 5000
