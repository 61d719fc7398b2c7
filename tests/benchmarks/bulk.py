"""Bulk classification measured: a Parquet file of real-length passages to Parquet, beside the scorer alone and a plain loop.

    python tests/benchmarks/bulk.py --registry var/registry --rows 1000000 --jobs 2

In one run over the same file: the scorer's own batch rate (one process, texts in memory), `python -m service bulk`, a loop of
scikit-learn and joblib with as many processes, and the scorer again, since machines drift; `--rounds` repeats all of it. Passages are made
by joining halves of the project's own. Memory is the proportional set size of all processes together, looked at five times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import joblib
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from model import Classifier, Registry  # noqa: E402

SCORED_ALONE = 20_000
SCORED_SECONDS = 8.0
ROW_GROUP = 100_000


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--registry", type=Path, default=Path("var/registry"))
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--engine", default="local", choices=("local", "dask"))
    parser.add_argument("--rounds", type=int, default=1, help="measurements of each size")
    parser.add_argument("--no-loop", action="store_true", help="leave the plain loop out")
    parser.add_argument("--folder", type=Path, help="for the files; default: a temporary one")
    options = parser.parse_args()
    version = Registry(options.registry).current_folder().resolve()
    print(f"{platform.platform()}, Python {platform.python_version()}, {options.jobs} processes")
    print(f"load before: {os.getloadavg()[0]:.1f}\n")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure(rows, version, Path(folder), options)


def measure(rows: int, version: Path, folder: Path, options: argparse.Namespace) -> None:
    """One size, in as many rounds as asked for."""
    source = folder / "in.parquet"
    length = write_passages(source, rows)
    print(f"{rows:,} passages of {length:.0f} characters, {source.stat().st_size / 1e6:.0f} MB")
    for _ in range(options.rounds):
        compare(rows, source, version, folder, options)


def compare(
    rows: int, source: Path, version: Path, folder: Path, options: argparse.Namespace
) -> None:
    """One round: the scorer, the run, the loop, the scorer."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    before = score_alone(version, source)
    command = [sys.executable, "-m", "service", "bulk", source, folder / "out"]
    command += ["--model", version, "--jobs", options.jobs, "--engine", options.engine]
    seconds, cpu, memory = watch([str(part) for part in command])
    report(f"service bulk, {options.engine}", rows, seconds, cpu, memory)
    bulk_rate, bulk_cpu = rows / seconds, cpu / rows * 1e6
    if not options.no_loop:
        # By its module's name: joblib's processes find functions of a module, not of a script.
        script = "import sys, bulk; bulk.loop(*sys.argv[1:])"
        plain = [sys.executable, "-c", script, source, folder / "loop.parquet", version]
        seconds, cpu, memory = watch([str(part) for part in (*plain, options.jobs)])
        report("scikit-learn + joblib", rows, seconds, cpu, memory)
    after = score_alone(version, source)
    for when, (rate, own) in (("before", before), ("after", after)):
        print(f"  scorer alone, {when:6}     {'':9}  {rate:8,.0f}/s  {own:6.1f} µs CPU a passage")
    alone = (before[0] + after[0]) / 2
    print(
        f"  bulk / ({options.jobs} x scorer): {bulk_rate / (options.jobs * alone):.2f} by the clock, "
        f"{(before[1] + after[1]) / 2 / bulk_cpu:.2f} by processor time\n"
    )


def write_passages(path: Path, rows: int) -> float:
    """Writes passages; returns their mean length in characters."""
    texts = [
        json.loads(line)["text"].split()
        for file in sorted((ROOT / "training" / "data").glob("*/*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    chance = random.Random(1)
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    characters = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, ROW_GROUP):
            n = min(ROW_GROUP, rows - start)
            made = [" ".join(join(chance.choice(texts), chance.choice(texts))) for _ in range(n)]
            characters += sum(map(len, made))
            ids = [f"{start + i:010}" for i in range(n)]
            writer.write_table(pa.table({"id": ids, "text": made}, schema=schema))
    return characters / rows


def join(first: list[str], second: list[str]) -> list[str]:
    """The first half of one passage and the second of another."""
    return first[: len(first) // 2] + second[len(second) // 2 :]


def score_alone(version: Path, source: Path) -> tuple[float, float]:
    """Texts a second that one process scores, read and warm; and microseconds of processor time for each."""
    classifier = Classifier.load(version)
    batches = pq.ParquetFile(source).iter_batches(SCORED_ALONE, columns=["text"])
    texts = next(batches).column("text").to_pylist()
    classifier.predict_proba(texts)
    began, cpu, scored = time.perf_counter(), time.process_time(), 0
    while (seconds := time.perf_counter() - began) < SCORED_SECONDS:
        for start in range(0, len(texts), 1000):
            classifier.predict_proba(texts[start : start + 1000])
        scored += len(texts)
    return scored / seconds, (time.process_time() - cpu) / scored * 1e6


def watch(command: list[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds of all processes, and their peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peaks = [0.0]
    watcher = threading.Thread(target=_sample, args=(process, peaks))
    watcher.start()
    process.wait()
    seconds = time.perf_counter() - began
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(f"{command[:5]}: exit {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, max(peaks)


def _sample(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    while process.poll() is None:
        peaks.append(sum(_memory(pid) for pid in _tree(process.pid)))
        time.sleep(0.2)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listed.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _tree(int(child))


def _memory(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def report(name: str, rows: int, seconds: float, cpu: float, memory: float) -> None:
    """One line of the table."""
    print(
        f"  {name:24} {seconds:7.1f} s  {rows / seconds:8,.0f}/s  "
        f"{cpu / rows * 1e6:6.1f} µs CPU a passage  {memory:5.0f} MB",
        flush=True,
    )


def loop(source: str, output: str, version: str, jobs: str) -> None:
    """What one would write without the project: batches through the fitted pipeline, probabilities to Parquet."""
    score = joblib.delayed(score_batch)
    batches = pq.ParquetFile(source).iter_batches(10_000)
    run = joblib.Parallel(n_jobs=int(jobs), return_as="generator")
    writer = None
    for table in run(score(version, batch.to_pydict()) for batch in batches):
        writer = writer or pq.ParquetWriter(output, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def score_batch(version: str, batch: dict[str, list[str]]) -> pa.Table:
    """A batch with its probabilities, a column a topic."""
    probabilities = fitted(version).predict_proba(batch["text"])
    topics = {f"score_{i}": column for i, column in enumerate(probabilities.T)}
    return pa.table({**batch, **topics})


@cache
def fitted(version: str) -> object:
    """The fitted pipeline, loaded once a process."""
    return joblib.load(Path(version) / "pipeline.joblib")


if __name__ == "__main__":
    main()
