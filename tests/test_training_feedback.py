from __future__ import annotations

import json
from pathlib import Path

import pytest

from model import PassageError, Registry
from service.database import Database
from service.feedback import FeedbackStore, Predicted, Wanted
from training.feedback import Feedback, join
from training.passages import Passage
from training.retrain import retrain

TOPICS = ("fraud", "boycott", "migration")
PREDICTED = Predicted("v1", "en", (), {}, (), 0.1)


@pytest.fixture
def store(tmp_path):
    store = FeedbackStore(Database(f"sqlite:///{tmp_path}/feedback.db"))
    yield store
    store.database.close()


def url(store: FeedbackStore) -> str:
    return str(store.database.url)


def exported(store: FeedbackStore, path: Path) -> str:
    path.write_text("".join(json.dumps(p) + "\n" for p in store.export(None)))
    return str(path)


def test_reviewed_feedback_is_read_from_the_database_and_from_an_export(store, tmp_path):
    for text, topics in [("one", ["fraud"]), ("two", ["boycott"]), ("ONE ", ["migration"])]:
        store.add(text, topics, PREDICTED)
    store.add("one", [], PREDICTED)  # Newest, but nobody has reviewed it.
    for kept in store.listed(Wanted(), 0, 3):
        store.mark(kept["id"], True, None)
    found = Feedback(url(store)).read(TOPICS)
    assert {(p.text, p.topics, p.lang) for p in found} == {
        ("two", ("boycott",), "en"),
        ("ONE ", ("migration",), "en"),
    }
    path = tmp_path / "export.jsonl"
    path.write_text("".join(json.dumps(p) + "\n" for p in store.export(True)))
    from_file = Feedback(str(path)).read(TOPICS)
    assert {(p.id, p.event, p.text, p.topics) for p in from_file} == {
        (p.id, p.event, p.text, p.topics) for p in found
    }


def test_what_nobody_reviewed_is_not_learnt_from(store, tmp_path):
    store.add("one", ["fraud"], PREDICTED)
    assert Feedback(url(store)).read(TOPICS) == []
    assert Feedback(exported(store, tmp_path / "all.jsonl")).read(TOPICS) == []
    (tmp_path / "empty.jsonl").touch()
    assert Feedback(str(tmp_path / "empty.jsonl")).read(TOPICS) == []


def test_of_the_same_text_the_newest_label_wins():
    def passage(text: str, topic: str, event: str = "e", **extra: object) -> Passage:
        return Passage(text, text, (topic,), event, "fr", "", extra)

    data = [passage("Same text", "fraud"), passage("other", "fraud")]
    labelled = [passage("same  TEXT", "boycott", "own"), passage("new", "migration", "own-2")]
    joined = join(data, labelled)
    assert [(p.text, p.topics, p.event) for p in joined] == [
        ("Same text", ("boycott",), "e"),
        ("other", ("fraud",), "e"),
        ("new", ("migration",), "own-2"),
    ]
    assert join(data, []) == data


def test_two_exports_in_one_file_are_ordered_by_their_numbers(tmp_path):
    lines = [
        {"text": "x", "topics": ["boycott"], "feedback": 7},
        {"text": "x", "topics": ["fraud"], "feedback": 3},
    ]
    path = tmp_path / "two.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [p.topics for p in Feedback(str(path)).read(TOPICS)] == [("boycott",)]


def test_a_topic_that_is_no_longer_there_is_left_out_with_a_warning(store, capsys):
    for text, topics in [("one", ["gone"]), ("two", ["fraud"])]:
        store.mark(store.add(text, topics, PREDICTED)["id"], True, None)
    assert [p.text for p in Feedback(url(store)).read(TOPICS)] == ["two"]
    assert capsys.readouterr().err == (
        "warning: feedback 1: left out, the taxonomy does not have gone\n"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sqlite:////nowhere/feedback.db", "no such file"),
        ("postgresql://u:secret@127.0.0.1:1/d", "cannot be read"),
        ("mysql://u:secret@h/d", "expected sqlite, postgresql or a file, got mysql"),
        ("nowhere.jsonl", "no such file or folder"),
    ],
)
def test_a_source_that_cannot_be_read_is_named_without_its_password(source, message):
    with pytest.raises(PassageError, match=message) as error:
        Feedback(source).read(TOPICS)
    assert "secret" not in str(error.value)


def test_retraining_learns_from_feedback(passages, registry: Registry, store, tmp_path, capsys):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(p.to_json()) + "\n" for p in passages))
    texts = [f"Blorptastic grumbles about zibzab reached the platform {i} times." for i in range(8)]
    for text in texts:
        store.mark(store.add(text, ["fraud"], PREDICTED)["id"], True, None)
    store.mark(store.add(passages[0].text, ["boycott"], PREDICTED)["id"], True, None)
    outcome = retrain([data], registry.root, jobs=1, feedback=Feedback(url(store)))
    assert outcome.feedback == outcome.to_json()["feedback"] == 9
    from model.artifact import read_manifest

    manifest = read_manifest(registry.folder(outcome.challenger))
    assert manifest["training"]["passages"] == len(passages) + 8
    assert outcome.challenger != registry.versions()[0]


def test_the_environment_can_name_the_database(store):
    """A password in an argument could be read by everybody on the machine."""
    kept = store.add("one", ["fraud"], PREDICTED)
    store.mark(kept["id"], True, None)
    environment = {"VIGIE_DATABASE_URL": url(store)}
    assert [p.text for p in Feedback.of("env", environment).read(TOPICS)] == ["one"]
    with pytest.raises(PassageError, match="VIGIE_DATABASE_URL is not set"):
        Feedback.of("env", {})
    assert Feedback.of("some.jsonl", {}).source == "some.jsonl"
