"""A progress bar on standard error; silent where that is no terminal but for a line a stage."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Yields what `training.train.train` calls to report."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console) as bar:
        tasks: dict[str, int] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)  # type: ignore[arg-type]

        yield report


class _Lines:
    """A line for the start of each stage and each quarter of it."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        quarter = 4 * done // max(total, 1)
        if quarter > self._said.get(stage, -1):
            self._said[stage] = quarter
            print(f"{stage}: {25 * quarter} %", file=sys.stderr, flush=True)
