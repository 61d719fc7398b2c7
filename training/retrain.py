"""Retraining: a challenger is trained, compared with the live model, and promoted unless it is worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model import artifact
from model.registry import Registry
from model.taxonomy import Taxonomy
from training.feedback import Feedback, join
from training.passages import read_passages
from training.progress import Progress
from training.promotion import Comparison, compare
from training.train import train


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a retraining came to; `comparison` is None where nothing was live before.

    `feedback` counts the passages that readers labelled and reviewers confirmed.
    """

    challenger: str
    live: str | None
    comparison: Comparison | None
    promoted: bool
    dry_run: bool
    feedback: int = 0

    @property
    def reason(self) -> str:
        """Why the challenger was promoted or not."""
        if self.comparison is not None:
            return self.comparison.reason
        if self.live == self.challenger:
            return "the same passages, parameters and seed: the challenger is the live model"
        return "nothing was live before"

    def to_json(self) -> dict[str, Any]:
        """As it is printed with ``--json``."""
        return {
            "challenger": self.challenger,
            "live": self.live,
            "promoted": self.promoted,
            "dry_run": self.dry_run,
            "feedback": self.feedback,
            "reason": self.reason,
            "comparison": self.comparison.to_json() if self.comparison else None,
        }


def retrain(
    data: Sequence[Path],
    registry_folder: Path,
    *,
    seed: int = 0,
    jobs: int = -1,
    dry_run: bool = False,
    feedback: Feedback | None = None,
    progress: Progress = lambda *_: None,
) -> Outcome:
    """Trains on the passages and on feedback; with `dry_run` the registry stays as it is, else the challenger is kept in it, promoted or not."""
    registry = Registry(registry_folder)
    live = registry.current()
    taxonomy = _live_taxonomy(registry) if live else Taxonomy.default()
    passages = read_passages(data, taxonomy.slugs)
    labelled = [] if feedback is None else feedback.read(taxonomy.slugs)
    passages = join(passages, labelled)
    with artifact.staging(registry.root) as folder:
        staged = folder / "challenger"
        challenger = train(passages, taxonomy, staged, seed=seed, jobs=jobs, progress=progress)
        comparison = None
        if live is not None and live != challenger:
            comparison = compare(registry.folder(live), staged, seed)
        promote = live != challenger and (comparison is None or comparison.promote)
        outcome = Outcome(
            challenger, live, comparison, promote and not dry_run, dry_run, len(labelled)
        )
        if not dry_run:
            registry.add(staged)
            if promote:
                registry.promote(challenger, reason=outcome.reason, by="retrain")
    return outcome


def _live_taxonomy(registry: Registry) -> Taxonomy:
    manifest = artifact.read_manifest(registry.current_folder())
    return Taxonomy.from_json({**manifest["taxonomy"], "topics": manifest["topics"]})
