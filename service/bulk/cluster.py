"""The Dask engine: a future for each stretch of the input, which a worker reads, scores and writes by itself.

Nothing of the data passes through the scheduler: workers read the input and write the output by address, so both must be reachable
from each. The model goes to every worker once, as a plug-in named by its digest, also to workers that come later. A task that is run
twice writes the same bytes under the same names, and one that is run again passes over the parts that have a receipt; so whatever is
lost, workers or the connection, the answer is to submit what is missing once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import distributed
import orjson
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from model.classifier import Classifier
from model.errors import BulkError, VigieError
from service.bulk.output import Receipts, pending, receipts
from service.bulk.parts import finish, store
from service.bulk.plan import Plan, Stretch
from service.bulk.progress import Progress
from service.bulk.records import read_parts
from service.bulk.storage import Storage

_TRIES = 5
_TASK_RETRIES = 2
_CONNECT_SECONDS = 15.0
_WAIT_SECONDS = 2.0
_LOST = (CancelledError, ConnectionError, KilledWorker, CommClosedError)
"""What a lost worker or connection looks like from the client."""


class RunOnWorker(distributed.WorkerPlugin):  # type: ignore[misc]
    """Carries the plan and the version's files to each worker, and loads the model there, once."""

    def __init__(self, plan: Plan, output: Storage, version: Path) -> None:
        self.name = run_name(plan, output)
        self.plan = plan
        self.output = output
        self.files = {path.name: path.read_bytes() for path in version.iterdir()}
        self.classifier: Classifier | None = None

    def setup(self, worker: Any) -> None:
        """Writes the version into the worker's own folder; ArtifactError where it did not arrive as it was sent."""
        folder = Path(worker.local_directory) / f"vigie-{self.plan.digest}"
        if not folder.exists():  # never over a version that may be mapped
            staged = Path(tempfile.mkdtemp(dir=worker.local_directory))
            for name, content in self.files.items():
                (staged / name).write_bytes(content)
            staged.replace(folder)
        self.files = {}
        self.classifier = Classifier.load(folder)


def run_name(plan: Plan, output: Storage) -> str:
    """What the plug-in of a run is called; the same when the run is taken up again."""
    content = orjson.dumps([plan.to_json(), output.address])
    return f"vigie-{hashlib.sha256(content).hexdigest()[:16]}"


def run_on_cluster(
    plan: Plan,
    output: Storage,
    version: Path,
    progress: Progress,
    jobs: int,
    scheduler: str | None,
) -> None:
    """Does what is missing on a Dask cluster: the one at `scheduler`, or one of `jobs` workers made here for this run."""
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what is lost is told below
    with _scheduler(jobs, scheduler) as address:
        for attempt in range(_TRIES):
            try:
                _attempt(plan, output, version, progress, address)
            except _LOST as error:
                if attempt == _TRIES - 1:
                    raise BulkError(f"{address}: the cluster was lost: {error}") from error
                progress.note(f"connection or workers lost ({type(error).__name__}); going on")
                time.sleep(_WAIT_SECONDS)
            else:
                return


@contextlib.contextmanager
def _scheduler(jobs: int, scheduler: str | None) -> Iterator[str]:
    if scheduler is not None:
        yield scheduler
        return
    with distributed.LocalCluster(
        n_workers=jobs, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def _attempt(plan: Plan, output: Storage, version: Path, progress: Progress, address: str) -> None:
    """Submits what is missing and waits for it."""
    done = receipts(output)
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(f"no answer: {error}") from error
    name = run_name(plan, output)
    with client:
        try:
            client.register_plugin(RunOnWorker(plan, output, version))
        except ImportError as error:
            raise BulkError(f"{address}: the workers lack what the run needs: {error}") from error
        futures = [
            client.submit(do_stretch, name, stretch, pure=False, retries=_TASK_RETRIES)
            for stretch in pending(plan, done)
        ]
        for future in distributed.as_completed(futures, loop=client.loop):
            outcome = future.result()
            if isinstance(outcome, str):
                raise BulkError(outcome)
            progress.add(*outcome)
        client.unregister_worker_plugin(name)


def do_stretch(name: str, stretch: Stretch) -> tuple[int, int, int] | str:
    """What a worker does: the missing parts of a stretch. Returns weight, passages and rejects; what no retry would mend as words."""
    run: RunOnWorker = distributed.get_worker().plugins[name]
    classifier = run.classifier
    assert classifier is not None  # noqa: S101 - `setup` ran
    weight = passages = rejects = 0
    try:
        for part in read_parts(run.plan, stretch, Receipts(run.output)):
            receipt = store(run.output, finish(run.plan, part, classifier))
            weight += receipt.weight
            passages += receipt.passages
            rejects += receipt.rejects
    except VigieError as error:
        return str(error)
    return weight, passages, rejects
