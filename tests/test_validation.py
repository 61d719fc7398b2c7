from __future__ import annotations

import json

from conftest import DATA

from model import Taxonomy
from training.validation import validate

TEXT = "The court in Lyon ordered the forum to hand over the names of three members by Monday."


def findings(tmp_path, *records):
    path = tmp_path / "p.jsonl"
    lines = [
        json.dumps({"id": str(n), "lang": "en", "event": f"e{n}", "topics": [], **record})
        for n, record in enumerate(records, 1)
    ]
    path.write_text("\n".join(lines))
    found = validate([path], ("lawsuit", "fraud"))
    return [error.replace(str(path), "p") for error in found.errors]


def test_clean_passages_have_no_findings(tmp_path):
    assert findings(tmp_path, {"text": TEXT}, {"text": "Nothing like it."}) == []


def test_duplicates_are_found_whatever_their_case_and_spaces(tmp_path):
    assert findings(tmp_path, {"text": TEXT}, {"text": TEXT.upper() + " "}) == [
        "p:2: duplicate of p:1"
    ]


def test_the_same_text_with_other_topics_is_found(tmp_path):
    found = findings(tmp_path, {"text": TEXT, "topics": ["fraud"]}, {"text": TEXT})
    assert found == ["p:2: duplicate of p:1, with other topics: no topic there fraud"]


def test_near_duplicates_are_found_and_leaks_between_events_named(tmp_path):
    near = TEXT.replace("Monday", "Friday")
    assert findings(tmp_path, {"text": TEXT}, {"text": near}) == [
        "p:2: nearly the same as p:1, of another event"
    ]
    assert findings(tmp_path, {"text": TEXT, "event": "e"}, {"text": near, "event": "e"}) == [
        "p:2: nearly the same as p:1"
    ]


def test_repeated_ids_are_found(tmp_path):
    found = findings(tmp_path, {"text": TEXT, "id": "x"}, {"text": "Other.", "id": "x"})
    assert found == ['p:2: id "x" stands at p:1 too']


def test_an_event_on_both_sides_of_a_split_is_found(tmp_path):
    found = findings(
        tmp_path,
        {"text": TEXT, "event": "e", "split": "train"},
        {"text": "Other.", "event": "e", "split": "test"},
    )
    assert found == ['p:2: event "e" is in split "test", and in "train" at p:1']


def test_unreadable_passages_and_bad_topics_stand_among_the_findings(tmp_path):
    found = findings(tmp_path, {"text": ""}, {"text": TEXT, "topics": ["frauds"]})
    assert found == [
        "p:1: the text is empty",
        'p:2: unknown topic "frauds"; did you mean "fraud"?',
    ]


def test_our_own_passages_are_clean():
    assert validate([DATA], Taxonomy.default().slugs).errors == []
