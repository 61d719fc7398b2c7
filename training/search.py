"""Search for parameters: each candidate on each fold is a task of its own, in processes here or on a Dask cluster.

A task is told where the passages are and reads them itself, so next to nothing passes through a scheduler, and a task that is lost with its
worker is simply done again, with the same result. (Through joblib's Dask backend a killed worker fails the whole search.) Folds are those
of training: whole events are held out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from model import artifact
from model.errors import SearchError, unknown_name
from model.lexicon import Lexicon
from training import evaluation
from training.passages import data_digest, read_passages
from training.pipeline import Parameters, count_terms
from training.progress import Progress
from training.splits import event_folds
from training.train import fit_on
from training.translation import translations

DEFAULT_GRID: Mapping[str, Sequence[float]] = {
    "C": (20.0, 50.0, 100.0),
    "concept_scale": (0.4, 0.6, 0.8),
    "evidence_share": (0.25, 0.5, 0.75),
}
SEARCHED = (
    "C",
    "min_df",
    "word_scale",
    "concept_scale",
    "evidence_share",
    "translated_weight",
    "tol",
)
_FRUITLESS_TRIES = 5
_CONNECT_SECONDS = 15.0
_TASK_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Task:
    """One candidate on one fold of the passages at some paths, whose digest is given: what is found there has to be the same."""

    data: tuple[str, ...]
    data_sha256: str
    topics: tuple[str, ...]
    parameters: Parameters
    fold: int
    seed: int


@dataclass(frozen=True, slots=True)
class FoldScore:
    """Mean average precision on the passages of a fold, and micro-F1 where a topic is given at log-odds of 0."""

    map: float
    micro_f1: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parameters with their scores on each fold."""

    parameters: Parameters
    folds: tuple[FoldScore, ...]

    @property
    def map(self) -> float:
        """Mean over the folds."""
        return round(fmean(fold.map for fold in self.folds), 4)

    @property
    def micro_f1(self) -> float:
        """Mean over the folds."""
        return round(fmean(fold.micro_f1 for fold in self.folds), 4)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "parameters": self.parameters.to_json(),
            "map": self.map,
            "micro_f1": self.micro_f1,
            "folds": [asdict(fold) for fold in self.folds],
        }


class Pool(Protocol):
    """Where tasks are done."""

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """What a lost worker or connection looks like; what is missing is then done again."""

    def open(self) -> Any:
        """A context manager that gives an executor."""


def candidates(grid: Mapping[str, Sequence[float]], base: Parameters) -> list[Parameters]:
    """Every combination of the grid's values, the other parameters as in `base`."""
    combined: list[dict[str, Any]] = [
        dict(zip(grid, values, strict=True)) for values in product(*grid.values())
    ]
    return [replace(base, **changed) for changed in combined]


def read_grid(path: Path) -> dict[str, list[float]]:
    """Reads a grid, ``{"C": [5, 20], "min_df": [2, 3]}``; SearchError where it is not one."""
    try:
        grid = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SearchError(f"{path}: cannot be read: {error}") from error
    if not isinstance(grid, dict) or not grid:
        raise SearchError(f"{path}: expected an object of parameter: [value, …]")
    for name, values in grid.items():
        if name not in SEARCHED:
            raise SearchError(f"{path}: {unknown_name('parameter', name, SEARCHED)}")
        if not isinstance(values, list) or not values or not all(_usable(name, v) for v in values):
            kind = "whole numbers" if name == "min_df" else "numbers"
            raise SearchError(f"{path}: {name}: expected a list of {kind} above 0, got {values!r}")
    return grid


def _usable(name: str, value: object) -> bool:
    kinds = (int,) if name == "min_df" else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < float("inf")


def search(
    data: Sequence[Path],
    topics: Sequence[str] | None,
    listed: Sequence[Parameters],
    pool: Pool,
    *,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Scores every candidate on every fold; the best, by mean average precision, stands last.

    `topics` are those to learn; all that the passages have where it is None.
    """
    passages = read_passages(data, topics)
    slugs = topics or sorted({topic for passage in passages for topic in passage.topics})
    digest = data_digest(passages)
    n_events = len({passage.event for passage in passages})
    paths = tuple(str(path.resolve()) for path in data)
    tasks = [
        Task(paths, digest, tuple(slugs), parameters, fold, seed)
        for parameters in listed
        for fold in range(min(parameters.n_folds, n_events))
    ]
    facts = {"passages": len(passages), "events": n_events, "data_sha256": digest}
    del passages
    scores = _done(tasks, pool, progress)
    found = [
        Candidate(p, tuple(scores[task] for task in tasks if task.parameters == p)) for p in listed
    ]
    found.sort(key=lambda candidate: candidate.map)
    return {
        **facts,
        "seed": seed,
        "best": found[-1].parameters.to_json(),
        "candidates": [candidate.to_json() for candidate in found],
    }


def write_search(path: Path, found: Mapping[str, Any]) -> None:
    """Writes what a search found, whole or not at all."""
    artifact.write_atomically(path, json.dumps(found, indent=1) + "\n")


def _done(tasks: Sequence[Task], pool: Pool, progress: Progress) -> dict[Task, FoldScore]:
    """The score of each task; what is lost is done again, until nothing more comes of several tries."""
    scores: dict[Task, FoldScore] = {}
    lost = pool.lost
    fruitless = 0
    progress("searching", 0, len(tasks))
    while len(scores) < len(tasks):
        before = len(scores)
        try:
            with pool.open() as executor:
                missing = [task for task in tasks if task not in scores]
                futures = {executor.submit(score_fold, task): task for task in missing}
                for future in as_completed(futures):
                    scores[futures[future]] = future.result()
                    progress("searching", len(scores), len(tasks))
        except lost as error:
            fruitless = 0 if len(scores) > before else fruitless + 1
            if fruitless == _FRUITLESS_TRIES:
                raise SearchError(f"workers were lost again and again: {error}") from error
        except ImportError as error:
            raise SearchError(f"the workers lack what the search needs: {error}") from error
    return scores


def score_fold(task: Task) -> FoldScore:
    """Reads the passages, fits to those outside a fold, and scores those of the fold."""
    passages = read_passages([Path(path) for path in task.data], task.topics)
    if data_digest(passages) != task.data_sha256:
        listed = ", ".join(task.data)
        raise SearchError(f"{listed}: other passages than where the search was started")
    y_true = evaluation.label_matrix([p.topics for p in passages], task.topics)
    folds = event_folds([p.event for p in passages], task.parameters.n_folds, task.seed)
    inside, outside = np.flatnonzero(folds != task.fold), np.flatnonzero(folds == task.fold)
    texts = [p.text for p in passages]
    lexicon = Lexicon.default()
    translated = translations(texts, [p.lang for p in passages])
    counts = count_terms(task.parameters, lexicon, texts, translated)
    *_, log_odds = fit_on(counts, y_true, inside, outside, task.parameters, lexicon, task.seed)
    wanted, given = y_true[outside], log_odds > 0.0
    right = int((wanted & given).sum())
    _, _, f1 = evaluation.prf(right, int(given.sum()), int(wanted.sum()))
    return FoldScore(evaluation.mean_average_precision(wanted, log_odds), round(f1, 4))


@dataclass(frozen=True, slots=True)
class Here:
    """Processes on this machine; all cores where `jobs` is below 1."""

    jobs: int = -1

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """A process that ended breaks its pool."""
        return (BrokenProcessPool,)

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """A pool whose processes end with it, however it ends."""
        from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

        jobs = self.jobs if self.jobs > 0 else len(os.sched_getaffinity(0))
        executor = ProcessPoolExecutor(jobs)
        try:
            yield executor
        finally:
            executor.shutdown(kill_workers=True)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Dask cluster at an address; its workers need this package with its training, and the passages at the same paths."""

    address: str

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """Lost workers and connections."""
        try:
            from distributed.comm import CommClosedError
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            name = str(error.name).partition(".")[0]
            raise SearchError(f'{name} is missing: pip install "vigie[cluster]"') from None
        return CancelledError, ConnectionError, CommClosedError, KilledWorker

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """The cluster as an executor that tries each task some times."""
        import distributed

        try:
            client = distributed.Client(
                self.address, timeout=_CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise ConnectionError(f"{self.address}: no answer: {error}") from error
        with client:
            yield client.get_executor(pure=False, retries=_TASK_RETRIES)
