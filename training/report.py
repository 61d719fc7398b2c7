"""The model card of a version: `report.html`, one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.passages import Passage

FILE = "report.html"


def write_report(
    folder: Path,
    manifest: dict[str, Any],
    passages: Sequence[Passage],
    y_true: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
) -> None:
    """Writes the report of a model from its manifest and its held-out probabilities, shape (n_passages, n_topics)."""
    metrics = manifest["metrics"]
    rows = "".join(
        f"<tr><td>{escape(t)}<td>{m['support']}<td>{m['precision']:.2f}<td>{m['recall']:.2f}<td>{m['f1']:.2f}<td>{m['threshold']:.2f}"
        for t, m in metrics["per_topic"].items()
    )
    page = f"<!doctype html><meta charset=utf-8><title>Model card</title><h1>Model card</h1><table>{rows}</table>"
    (folder / FILE).write_text(page, encoding="utf-8")
