from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from model import PassageError
from training.passages import check_passages, data_digest, read_passages, text_key

TOPICS = ("lawsuit", "fraud")
PASSAGE = {"id": "1", "lang": "en", "event": "e", "topics": ["fraud"], "text": "A scam."}


def jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def message(path: Path, topics: tuple[str, ...] | None = TOPICS) -> str:
    with pytest.raises(PassageError) as error:
        read_passages([path], topics)
    return str(error.value)


def test_jsonl_is_read_and_unknown_keys_are_kept(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", {**PASSAGE, "source": "mine"})
    (passage,) = read_passages([path], TOPICS)
    assert (passage.id, passage.lang, passage.event) == ("1", "en", "e")
    assert passage.topics == ("fraud",)
    assert passage.where == f"{path}:1"
    assert passage.to_json() == {**PASSAGE, "source": "mine"}


def test_only_text_and_topics_must_be_there(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", {"text": "A.", "topics": []})
    (passage,) = read_passages([path])
    assert passage.id == passage.event == f"{path}:1"
    assert passage.lang == "und"


def test_gzip_csv_and_parquet_give_the_same_passages(tmp_path):
    expected = read_passages([jsonl(tmp_path / "p.jsonl", PASSAGE)], TOPICS)
    with gzip.open(tmp_path / "p.jsonl.gz", "wt") as stream:
        stream.write(json.dumps(PASSAGE))
    (tmp_path / "p.csv").write_text("id,lang,event,topics,text\n1,en,e,fraud,A scam.\n")
    table = {**{k: [v] for k, v in PASSAGE.items()}, "topics": [["fraud"]]}
    parquet.write_table(pa.table(table), tmp_path / "p.parquet")
    joined = {**table, "topics": ["fraud|lawsuit"]}
    parquet.write_table(pa.table(joined), tmp_path / "joined.parquet")
    for name in ("p.jsonl.gz", "p.csv", "p.parquet"):
        (passage,) = read_passages([tmp_path / name], TOPICS)
        assert passage.to_json() == expected[0].to_json(), name
    assert read_passages([tmp_path / "joined.parquet"])[0].topics == ("fraud", "lawsuit")


def test_csv_with_a_column_a_topic_is_read(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text('text,lawsuit,fraud\n"A, b.",1,0\nC.,0,0\n"D\ne.",1,1\n')
    listed = read_passages([path], TOPICS)
    assert [p.topics for p in listed] == [("lawsuit",), (), ("lawsuit", "fraud")]
    assert listed[2].text == "D\ne."


def test_doccano_and_label_studio_exports_are_read(tmp_path):
    doccano = jsonl(tmp_path / "doccano.jsonl", {"id": 3, "text": "A.", "label": ["fraud"]})
    studio = tmp_path / "studio.json"
    result = {"value": {"choices": ["fraud", "lawsuit"]}, "type": "choices"}
    studio.write_text(
        json.dumps(
            [
                {
                    "id": 7,
                    "data": {"text": "B.", "lang": "fr"},
                    "annotations": [{"was_cancelled": True}, {"result": [result]}],
                }
            ]
        )
    )
    one, two = read_passages([doccano, studio], TOPICS)
    assert (one.id, one.topics) == ("3", ("fraud",))
    assert (two.id, two.lang, two.topics) == ("7", "fr", ("fraud", "lawsuit"))


def test_a_folder_is_read_whole_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    jsonl(tmp_path / "b" / "two.jsonl", {**PASSAGE, "id": "2"})
    jsonl(tmp_path / "a.jsonl", PASSAGE)
    (tmp_path / "README.md").write_text("not passages")
    assert [p.id for p in read_passages([tmp_path], TOPICS)] == ["1", "2"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({**PASSAGE, "topics": ["lawsuits"]}, 'unknown topic "lawsuits"; did you mean "lawsuit"?'),
        ({**PASSAGE, "topics": "fraud"}, '"topics" must be a list of strings'),
        ({**PASSAGE, "topics": ["fraud", "fraud"]}, "a topic stands there twice"),
        ({**PASSAGE, "topics": [" "]}, "an empty topic"),
        ({**PASSAGE, "text": " "}, "the text is empty"),
        ({**PASSAGE, "text": 3}, '"text" must be a string, got a number'),
        ({"topics": []}, '"text" must be a string, got nothing'),
        ({**PASSAGE, "event": ["e"]}, '"event" must be a string, got a list'),
        ([1], "expected a JSON object, got a list"),
    ],
)
def test_a_bad_passage_is_refused_with_file_and_line(tmp_path, record, expected):
    path = jsonl(tmp_path / "passages.jsonl", PASSAGE, record)
    assert message(path) == f"{path}:2: {expected}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"text": }\n', ":1: not JSON: Expecting value at 10"),
        (b'{"text": "\xff"}\n', ":1: not UTF-8 at byte 11"),
        (b"[" * 100_000 + b"\n", ":1: not JSON: nested too deeply"),
        (b"\n\n", ": no passages"),
    ],
)
def test_lines_that_cannot_be_read_are_named(tmp_path, content, expected):
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)
    assert message(path) == f"{path}{expected}"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.csv", b"a,b\n1,2\n", ':1: no column "text"; columns: a, b'),
        ("p.csv", b"text,topics\nA.\n", ":2: expected 2 fields"),
        ("p.csv", b"text,fraud\nA.,maybe\n", ':2: column "fraud" holds "maybe"; without'),
        ("p.csv", b"text\n\xff\n", ": not UTF-8 at byte 6"),
        ("p.parquet", b"nonsense", ": not Parquet: "),
        ("p.json", b"{}", ": expected a Label Studio export"),
        ("p.json", b'[{"data": {"text": "A."}}]', "[0]: task has no annotation"),
        ("p.jsonl.gz", b"not gzip", ": cannot be read: "),
        ("p.txt", b"A.", ": not a format of passages"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    assert message(path).startswith(f"{path}{expected}")


def test_a_truncated_gzip_is_named(tmp_path):
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(PASSAGE).encode() * 50)[:60])
    assert message(path).startswith(f"{path}: cannot be read: ")


def test_missing_and_empty_folders_are_named(tmp_path):
    assert message(tmp_path / "none") == f"{tmp_path}/none: no such file or folder"
    assert message(tmp_path).startswith(f"{tmp_path}: no passages in this folder")


def test_checking_gives_every_error_and_every_good_passage(tmp_path):
    bad = {**PASSAGE, "topics": ["x"]}
    path = jsonl(tmp_path / "p.jsonl", bad, PASSAGE, [], {**PASSAGE, "id": "9"})
    found = list(check_passages([path], TOPICS))
    assert [isinstance(f, PassageError) for f in found] == [True, False, True, False]


def test_the_digest_of_data_ignores_files_and_order(tmp_path):
    other = {**PASSAGE, "id": "2", "text": "Other."}
    one = read_passages([jsonl(tmp_path / "a.jsonl", PASSAGE, other)])
    two = read_passages([jsonl(tmp_path / "b.jsonl", other, PASSAGE)])
    changed = read_passages([jsonl(tmp_path / "c.jsonl", other, {**PASSAGE, "topics": []})])
    assert data_digest(one) == data_digest(two) != data_digest(changed)
    assert text_key("A  Scam.\n") == text_key("a scam.")
