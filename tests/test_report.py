from __future__ import annotations

import re
from dataclasses import replace

import pytest
from conftest import DATA

from model import Taxonomy
from training.passages import read_passages
from training.train import train


@pytest.fixture(scope="module")
def report(version) -> str:
    return (version / "report.html").read_text(encoding="utf-8")


def test_it_stands_alone(report):
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|<script""", report)


def test_every_topic_has_its_figures_and_plots(report):
    for slug in Taxonomy.default().slugs:
        assert f"<code>{slug}</code>" in report
    assert report.count("<figure>") == 24
    assert report.count('aria-label="precision and recall"') == 24
    assert report.count('aria-label="calibration"') == 24


def test_it_says_what_it_was_made_from_and_for(report):
    for part in (
        "Operating points",
        "By length",
        "Confusions",
        "Strongest stems",
        "Learning curve",
    ):
        assert f"<h2>{part}" in report
    assert "Intended use and limits" in report
    assert "95 % interval" in report
    assert "little support" in report


def test_markup_in_passages_and_topics_is_shown_as_text(tmp_path):
    listed = read_passages([DATA])[::60]
    hostile = [replace(p, text="<script>alert(1)</script> " + p.text) for p in listed]
    hostile = [replace(p, topics=("<b>x</b>",) if p.topics else ()) for p in hostile]
    train(hostile, Taxonomy.from_slugs(["<b>x</b>"]), tmp_path / "v", jobs=1)
    shown = (tmp_path / "v" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in shown
    assert "<b>x</b>" not in shown
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
