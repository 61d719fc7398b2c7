"""The store in SQLite: what it has acknowledged stays, whatever happens."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from service.database import Database, DatabaseError
from service.feedback import FeedbackStore, Predicted, Wanted, text_digest
from service.review import ReviewSampler
from service.settings import Settings

PREDICTED = Predicted("v1", "en", ("fraud",), {"fraud": 0.75}, ("near_threshold",), 0.1)
KILLS = 100
FILLER = "A long text about the rules of a platform. " * 20


def uncertain(margin: float) -> Predicted:
    return Predicted("v1", "en", (), {"fraud": 0.5}, ("near_threshold",), margin)


@pytest.fixture
def store(tmp_path):
    store = FeedbackStore(Database(f"sqlite:///{tmp_path}/feedback.db"))
    yield store
    store.database.close()


def numbers(path: Path) -> set[int]:
    """The number at the start of each text that a fresh connection finds; the file is sound."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {int(text.split()[0]) for (text,) in connection.execute("SELECT text FROM feedback")}


def test_a_commit_reaches_the_disk_before_it_is_acknowledged(store, tmp_path):
    store.add("a text", ["fraud"], PREDICTED)
    with store.database.read() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "secure_delete")
        }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 2000,
        "secure_delete": 1,
    }


def test_a_deleted_text_is_in_no_file(store, tmp_path):
    kept = store.add("zarquon " * 50, ["fraud"], PREDICTED, comment="fenchurch")
    store.enqueue([("slartibartfast", uncertain(0.1))], 10, timedelta(days=1))
    assert any(b"zarquon" in path.read_bytes() for path in tmp_path.iterdir())
    assert store.delete(kept["id"])
    assert store.delete_older(timedelta(0)) == 1
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for word in (b"zarquon", b"fenchurch", b"slartibartfast"):
        assert word not in content


def test_deleting_by_age_leaves_what_is_younger(store):
    store.add("a text", ["fraud"], PREDICTED)
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE feedback SET given_at = '2020-01-01 00:00:00.000000'")
    store.add("another text", ["fraud"], PREDICTED)
    assert store.delete_older(timedelta(days=90)) == 1
    assert [kept["text"] for kept in store.listed(Wanted(), 0, 10)] == ["another text"]


def test_feedback_is_chosen_by_kind_and_review(store):
    for topics in (["fraud"], ["boycott"], []):
        store.add("a text", topics, PREDICTED)
    store.mark(2, True, "anna")

    def found(wanted: Wanted) -> list[int]:
        return [kept["id"] for kept in store.listed(wanted, 0, 10)]

    assert found(Wanted(kind="confirmation")) == [1]
    assert found(Wanted(kind="correction")) == [2, 3]
    assert found(Wanted(reviewed=True)) == [2]
    assert found(Wanted(reviewed=False, kind="correction")) == [3]


def test_an_export_of_many_pages_holds_every_text_once(store):
    for number in range(1203):
        store.add(f"{number % 1100} text", ["fraud"], PREDICTED)
    exported = list(store.export(None))
    assert len(exported) == 1100
    assert len({passage["event"] for passage in exported}) == 1100
    assert {passage["feedback"] for passage in exported} == set(range(104, 1204))


def test_the_review_queue_keeps_the_least_certain(store):
    batch = [(f"text {i}", uncertain(i / 10)) for i in (5, 1, 4, 2, 3)]
    store.enqueue(batch, most=3, longest=timedelta(days=1))
    assert [w["text"] for w in store.waiting(10)] == ["text 1", "text 2", "text 3"]
    store.enqueue([("text 0", uncertain(0.05))], most=3, longest=timedelta(days=1))
    assert [w["text"] for w in store.waiting(10)] == ["text 0", "text 1", "text 2"]
    assert [w["text"] for w in store.waiting(1)] == ["text 0"]


def test_a_text_waits_once_with_its_newest_prediction(store):
    store.enqueue([("A text", uncertain(0.3))], 10, timedelta(days=1))
    store.enqueue([("a  TEXT ", uncertain(0.2))], 10, timedelta(days=1))
    (waiting,) = store.waiting(10)
    assert (waiting["text"], waiting["margin"]) == ("A text", 0.2)


def test_a_text_with_feedback_does_not_wait(store):
    store.add("A text", ["fraud"], PREDICTED)
    store.enqueue([("a text", uncertain(0.3))], 10, timedelta(days=1))
    assert store.waiting(10) == []


def test_a_passage_does_not_wait_for_ever(store):
    store.enqueue([("old", uncertain(0.1))], 10, timedelta(days=14))
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE review_queue SET seen_at = '2020-01-01 00:00:00.000000'")
    store.enqueue([("new", uncertain(0.3))], 10, timedelta(days=14))
    assert [w["text"] for w in store.waiting(10)] == ["new"]


def test_a_share_of_the_uncertain_passages_is_taken_and_no_more_than_fit(store, classifier):
    sampler = ReviewSampler(store, Settings(review_percent=50))
    random.seed(7)
    near = {"needs_review": True, "reasons": ("near_threshold",)}
    for other in (
        {"needs_review": False, "reasons": ()},
        {"needs_review": True, "reasons": ("too_short",)},
        {"needs_review": True, "reasons": ("other_language",)},
    ):
        sampler.offer(classifier, [f"text {i}" for i in range(20)], [other] * 20)
    sampler.offer(classifier, ["x" * 5001] * 20, [near] * 20)
    assert sampler.write() == 0
    sampler.offer(classifier, [f"text {i}" for i in range(40)], [near] * 40)
    taken = sampler.write()
    assert 10 <= taken <= 30
    assert len(store.waiting(100)) == taken
    for _ in range(10):
        sampler.offer(classifier, [f"text {i}" for i in range(100)], [near] * 100)
    assert sampler.write() == 64


def test_a_digest_is_the_same_whatever_the_spaces_and_the_case():
    assert text_digest("A  text\n") == text_digest("a TEXT")
    assert text_digest("a text") != text_digest("a text.")
    assert len(text_digest("\ud800")) == 64


def test_a_writer_that_holds_the_database_costs_a_short_wait(store, tmp_path):
    store.add("1 text", ["fraud"], PREDICTED)
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(DatabaseError, match="database is locked"):
            store.add("2 text", ["fraud"], PREDICTED)
        assert time.monotonic() - started < 4
        with pytest.raises(DatabaseError, match="asked again soon"):
            store.add("3 text", ["fraud"], PREDICTED)
        assert time.monotonic() - started < 4
    assert numbers(tmp_path / "feedback.db") == {1}


WRITERS = """
import os, random, signal, sys, time
import alembic.command
from service.database import Database
from service.feedback import FeedbackStore, Predicted

url, acknowledged, kills, filler = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
generator = random.Random(3)
handle = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def write(first):
    store = FeedbackStore(Database(url))
    for number in range(first, first + 10_000):
        store.add(f"{number} {filler}", ["fraud"], Predicted("v1", "en", (), {}, (), 0.1))
        os.write(handle, f"{number}\\n".encode())

in_writing = 0
for kill in range(kills):
    before = os.fstat(handle).st_size
    child = os.fork()
    if child == 0:
        write(kill * 10_000)
    # A quarter may die at any moment of its start, the migration of the tables included.
    deadline = time.monotonic() + 10
    while kill % 4 and os.fstat(handle).st_size == before and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(generator.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    in_writing += os.fstat(handle).st_size > before
print(in_writing)
"""


def test_a_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path):
    path, acknowledged = tmp_path / "feedback.db", tmp_path / "acknowledged"
    arguments = [f"sqlite:///{path}", str(acknowledged), str(KILLS), FILLER]
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, *arguments],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    promised = {int(line) for line in acknowledged.read_text().split()}
    found = numbers(path)
    assert int(done.stdout) > KILLS * 0.7
    assert promised <= found
    assert len(found - promised) <= KILLS  # At most the one that each was about to acknowledge.


def test_a_full_disk_refuses_and_keeps_what_was_acknowledged(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs to mount a small tmpfs: run it as root")
    try:
        path = folder / "feedback.db"
        store = FeedbackStore(Database(f"sqlite:///{path}"))
        promised, refused = fill(store)
        assert promised
        assert "full" in refused or "disk I/O" in refused
        assert numbers(path) == promised
        subprocess.run(["mount", "-o", "remount,size=4m", str(folder)], check=True)
        store.add("1000000 text", ["fraud"], PREDICTED)
        store.database.close()
        assert numbers(path) == {*promised, 1_000_000}
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(store: FeedbackStore) -> tuple[set[int], str]:
    """Keeps feedback until it is refused; the numbers of what was kept, and why no more was."""
    promised = set()
    for number in range(10_000):
        try:
            store.add(f"{number} {FILLER}", ["fraud"], PREDICTED)
        except DatabaseError as error:
            return promised, str(error)
        promised.add(number)
    raise AssertionError("never refused")


def test_a_file_that_may_not_grow_refuses_and_keeps_what_was_acknowledged(tmp_path):
    """As a quota does: the system refuses to write beyond a size."""
    path = tmp_path / "feedback.db"
    program = (
        "import sys, pathlib, resource\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from test_feedback import Database, FeedbackStore, fill\n"
        "store = FeedbackStore(Database(sys.argv[1]))\n"
        "store.database.upgrade()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "promised, refused = fill(store)\n"
        "print(len(promised), refused)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{path}"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    count, _, refused = done.stdout.partition(" ")
    assert int(count) > 10
    assert "the database cannot be used" in refused
    assert numbers(path) == set(range(int(count)))
