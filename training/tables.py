"""Figures as tables on standard output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from training.passages import Passage

if TYPE_CHECKING:
    from training.retrain import Outcome

_WIDTH_OF_FILES = 100
_FIGURES = (
    "micro_f1",
    "macro_f1",
    "precision",
    "recall",
    "false_topic_rate",
    "ece",
    "map",
)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_FILES)


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def print_evaluation(figures: dict[str, Any]) -> None:
    """The figures of `training.evaluation.evaluate`."""
    console = _console()
    table = _table(f"Model {figures['model']}", "passages", "n", *_FIGURES)
    table.add_row("all", str(figures["n"]), *(f"{figures[name]:.3f}" for name in _FIGURES))
    for language, part in figures["per_language"].items():
        table.add_row(language, str(part["n"]), *(f"{part[name]:.3f}" for name in _FIGURES))
    console.print(table)
    table = _table("", "topic", "support", "precision", "recall", "F1", "threshold")
    for topic, part in figures["per_topic"].items():
        cells = [f"{part[name]:.3f}" for name in ("precision", "recall", "f1", "threshold")]
        table.add_row(topic, str(part["support"]), *cells)
    console.print(table)


def print_retraining(outcome: Outcome) -> None:
    """What a retraining came to, and why."""
    console = _console()
    if outcome.comparison is not None:
        table = _table(
            f"{outcome.challenger} against {outcome.live}",
            "held-out passages",
            "labels",
            "live F1",
            "challenger F1",
            "difference",
            "",
        )
        for part in outcome.comparison.differences:
            table.add_row(
                part.part,
                str(part.support),
                f"{part.live:.3f}",
                f"{part.challenger:.3f}",
                f"{part.low:+.3f} to {part.high:+.3f}",
                "worse" if part.worse else "",
            )
        console.print(table)
    if outcome.promoted:
        decision = "promoted"
    elif outcome.dry_run:
        would = outcome.live != outcome.challenger and (
            outcome.comparison is None or outcome.comparison.promote
        )
        decision = "dry run: would be promoted" if would else "dry run: would not be promoted"
    else:
        decision = "not promoted"
    console.print(f"{outcome.challenger} {decision}: {outcome.reason}", soft_wrap=True)


def print_search(found: dict[str, Any]) -> None:
    """The candidates of `training.search.search`, the best last; parameters that they all share are left out."""
    listed = [candidate["parameters"] for candidate in found["candidates"]]
    varied = [name for name in listed[0] if len({p[name] for p in listed}) > 1] or ["C"]
    title = f"{len(listed)} candidates, mean average precision over the folds"
    table = _table(title, *varied, "mean", "lowest", "highest", "micro_f1")
    for candidate in found["candidates"]:
        cells = [f"{candidate['parameters'][name]:g}" for name in varied]
        folds = [fold["map"] for fold in candidate["folds"]]
        figures = (candidate["map"], min(folds), max(folds), candidate["micro_f1"])
        table.add_row(*cells, *(f"{figure:.4f}" for figure in figures))
    _console().print(table)


def print_counts(passages: Sequence[Passage]) -> None:
    """Passages and events of each topic, by language."""
    languages = sorted({p.lang for p in passages})
    counts = Counter((t, p.lang) for p in passages for t in p.topics or ("(none)",))
    events = {
        (t, lang): len(
            {p.event for p in passages if p.lang == lang and t in (p.topics or ("(none)",))}
        )
        for t, lang in counts
    }
    columns = [f"{lang} {what}" for lang in languages for what in ("passages", "events")]
    table = _table("Passages and events", "topic", *columns)
    for topic in sorted({t for t, _ in counts}):
        cells = []
        for lang in languages:
            cells += [str(counts[topic, lang]), str(events.get((topic, lang), 0))]
        table.add_row(topic, *cells)
    _console().print(table)
