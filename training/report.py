"""The model card of a version: `report.html`, one self-contained page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve
from sklearn.pipeline import Pipeline

from model.artifact import QUOTED
from model.text import word_terms, words
from training import evaluation, plots
from training.passages import Passage
from training.splits import event_numbers

FILE = "report.html"
_SEED = 0
_SAMPLES = 300
_CURVE_POINTS = 60
_CONFUSIONS = 12
_TERMS = 12
_EXCERPT = 240
_LITTLE_SUPPORT = 50
_LENGTHS = ((0, 20), (20, 50), (50, 100), (100, 10_000))

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeldOutView:
    """The passages and what the fits that saw nothing of their event made of them; matrices of shape (n_passages, n_topics)."""

    passages: Sequence[Passage]
    y_true: BoolArray
    given: BoolArray
    probabilities: FloatArray


def write_report(
    folder: Path, manifest: dict[str, Any], held_out: HeldOutView, pipeline: Pipeline
) -> None:
    """Writes the report of a model into its folder."""
    sections = [
        _summary(manifest, held_out),
        _topics(manifest, held_out),
        _operating_points(manifest),
        _parts(held_out),
        _confusions(manifest, held_out),
        _strongest(manifest, held_out, pipeline),
        _learning_curve(manifest),
        _data(manifest, held_out),
        _LIMITS,
    ]
    page = _PAGE.replace("{body}", "\n".join(sections))
    (folder / FILE).write_text(page, encoding="utf-8")


def _summary(manifest: dict[str, Any], held_out: HeldOutView) -> str:
    metrics = manifest["metrics"]
    numbers, n_events = event_numbers([p.event for p in held_out.passages])
    draws = evaluation.bootstrap_events(numbers, n_events, _SAMPLES, _SEED)
    low, high = evaluation.interval(evaluation.bootstrap_f1(held_out.y_true, held_out.given, draws))
    rows = [
        [name, *(f"{part[key]:.3f}" for key in _FIGURES), str(part["n"])]
        for name, part in [("all", metrics), *metrics["per_language"].items()]
    ]
    return (
        "<h1>Model card</h1><p>Tags passages of news with topics. Every figure here is from passages held out with their whole events, "
        "judged by a fit that saw nothing of their story. They are figures on the passages that it was "
        f"trained with; news that is not shaped like them scores differently.</p><p>Micro-F1 {metrics['micro_f1']:.3f}, 95 % "
        f"interval {low:.3f} to {high:.3f} (bootstrap over events).</p>"
        + _table(["passages", *(_FIGURES[key] for key in _FIGURES), "n"], rows)
    )


_FIGURES = {
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "precision": "precision",
    "recall": "recall",
    "false_topic_rate": "false topic rate",
    "ece": "calibration error",
    "map": "mean average precision",
}


def _topics(manifest: dict[str, Any], held_out: HeldOutView) -> str:
    head = (
        "<h2>Topics</h2><p>Precision (up) against recall (right), the dot where the balanced threshold stands; and how often a topic "
        "is right (up) for the probability it was given (right). The curve is the topic's own; the dot has the scope model in front.</p><div class='topics'>"
    )
    blocks = [head]
    for t, topic in enumerate(manifest["topics"]):
        figures = manifest["metrics"]["per_topic"][topic["slug"]]
        name = escape(topic["name"].get("en") or topic["slug"])
        little = " <em>little support</em>" if figures["support"] < _LITTLE_SUPPORT else ""
        blocks.append(
            f"<figure><figcaption><b>{name}</b> <code>{escape(topic['slug'])}</code>{little}<br>"
            f"F1 {figures['f1']:.2f}, precision {figures['precision']:.2f}, recall {figures['recall']:.2f}, "
            f"{figures['support']} passages</figcaption>"
            + _precision_recall(held_out, t, figures)
            + _calibration(held_out, t)
            + "</figure>"
        )
    return "".join(blocks) + "</div>"


def _precision_recall(held_out: HeldOutView, t: int, figures: dict[str, float]) -> str:
    y_true = held_out.y_true[:, t]
    if not y_true.any():
        return ""
    precision, recall, _ = precision_recall_curve(y_true, held_out.probabilities[:, t])
    places = np.unique(np.linspace(0, len(recall) - 1, _CURVE_POINTS).astype(int))
    points = [(float(recall[i]), float(precision[i])) for i in places]
    return plots.curve(points, "precision and recall", (figures["recall"], figures["precision"]))


def _calibration(held_out: HeldOutView, t: int) -> str:
    scores, y_true = held_out.probabilities[:, t], held_out.y_true[:, t]
    bins = np.minimum((scores * 10).astype(int), 9)
    dots = [
        (float(scores[inside].mean()), float(y_true[inside].mean()), int(inside.sum()))
        for inside in (bins == b for b in range(10))
        if inside.sum() >= 5
    ]
    return plots.calibration(dots, "calibration")


def _operating_points(manifest: dict[str, Any]) -> str:
    points = manifest["operating_points"]
    rows = []
    for t, topic in enumerate(manifest["topics"]):
        row = [escape(topic["slug"])]
        for listed in points.values():
            entry = listed[t]
            missed = "" if entry["reached"] else " not reached"
            row.append(
                f"{entry['threshold']:.2f}: {entry['precision']:.2f} / {entry['recall']:.2f}{missed}"
            )
        rows.append(row)
    return (
        "<h2>Operating points</h2><p>Threshold: precision / recall that it gave on held-out passages. <i>precision</i> aims at 0.90 "
        "precision, <i>recall</i> at 0.90 recall; where a topic cannot have it, the nearest is taken and said.</p>"
        + _table(["topic", *points], rows)
    )


def _parts(held_out: HeldOutView) -> str:
    """Figures by length."""
    counts = np.array([len(words(p.text)) for p in held_out.passages])
    rows = []
    for low, high in _LENGTHS:
        inside = (counts >= low) & (counts < high)
        if not inside.any():
            continue
        y_true, given = held_out.y_true[inside], held_out.given[inside]
        precision, recall, f1 = evaluation.prf(
            int((y_true & given).sum()), int(given.sum()), int(y_true.sum())
        )
        nothing = ~y_true.any(axis=1)
        false_rate = float(given[nothing].any(axis=1).mean()) if nothing.any() else 0.0
        label = f"{low} to {high} words" if high < _LENGTHS[-1][1] else f"{low} words and more"
        rows.append(
            [label, str(int(inside.sum()))]
            + [f"{value:.3f}" for value in (f1, precision, recall, false_rate)]
        )
    head = ["length", "n", "micro-F1", "precision", "recall", "false topic rate"]
    return "<h2>By length</h2>" + _table(head, rows)


def _confusions(manifest: dict[str, Any], held_out: HeldOutView) -> str:
    slugs = [topic["slug"] for topic in manifest["topics"]]
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], Passage] = {}
    for i, passage in enumerate(held_out.passages):
        missed = [slugs[t] for t in np.flatnonzero(held_out.y_true[i] & ~held_out.given[i])]
        wrong = [slugs[t] for t in np.flatnonzero(held_out.given[i] & ~held_out.y_true[i])]
        if not held_out.y_true[i].any():
            missed = ["nothing"]
        for pair in ((m, w) for m in missed for w in wrong):
            counts[pair] += 1
            examples.setdefault(pair, passage)
    rows = [
        [escape(right), escape(wrong), str(n), _excerpt(examples[right, wrong].text)]
        for (right, wrong), n in counts.most_common(_CONFUSIONS)
    ]
    head = ["should be", "was given", "times", "for example"]
    return "<h2>Confusions</h2>" + _table(head, rows, last=f" class='{QUOTED}'")


def _strongest(manifest: dict[str, Any], held_out: HeldOutView, pipeline: Pipeline) -> str:
    languages = manifest["languages"]
    block = dict(pipeline.named_steps["features"].transformer_list)["words"]
    stems = [term for term in block.vocabulary_ if term.startswith("~") and " " not in term]
    columns = np.array([block.vocabulary_[stem] for stem in stems])
    language_of = _languages_of_stems(held_out.passages)
    rows = []
    for t, estimator in enumerate(pipeline.named_steps["topics"].estimators_):
        weights = estimator.coef_[0][columns]
        row = [escape(manifest["topics"][t]["slug"])]
        for language in languages:
            strongest = [
                stems[i][1:]
                for i in np.argsort(-weights)[: 40 * _TERMS]
                if language_of.get(stems[i]) == language
            ]
            row.append(escape(", ".join(strongest[:_TERMS])))
        rows.append(row)
    return "<h2>Strongest stems</h2>" + _table(["topic", *map(escape, languages)], rows)


def _languages_of_stems(passages: Iterable[Passage]) -> dict[str, str]:
    """The language that each stem stands in most."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for passage in passages:
        for word in set(words(passage.text)):
            terms = word_terms(word)
            if terms:
                counts[terms[0]][passage.lang] += 1
    return {stem: counter.most_common(1)[0][0] for stem, counter in counts.items()}


def _learning_curve(manifest: dict[str, Any]) -> str:
    points = [(entry["passages"], entry["map"]) for entry in manifest["learning_curve"]]
    if len(points) < 2:
        return ""
    return (
        "<h2>Learning curve</h2><p>Mean average precision on the first fold, for fits on ever more passages.</p>"
        + plots.growth(points, "learning curve")
    )


def _data(manifest: dict[str, Any], held_out: HeldOutView) -> str:
    facts = manifest["training"]
    rows = [
        ["passages", str(facts["passages"])],
        ["events", str(facts["events"])],
        ["without topic", str(facts["without_topic"])],
        *([f"language {escape(lang)}", str(n)] for lang, n in facts["per_language"].items()),
        ["digest of the data", facts["data_sha256"][:16]],
        ["seed", str(facts["seed"])],
        ["parameters", escape(str(facts["parameters"]))],
        ["libraries", escape(str(manifest["libraries"]))],
        [
            "topics a passage",
            f"{held_out.y_true.sum() / max(held_out.y_true.any(axis=1).sum(), 1):.2f} where any",
        ],
    ]
    return "<h2>Data and making</h2>" + _table(["what", ""], rows)


_LIMITS = """<h2>Intended use and limits</h2>
<p>For sorting news: to find the passages on a topic, to count them, to route them to people. Not for deciding about a person or an
account, and not for judging posts themselves: it reads news about moderation, not the content that is moderated.</p>
<p>It is linear over words: it knows nothing of negation, irony or who did what to whom, and a passage that tells its story with
pronouns alone escapes it. Languages that it did not learn from are sent to review. Names of the most talked-about platforms
are known as such, a new one is not until it is in the lexicon. Labels follow one coding manual; another reading of a topic is another
topic.</p>"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], last: str = "") -> str:
    """A table of cells of HTML; `last` are attributes of the cells of the last column."""
    marks = [""] * (len(head) - 1) + [last]
    lines = [
        "<tr>"
        + "".join(f"<{kind}{mark}>{cell}</{kind}>" for cell, mark in zip(row, marks, strict=True))
        + "</tr>"
        for kind, row in [("th", head), *(("td", row) for row in rows)]
    ]
    return f"<div class='wide'><table><thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody></table></div>"


def _excerpt(text: str) -> str:
    return escape(text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Vigie: model card</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --line: #d5dae1; --mark: #0b6bcb; --soft: #5b6675; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181f; --line: #343c48; --mark: #6db3f8; --soft: #9aa6b5; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: .2em; } h2 { margin-top: 2.2em; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9em; } th, td { text-align: left; padding: .3em .7em; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; } td { font-variant-numeric: tabular-nums; }
.topics { display: grid; grid-template-columns: repeat(auto-fill, minmax(23.5rem, 1fr)); gap: 1rem; }
figure { margin: 0; padding: .7rem; border: 1px solid var(--line); border-radius: 6px; } figcaption { font-size: .85em; margin-bottom: .3em; } figcaption em { color: #b3541e; }
svg { max-width: 49%; } svg text { font-size: 9px; fill: var(--soft); text-anchor: middle; } h2 ~ svg { max-width: 100%; }
.grid { fill: none; stroke: var(--line); } .line { fill: none; stroke: var(--mark); stroke-width: 1.6; } .mark { fill: var(--mark); fill-opacity: .75; }
</style></head><body>
{body}
</body></html>
"""
