from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import copy_version
from test_artifact import rewrite

from service.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
ARTICLE = """Le réseau social a suspendu le compte du député.

Lire aussi

La société dit avoir agi après des appels à la violence. — 2021
"""


@pytest.fixture
def article(tmp_path) -> str:
    path = tmp_path / "article.txt"
    path.write_text(ARTICLE, encoding="utf-8")
    return str(path)


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_text_is_classified_paragraph_by_paragraph_without_furniture(version, article, capsys):
    assert main(["classify", "--model", str(version), article]) == 0
    results = lines(capsys)
    assert [r["id"] for r in results] == [1, 3]
    assert results[0]["language"] == "fr"
    assert 0 <= results[0]["scores"]["deplatforming"] <= 1


def test_jsonl_keeps_ids_and_takes_options(version, tmp_path, capsys):
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "a", "text": "The court banned the app."}\n\n{"text": "b c d e f"}\n')
    arguments = ["classify", "--model", str(version), str(path), "--operating-point", "recall"]
    assert main([*arguments, "--explain"]) == 0
    results = lines(capsys)
    assert [r["id"] for r in results] == ["a", 3]
    assert set(results[0]["explanation"]) == set(results[0]["topics"])


def test_html_gives_the_passages_that_articles_over_http_give(version, client, tmp_path, capsys):
    path = tmp_path / "page.html"
    paragraph = "The social network has suspended the account of the senator after threats. " * 3
    page = (
        "<html><head><title>News</title></head><body><nav>Menu Home</nav><article>"
        f"<h1>Network suspends senator</h1><p>{paragraph}</p><p>Read also: Ten more stories</p>"
        f"<p>Share on Facebook</p><p>{paragraph.replace('senator', 'mayor')}</p>"
        "</article><footer>All rights reserved</footer><script>alert('x')</script></body></html>"
    )
    path.write_text(page)
    assert main(["classify", "--model", str(version), str(path)]) == 0
    results = lines(capsys)
    answer = client.post("/v1/articles", json={"html": page}).get_json()
    own = [p for p in answer["passages"] if not p["furniture"]]
    assert len(own) < len(answer["passages"])
    assert len(own) >= 2
    assert [r["scores"] for r in results] == [p["scores"] for p in own]
    assert [r["topics"] for r in results] == [p["topics"] for p in own]


def test_standard_input_is_read_and_its_format_told_apart(version, monkeypatch, capsys):
    for content, n in (('{"text": "a"}\n{"text": "b"}', 2), ("One.\nTwo.\nThree.", 3)):
        stdin = io.TextIOWrapper(io.BytesIO(content.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["classify", "--model", str(version)]) == 0
        assert len(lines(capsys)) == n


def test_a_long_text_is_cut_and_says_so(version, article, monkeypatch, capsys):
    monkeypatch.setenv("VIGIE_MAX_CHARACTERS", "12")
    assert main(["classify", "--model", str(version), article]) == 0
    assert [r["truncated"] for r in lines(capsys)] == [True, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "cannot be read: No such file"),
        ("p.jsonl", b'{"text": 3}', 'p.jsonl:1: expected an object with a string "text"'),
        ("p.jsonl", b"{", "p.jsonl:1: not JSON"),
        ("p.txt", b"\xff", "not UTF-8 at byte 1"),
    ],
)
def test_input_that_cannot_be_read_is_named(version, tmp_path, capsys, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert main(["classify", "--model", str(version), str(path)]) == 1
    assert message in capsys.readouterr().err


def test_a_terminal_gets_a_table(version, article):
    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "service", "classify", "--model", str(version), article],
        cwd=ROOT,
        stdout=follower,
        check=True,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert "passage" in shown
    assert "Lire aussi" not in shown
    assert not shown.lstrip().startswith("{")


def test_models_are_listed_shown_promoted_and_rolled_back(registry, version, capsys):
    first = registry.current()
    staged = copy_version(version, registry.root / ".staging-x")
    rewrite(staged, model_version="v2")
    registry.add(staged)
    models = ["models", "--registry", str(registry.root)]
    assert main([*models, "promote", "v2"]) == 0
    assert main([*models, "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [first, "v2"]
    assert "live since" in listed[1]
    assert main([*models, "rollback"]) == 0
    assert registry.current() == first
    capsys.readouterr()
    assert main([*models, "show", "v2"]) == 0
    assert json.loads(capsys.readouterr().out)["model_version"] == "v2"
    assert main([*models, "promote", "v9"]) == 1
    assert 'no version "v9"' in capsys.readouterr().err


def test_a_diff_names_passages_that_change_and_the_words_that_did_it(
    registry, version, article, capsys
):
    manifest = json.loads((version / "manifest.json").read_text())
    points, scope = manifest["operating_points"], manifest["scope"]
    scope["thresholds"]["balanced"] = 0.0
    for entry in points["balanced"]:
        entry["threshold"] = 0.0 if entry["topic"] == "deplatforming" else 1.0
    staged = copy_version(version, registry.root / ".staging-x")
    rewrite(staged, model_version="v2", operating_points=points, scope=scope)
    registry.add(staged)
    first = registry.current()
    models = ["models", "--registry", str(registry.root)]
    assert main([*models, "diff", first, "v2", "--data", article]) == 0
    changed = lines(capsys)
    assert changed
    for entry in changed:
        assert entry["gained"] == ["deplatforming"] or entry["lost"]
        for parts in entry["terms"].values():
            for part in parts:
                assert entry["text"][part["start"] : part["end"]] == part["text"]


def test_nothing_live_is_said_with_what_to_do(tmp_path, article, capsys):
    assert main(["classify", "--registry", str(tmp_path), article]) == 1
    assert "no live version; train one with `make model`" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(version, tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("A court ruled on the ban.\n" * 20_000)
    command = f"{sys.executable} -m service classify --model '{version}' '{path}' | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""
