"""How far a run is, its rate, and the time left: a line that is written over on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_TERMINAL_SECONDS = 0.5
_FILE_SECONDS = 10.0


class Progress:
    """Progress of a run on standard error; `weight` is all of its work, `done` what an earlier run did."""

    def __init__(self, weight: int, done: int = 0) -> None:
        self._weight = max(weight, 1)
        self._before = self._done = done
        self._passages = self._rejects = 0
        self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._every = _TERMINAL_SECONDS if self._terminal else _FILE_SECONDS
        self._shown = self._began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._show()
        if self._terminal:
            print(file=sys.stderr)

    def add(self, weight: int, passages: int, rejects: int) -> None:
        """Counts what was done."""
        self._done += weight
        self._passages += passages
        self._rejects += rejects
        if time.monotonic() - self._shown >= self._every:
            self._show()

    def note(self, message: str) -> None:
        """Says something between two lines of progress."""
        print(f"{self._line_end()}{message}", file=sys.stderr, flush=True)

    def _line_end(self) -> str:
        return "\r\x1b[K" if self._terminal else ""

    def line(self) -> str:
        """The progress in words."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        share = min(self._done / self._weight, 1.0)
        worked = self._done - self._before
        left = (self._weight - self._done) * seconds / worked if worked > 0 else None
        parts = [
            f"{share:4.0%}",
            f"{self._passages:,} passages",
            f"{self._passages / seconds:,.0f}/s",
            f"{_clock(seconds)} gone",
        ]
        if left is not None:
            parts.append(f"{_clock(left)} left")
        if self._rejects:
            parts.append(f"{self._rejects:,} rejects")
        return "  ".join(parts)

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._terminal:
            print(f"\r\x1b[K{self.line()}", end="", file=sys.stderr, flush=True)
        else:
            print(self.line(), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
