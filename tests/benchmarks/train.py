"""Training measured: what it costs with ever more passages, through memory and through files.

    python tests/benchmarks/train.py --passages 18000 100000 --way memory files --jobs 2

Passages are made from the project's own: the first half of one and the second half of another of the same topics, some words put in place
of others, some of them never seen before. They serve for time and memory alone; how good the model is on them says nothing. Memory is the
proportional set size of all processes together, looked at five times a second: what is theirs, and pages of mapped files, which the
system can take back.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from bulk import _tree

ROOT = Path(__file__).resolve().parents[2]
CHANGED = 0.1
NEW = 0.01
WAYS = {"memory": ["--no-large"], "files": ["--large"]}


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, nargs="+", default=[18_000, 100_000])
    parser.add_argument("--way", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="for the files; default: a temporary one")
    options = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {options.jobs} processes")
    print(f"load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for n in options.passages:
            data = Path(folder) / f"{n}.jsonl"
            write_passages(data, n)
            for way in options.way:
                measure(data, n, way, options.jobs, Path(folder) / "version")
            data.unlink()


def write_passages(path: Path, n: int) -> None:
    """Writes passages made up from the project's own, the same ones every time."""
    by_topics = defaultdict(list)
    for file in sorted((ROOT / "training" / "data").glob("*/*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            passage = json.loads(line)
            by_topics[passage["lang"], *passage["topics"]].append(passage)
    alike = [group for group in by_topics.values() if len(group) > 1]
    sizes = [len(group) for group in alike]
    chance = random.Random(1)
    everyword = [word for group in alike for passage in group for word in passage["text"].split()]
    with path.open("w", encoding="utf-8") as stream:
        for number in range(n):
            (group,) = chance.choices(alike, sizes)
            first, second = chance.sample(group, 2)
            words = first["text"].split(), second["text"].split()
            joined = words[0][: len(words[0]) // 2] + words[1][len(words[1]) // 2 :]
            for place in range(len(joined)):
                if chance.random() < CHANGED:
                    joined[place] = chance.choice(everyword)
                elif chance.random() < NEW:
                    joined[place] = f"{joined[place].strip('.,')}{chance.randrange(10**6)}"
            made = {**first, "id": f"m{number}", "text": " ".join(joined)}
            stream.write(json.dumps(made, ensure_ascii=False) + "\n")


def measure(data: Path, n: int, way: str, jobs: int, out: Path) -> None:
    """One training, in a line."""
    command = [sys.executable, "-m", "training", "train", "--data", str(data), "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--jobs", str(jobs), *WAYS[way]],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peaks = {"own": 0, "mapped": 0, "disk": 0}
    watcher = threading.Thread(target=sample, args=(process, out.parent, peaks))
    watcher.start()
    process.wait()
    seconds = time.perf_counter() - began
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6 if out.exists() else 0
    print(
        f"{n:9,} {way:7} {seconds:8.1f} s  {cpu:8.1f} s of processor  {peaks['own']:6.0f} MB own  "
        f"{peaks['mapped']:6.0f} MB mapped  {peaks['disk']:6.0f} MB of files  version {size:.0f} MB"
        f"{'' if process.returncode == 0 else f'  exit {process.returncode}'}",
        flush=True,
    )


def sample(process: subprocess.Popen[bytes], folder: Path, peaks: dict[str, float]) -> None:
    """Looks at the memory of the processes until they end, in MB."""
    while process.poll() is None:
        own = mapped = 0
        for pid in _tree(process.pid):
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            sizes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
            own += int(sizes.get("Pss_Anon", 0)) + int(sizes.get("Pss_Shmem", 0))
            mapped += int(sizes.get("Pss_File", 0))
        peaks["own"] = max(peaks["own"], own / 1000)
        peaks["mapped"] = max(peaks["mapped"], mapped / 1000)
        staged = sum(p.stat().st_size for p in folder.glob(".staging-*/*") if p.exists())
        peaks["disk"] = max(peaks["disk"], staged / 1e6)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
