"""Small plots as SVG, drawn with the colours of the page they stand in."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]

_WIDTH, _HEIGHT, _MARGIN = 180, 130, 22


def curve(points: Sequence[Point], title: str, mark: Point | None = None) -> str:
    """A line through points in the unit square, x to the right, y up; `mark` is drawn as a dot."""
    line = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    dot = (
        f'<circle class="mark" cx="{_x(mark[0]):.1f}" cy="{_y(mark[1]):.1f}" r="3.5"/>'
        if mark
        else ""
    )
    return _frame(f'<polyline class="line" points="{line}"/>{dot}', title)


def calibration(bins: Sequence[tuple[float, float, int]], title: str) -> str:
    """Share of right labels against mean probability, a dot a bin, its area by the passages in it."""
    most = max((n for *_, n in bins), default=1)
    dots = "".join(
        f'<circle class="mark" cx="{_x(p):.1f}" cy="{_y(share):.1f}" r="{1.5 + 4 * (n / most) ** 0.5:.1f}"/>'
        for p, share, n in bins
    )
    diagonal = f'<line class="grid" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
    return _frame(diagonal + dots, title)


def growth(points: Sequence[tuple[int, float]], title: str) -> str:
    """A value against a count, both axes labelled at each point; the count's axis is logarithmic."""
    from math import log

    if len(points) < 2:
        return ""
    first, last = log(points[0][0]), log(points[-1][0])
    placed = [((log(n) - first) / (last - first), value) for n, value in points]
    line = " ".join(f"{_x(x) * 2:.1f},{_y(y):.1f}" for x, y in placed)
    labels = "".join(
        f'<circle class="mark" cx="{_x(x) * 2:.1f}" cy="{_y(y):.1f}" r="3"/>'
        f'<text x="{_x(x) * 2:.1f}" y="{_y(y) - 7:.1f}">{y:.2f}</text>'
        f'<text x="{_x(x) * 2:.1f}" y="{_HEIGHT - 6}">{n}</text>'
        for (x, y), (n, _) in zip(placed, points, strict=True)
    )
    return (
        f'<svg viewBox="0 0 {2 * _WIDTH} {_HEIGHT}" width="{2 * _WIDTH}" role="img" aria-label="{title}">'
        f'<polyline class="line" points="{line}"/>{labels}</svg>'
    )


def _x(value: float) -> float:
    return _MARGIN + value * (_WIDTH - 2 * _MARGIN)


def _y(value: float) -> float:
    return _HEIGHT - _MARGIN - value * (_HEIGHT - 2 * _MARGIN)


def _frame(content: str, title: str) -> str:
    left, right, top, bottom = _x(0), _x(1), _y(1), _y(0)
    box = (
        f'<rect class="grid" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
    )
    ends = (
        f'<text x="{left}" y="{bottom + 12}">0</text><text x="{right}" y="{bottom + 12}">1</text>'
        f'<text x="{left - 8}" y="{bottom}">0</text><text x="{left - 8}" y="{top + 8}">1</text>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="{title}">'
        f"{box}{ends}{content}</svg>"
    )
