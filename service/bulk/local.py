"""The local engine: one process reads ahead, others score, and in each of those a thread writes.

A worker has a pipe of its own and nothing else in common with the reader, so it sees the reader's death as the end of the pipe, and
the reader sees its death the same way. The tables are memory-mapped files, shared by all.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import queue
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from model.classifier import Classifier
from model.errors import BulkError, VigieError
from service.bulk.output import PLAN, pending
from service.bulk.parts import Receipt, finish, store
from service.bulk.plan import Plan
from service.bulk.progress import Progress
from service.bulk.records import Part, read_parts
from service.bulk.storage import Storage

_MOST_AT_WORKER = 3
"""Parts at a worker: one being written, one being scored, one waiting."""

_END_SECONDS = 30.0


def run_here(
    plan: Plan,
    output: Storage,
    version: Path,
    progress: Progress,
    jobs: int,
    done: dict[str, dict[str, Any]],
) -> None:
    """Does what is missing on this machine with `jobs` worker processes."""
    with _crew(plan, output, version, jobs, progress) as crew:
        try:
            for part in _parts(plan, done):
                crew.give(part)
        except BulkError:
            crew.finish()  # what was read before the damage is whole
            raise
        crew.finish()


def _parts(plan: Plan, done: dict[str, dict[str, Any]]) -> Iterator[Part]:
    names = set(done)
    for stretch in pending(plan, done):
        yield from read_parts(plan, stretch, names)


class _Worker:
    """A worker process as the reader sees it."""

    def __init__(self, plan: Plan, output: Storage, version: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_work, args=(theirs, plan, output, version), daemon=True
        )
        self.process.start()
        theirs.close()
        self.n_parts = 0

    def send(self, part: Part) -> None:
        """Hands over a part; BulkError where the process is gone."""
        self.n_parts += 1
        try:
            self.pipe.send_bytes(pickle.dumps(part, pickle.HIGHEST_PROTOCOL))
        except OSError:
            self._raise_why()

    def receive(self) -> Receipt:
        """The receipt of a part; raises what stopped the worker."""
        try:
            found: Receipt | BaseException = self.pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(found, BaseException):
            raise found
        self.n_parts -= 1
        return found

    def _raise_why(self) -> None:
        """A worker that stops on its own says why before it closes the pipe."""
        while True:
            self.receive()

    def _death(self) -> BulkError:
        self.process.join(_END_SECONDS)
        code = self.process.exitcode
        if code is not None and code < 0:
            return BulkError(
                f"a worker process was ended by signal {-code}; was memory short? "
                "Run the same command again to go on"
            )
        return BulkError(f"a worker process failed with code {code}; its report stands above")


class _Crew:
    def __init__(self, workers: list[_Worker], progress: Progress) -> None:
        self._workers = workers
        self._by_pipe = {worker.pipe: worker for worker in workers}
        self._progress = progress

    def give(self, part: Part) -> None:
        """Hands a part to the worker with the fewest, once one has room."""
        self._collect(0.0)
        while all(worker.n_parts >= _MOST_AT_WORKER for worker in self._workers):
            self._collect(None)
        min(self._workers, key=lambda worker: worker.n_parts).send(part)

    def finish(self) -> None:
        """Waits until every part is done."""
        while any(worker.n_parts for worker in self._workers):
            self._collect(None)

    def _collect(self, timeout: float | None) -> None:
        for pipe in wait(list(self._by_pipe), timeout):
            receipt = self._by_pipe[pipe].receive()  # type: ignore[index]
            self._progress.add(receipt.weight, receipt.passages, receipt.rejects)


@contextlib.contextmanager
def _crew(
    plan: Plan, output: Storage, version: Path, jobs: int, progress: Progress
) -> Iterator[_Crew]:
    workers: list[_Worker] = []
    try:
        for _ in range(max(jobs, 1)):
            workers.append(_Worker(plan, output, version))  # noqa: PERF401 - what started must be ended
        yield _Crew(workers, progress)
    finally:
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            worker.process.join(_END_SECONDS)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.process.close()


def _work(pipe: Connection, plan: Plan, output: Storage, version: Path) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the reader ends its workers itself
    with output.joined(PLAN), pipe:
        try:
            _score_all(pipe, plan, output, _load(version, plan.digest))
        except BrokenPipeError:
            return  # the reader is gone: nobody is left to tell
        except (VigieError, OSError) as error:
            with contextlib.suppress(OSError):
                pipe.send(error)


def _load(version: Path, digest: str) -> Classifier:
    classifier = Classifier.load(version)
    if classifier.manifest["manifest_sha256"] != digest:
        raise BulkError(f"{version}: changed since the run began")
    return classifier


def _score_all(pipe: Connection, plan: Plan, output: Storage, classifier: Classifier) -> None:
    """Scores parts as they come, while one thread receives the next and another writes the one before."""
    parts: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, parts), daemon=True).start()
    with ThreadPoolExecutor(1) as writer:
        writing = None
        while (part := parts.get()) is not None:
            finished = finish(plan, part, classifier)
            if writing is not None:
                pipe.send(writing.result())
            writing = writer.submit(store, output, finished)
            del finished
            if parts.empty():
                pipe.send(writing.result())
                writing = None
        if writing is not None:
            writing.result()


def _receive(pipe: Connection, parts: queue.SimpleQueue[Part | None]) -> None:
    try:
        while True:
            parts.put(pickle.loads(pipe.recv_bytes()))  # noqa: S301 - from our own reader
    except (EOFError, OSError):
        parts.put(None)
