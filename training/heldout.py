"""Passages that a version keeps with the scores it gave them before it had learnt from them.

Retraining compares a challenger with the live model on these (see `training.promotion`). A fixed quarter of the events is kept, chosen by
a hash of the event's name, so that successive versions keep the same stories. The scores are those of the fits that saw nothing of the
event, while the served model has learnt from all passages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.errors import ArtifactError
from training.passages import Passage, text_key

FILE = "heldout.jsonl"
_SHARE = 0.25

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Passages kept by a version, and its held-out probabilities of them, shape (n_passages, n_topics)."""

    passages: tuple[Passage, ...]
    probabilities: FloatArray


def is_kept(event: str) -> bool:
    """Whether an event is among those that versions keep."""
    first = hashlib.sha256(event.encode("utf-8", "replace")).digest()[:4]
    return int.from_bytes(first, "big") < _SHARE * 2**32


def write_heldout(
    folder: Path, passages: Sequence[Passage], topics: Sequence[str], probabilities: FloatArray
) -> None:
    """Writes the kept passages, with the probability of each topic in the topics' order."""
    kept = [i for i, passage in enumerate(passages) if is_kept(passage.event)]
    if not kept:
        kept = list(range(len(passages)))
    with (folder / FILE).open("w", encoding="utf-8") as stream:
        for i in kept:
            passage = passages[i]
            record = {
                "id": passage.id,
                "lang": passage.lang,
                "event": passage.event,
                "topics": [topic for topic in passage.topics if topic in topics],
                "text": passage.text,
                "scores": [round(score, 5) for score in probabilities[i].tolist()],
            }
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_heldout(folder: Path, n_topics: int) -> HeldOut:
    """Reads what `write_heldout` wrote; ArtifactError where it is not there or damaged."""
    path = folder / FILE
    passages, scores = [], []
    try:
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                record = json.loads(line)
                passages.append(
                    Passage(
                        record["id"],
                        record["text"],
                        tuple(record["topics"]),
                        record["event"],
                        record["lang"],
                    )
                )
                scores.append(record["scores"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    probabilities = np.array(scores, dtype=np.float64).reshape(-1, n_topics)
    return HeldOut(tuple(passages), probabilities)


def scores_by_text(held_out: HeldOut) -> dict[str, FloatArray]:
    """Held-out probabilities by the text's key, each shape (n_topics,)."""
    return {
        text_key(passage.text): row
        for passage, row in zip(held_out.passages, held_out.probabilities, strict=True)
    }
