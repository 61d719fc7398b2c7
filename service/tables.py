"""Results as a table on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_EXCERPT = 160


def print_results(results: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Texts and their Results: the topics with their probabilities, and reasons for review."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column("passage", ratio=3)
    table.add_column("topics", ratio=2)
    for text, result in results:
        excerpt = text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
        topics = Text()
        for topic in result["topics"]:
            topics.append(f"{topic} {result['scores'][topic]:.2f}\n", style="bold")
        if not result["topics"]:
            topics.append("nothing here\n", style="dim")
        if result["reasons"]:
            topics.append(f"review: {', '.join(result['reasons'])}\n", style="yellow")
        topics.rstrip()
        table.add_row(str(result["id"]), Text(excerpt), topics)
    Console(highlight=False).print(table)
