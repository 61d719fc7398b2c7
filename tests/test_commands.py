from __future__ import annotations

import json

import pytest

from service.__main__ import main
from service.ages import AgeError, parse_age
from service.database import Database
from service.feedback import FeedbackStore, Predicted
from service.keys import Keys

PREDICTED = Predicted("v1", "en", ("fraud",), {"fraud": 0.75}, (), 0.1)


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.db"
    store = FeedbackStore(Database(url))
    for number in range(3):
        store.add(f"text {number}", ["fraud"], PREDICTED, given_by="anna")
    store.database.close()
    return url


def test_a_key_is_made_shown_once_and_revoked(tmp_path, capsys, monkeypatch):
    path = tmp_path / "keys.json"
    monkeypatch.setenv("VIGIE_KEYS_FILE", str(path))
    assert main(["keys", "create", "newsroom", "--scope", "classify", "--scope", "feedback"]) == 0
    made = capsys.readouterr()
    key = made.out.strip()
    assert key not in made.err
    assert Keys(path).find(key).scopes == ("classify", "feedback")
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("newsroom  classify,feedback  created 20")
    assert key not in listed
    assert main(["keys", "revoke", "newsroom"]) == 0
    assert Keys(path).find(key) is None
    assert main(["keys", "revoke", "newsroom"]) == 1
    assert 'unknown key "newsroom"' in capsys.readouterr().err


def test_commands_say_what_they_lack(capsys):
    assert main(["keys", "list"]) == 1
    assert "give --file FILE, or set VIGIE_KEYS_FILE" in capsys.readouterr().err
    assert main(["feedback", "list"]) == 1
    assert "give --database URL, or set VIGIE_DATABASE_URL" in capsys.readouterr().err
    for bad in (["keys", "create", "x"], ["keys", "create", "x", "--scope", "root"], ["feedback"]):
        with pytest.raises(SystemExit) as stopped:
            main(bad)
        assert stopped.value.code == 2


def test_feedback_is_listed_reviewed_exported_and_deleted(url, capsys):
    def run(*arguments: str) -> list[dict]:
        assert main(["feedback", "--database", url, *arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [kept["id"] for kept in run("list")] == [1, 2, 3]
    assert run("export") == []
    assert run("review", "1", "3") == []
    assert [kept["id"] for kept in run("list", "--unreviewed")] == [2]
    assert [passage["text"] for passage in run("export")] == ["text 2", "text 0"]
    assert len(run("export", "--all")) == 3
    assert run("review", "--undo", "3") == []
    assert len(run("export")) == 1
    assert run("delete", "1") == []
    assert run("delete", "--older-than", "90d") == []
    assert [kept["id"] for kept in run("list")] == [2, 3]
    assert run("delete", "--older-than", "0h") == []
    assert run("list") == []
    assert run("waiting") == []


def test_what_is_not_there_is_said(url, capsys):
    assert main(["feedback", "--database", url, "delete", "9"]) == 1
    assert capsys.readouterr().err == "error: no feedback 9\n"
    assert main(["feedback", "--database", url, "review", "1", "9"]) == 1
    assert capsys.readouterr().err == "error: no feedback 9\n"
    assert main(["feedback", "--database", url, "delete", "--older-than", "soon"]) == 1
    assert 'expected an age as 90d, 12h or 2w, got "soon"' in capsys.readouterr().err


def test_tables_are_made_by_a_command(tmp_path, capsys):
    path = tmp_path / "new" / "feedback.db"
    for _ in range(2):
        assert main(["database", "--database", f"sqlite:///{path}", "upgrade"]) == 0
    assert path.exists()


@pytest.mark.parametrize(("written", "hours"), [("90d", 2160), ("12h", 12), (" 2W ", 336)])
def test_ages_are_read(written, hours):
    assert parse_age(written).total_seconds() == hours * 3600


@pytest.mark.parametrize("written", ["", "d", "1.5d", "-1d", "1y", "999999w", "٣d" * 100])
def test_other_ages_are_refused(written):
    with pytest.raises(AgeError, match="expected an age"):
        parse_age(written)
