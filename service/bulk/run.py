"""A run from beginning to end, whichever engine does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model import artifact
from model.errors import BulkError
from service.bulk import output as folder
from service.bulk.local import run_here
from service.bulk.plan import Options, Plan, make_plan
from service.bulk.progress import Progress
from service.bulk.storage import Storage
from service.live import load_checked

LOCAL, DASK = "local", "dask"
ENGINES = (LOCAL, DASK)


@dataclass(frozen=True, slots=True)
class Engine:
    """Where a run is done: `jobs` processes here, or a Dask cluster; `scheduler` None for a cluster of `jobs` workers here."""

    name: str = LOCAL
    jobs: int = 1
    scheduler: str | None = None


def run(
    source: str, output: str, options: Options, version: Path, engine: Engine, restart: bool = False
) -> dict[str, Any]:
    """Classifies the input into the output folder, or what is missing there, and returns the manifest.

    `version` is the folder of the model. BulkError and OSError say what stopped it; what was done until then stays done.
    """
    classifier = load_checked(version)
    classifier.thresholds(options.operating_point)
    digest = str(artifact.read_manifest(version)["manifest_sha256"])
    plan = make_plan(_absolute(source), options, classifier.version, digest)
    del classifier
    storage = Storage(_absolute(output))
    storage.make()
    with storage.locked():
        storage.wait_for_workers(folder.PLAN)
        done = folder.begin(storage, plan, restart)
        _work(plan, storage, version, engine, done)
        return folder.end(storage, plan)


def _work(
    plan: Plan, storage: Storage, version: Path, engine: Engine, done: dict[str, dict[str, Any]]
) -> None:
    if not any(folder.pending(plan, done)):
        return
    with Progress(plan.weight, sum(receipt["weight"] for receipt in done.values())) as progress:
        if engine.name == DASK:
            try:
                from service.bulk.cluster import run_on_cluster
            except ImportError as error:
                raise BulkError(f'{error.name} is missing: pip install "vigie[cluster]"') from None
            run_on_cluster(plan, storage, version, progress, engine.jobs, engine.scheduler)
        else:
            run_here(plan, storage, version, progress, engine.jobs, done)


def _absolute(address: str) -> str:
    """An address that means the same in every process."""
    return address if "://" in address or "::" in address else str(Path(address).absolute())
