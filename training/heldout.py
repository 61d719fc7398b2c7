"""Passages that a version keeps with what it made of them before it had learnt from them.

Retraining compares a challenger with the live model on these (see `training.promotion`). A fixed quarter of the events is kept, chosen by
a hash of the event's name, so that successive versions keep the same stories. Scores and topics are those of the fits that saw nothing of the
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
MOST_KEPT_SHARE = 0.25

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Passages kept by a version, the topics that it gave them while they were held out, and the probabilities of all topics.

    `given` and `probabilities` have shape (n_passages, n_topics).
    """

    passages: tuple[Passage, ...]
    given: BoolArray
    probabilities: FloatArray


def event_place(event: str) -> float:
    """A place for each event from 0 to 1, the same everywhere and spread evenly."""
    first = hashlib.sha256(event.encode("utf-8", "replace")).digest()[:4]
    return int.from_bytes(first, "big") / 2**32


def is_kept(event: str) -> bool:
    """Whether an event is among those that versions keep."""
    return event_place(event) < MOST_KEPT_SHARE


def write_heldout(
    folder: Path,
    passages: Sequence[Passage],
    topics: Sequence[str],
    given: BoolArray,
    probabilities: FloatArray,
) -> None:
    """Writes the kept passages, with the topics that they were given and the probability of each in the topics' order."""
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
                "given": [topics[t] for t in np.flatnonzero(given[i]).tolist()],
                "scores": [round(score, 5) for score in probabilities[i].tolist()],
            }
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_heldout(folder: Path, topics: Sequence[str]) -> HeldOut:
    """Reads what `write_heldout` wrote; ArtifactError where it is not there or damaged."""
    path = folder / FILE
    passages, given, scores = [], [], []
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
                given.append([topic in record["given"] for topic in topics])
                scores.append(record["scores"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    shape = len(passages), len(topics)
    return HeldOut(
        tuple(passages),
        np.array(given, dtype=bool).reshape(shape),
        np.array(scores, dtype=np.float64).reshape(shape),
    )


def given_by_text(held_out: HeldOut) -> dict[str, BoolArray]:
    """The topics given to each passage, shape (n_topics,), by the key of its text."""
    return {
        text_key(passage.text): row
        for passage, row in zip(held_out.passages, held_out.given, strict=True)
    }
