"""Speed and memory of the classifier beside the scikit-learn pipeline and fastText, in one run on one core.

usage: python tests/benchmarks/bench.py [--registry DIR] [--texts FILE] [--json FILE] [--quick]

Method: all three learn from the same passages and score the same texts (real news where `--texts` or ../shared holds it, else the
project's passages). Each measure is taken in turns, one scorer after another, several rounds; the median is printed, and the ratio to
the scikit-learn pipeline. Fresh processes are started for load time and peak memory. What else runs on the machine blurs every figure
alike; ratios hold better.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import fasttext  # noqa: E402
import joblib  # noqa: E402
import numpy as np  # noqa: E402

from model import Classifier, Taxonomy  # noqa: E402
from model.text import words  # noqa: E402
from training.passages import Passage, read_passages  # noqa: E402
from training.train import train  # noqa: E402

POOL = ROOT.parent / "shared" / "real-news" / "pool"
LENGTHS = (10, 100, 1000, 10_000)
TOPICS = (24, 100, 300, 1000)
_BLOCK = 50
"""Passages that a scorer answers one by one before it is the next one's turn."""
Score = Callable[[Sequence[str]], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--registry", type=Path, default=ROOT / "var" / "registry")
    parser.add_argument("--texts", type=Path, nargs="*", help="JSONL files with a text each line")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rounds = 3 if options.quick else 9
    folder = options.registry / "current"
    texts, source = load_texts(options.texts)
    figures: dict[str, Any] = {"machine": machine(), "texts": source}
    show_head(figures)
    with tempfile.TemporaryDirectory() as scratch:
        fast = train_fasttext(Path(scratch))
        scorers = load_scorers(folder, fast)
        figures["single_us"] = single(scorers, texts, rounds)
        figures["batch_per_s"] = batches(scorers, texts, rounds)
        figures["fresh_process"] = fresh_processes(folder, fast, texts[0])
        figures["length_us"] = lengths(scorers, texts, rounds)
        figures["topics_us"] = topics(Path(scratch), texts, rounds)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def load_texts(paths: Sequence[Path] | None) -> tuple[list[str], str]:
    """Texts cut to the lengths that passages have: each to that of a passage of the project's, drawn at random."""
    if not paths and POOL.is_dir():
        paths = sorted(POOL.glob("*.jsonl.gz"))
    if paths:
        rows = [json.loads(line) for path in paths for line in lines(path)]
        texts = [f"{row.get('title') or ''} {row['text']}".strip() for row in rows]
        source = "real news"
    else:
        texts = [p.text for p in read_passages([ROOT / "training" / "data"])]
        source = "the project's passages"
    generator = np.random.default_rng(0)
    sizes = [len(p.text.split()) for p in read_passages([ROOT / "training" / "data"])]
    drawn = generator.choice(sizes, len(texts)).tolist()
    cut = [" ".join(text.split()[:size]) for text, size in zip(texts, drawn, strict=True)]
    order = generator.permutation(len(cut))
    shuffled = [cut[i] for i in order.tolist() if len(cut[i].split()) >= 8]
    median = statistics.median(len(text.split()) for text in shuffled)
    return shuffled, f"{source}: {len(shuffled)} passages, median {median:.0f} words"


def lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open() as stream:
        return list(stream)


def machine() -> dict[str, str]:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "cpu": f"{model}, one core of {os.cpu_count()}",
        "load": load,
        "python": platform.python_version(),
        **{name: installed(name) for name in ("numpy", "scikit-learn", "fasttext-wheel")},
    }


def show_head(figures: dict[str, Any]) -> None:
    for key, value in figures["machine"].items():
        print(f"{key:16} {value}")
    print(f"{'texts':16} {figures['texts']}\n")


def train_fasttext(scratch: Path) -> Path:
    """fastText on the same passages: one-vs-all loss, words and pairs of words, its customary settings."""
    data = scratch / "fasttext.txt"
    with data.open("w", encoding="utf-8") as stream:
        for passage in read_passages([ROOT / "training" / "data"]):
            labels = " ".join(f"__label__{topic}" for topic in passage.topics or ("none",))
            stream.write(f"{labels} {plain(passage.text)}\n")
    model = fasttext.train_supervised(
        str(data), loss="ova", wordNgrams=2, epoch=25, lr=0.5, bucket=200_000, thread=1, verbose=0
    )
    path = scratch / "fasttext.bin"
    model.save_model(str(path))
    return path


def plain(text: str) -> str:
    """A text as fastText wants it: lower case, words parted by spaces."""
    return " ".join(words(text.lower()))


def load_scorers(folder: Path, fast: Path) -> dict[str, Score]:
    classifier = Classifier.load(folder)
    pipeline = joblib.load(folder / "pipeline.joblib")
    model = fasttext.load_model(str(fast))
    return {
        "vigie": classifier.predict_proba,
        "scikit-learn": pipeline.predict_proba,
        "fastText": lambda texts: model.predict([plain(text) for text in texts], k=-1),
    }


def medians(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each task, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


def single(scorers: dict[str, Score], texts: list[str], rounds: int) -> dict[str, float]:
    """Median microseconds for one passage at a time, over different passages."""
    for score in scorers.values():
        score(texts[:300])
    taken: dict[str, list[float]] = {name: [] for name in scorers}
    for turn in range(3 * rounds):
        block = texts[300 + turn * _BLOCK : 300 + (turn + 1) * _BLOCK]
        for name, score in scorers.items():
            for text in block:
                started = time.perf_counter()
                score([text])
                taken[name].append((time.perf_counter() - started) * 1e6)
    found = {name: statistics.median(values) for name, values in taken.items()}
    print("One passage, µs")
    for name, value in found.items():
        print(f"  {name:14} {value:10.1f}   × {found['scikit-learn'] / value:.1f}")
    return found


def batches(scorers: dict[str, Score], texts: list[str], rounds: int) -> dict[str, Any]:
    """Passages a second in batches of several sizes."""
    print("\nBatches, passages/s")
    figures: dict[str, Any] = {}
    for size in (10, 100, 10_000):
        batch = (texts * (size // len(texts) + 1))[:size]
        repeats = max(1, 500 // size)
        tasks = {name: partial(_repeat, score, batch, repeats) for name, score in scorers.items()}
        seconds = medians(tasks, rounds if size < 1000 else max(2, rounds // 3))
        found = {name: size * repeats / value for name, value in seconds.items()}
        figures[str(size)] = found
        cells = "   ".join(
            f"{name} {value:9.0f} (× {value / found['scikit-learn']:.1f})"
            for name, value in found.items()
        )
        print(f"  {size:6}  {cells}")
    return figures


def _repeat(score: Score, batch: Sequence[str], times: int) -> None:
    for _ in range(times):
        score(batch)


FRESH = {
    "vigie": "from model import Classifier\nprint(len(Classifier.load(FOLDER).predict([TEXT])))",
    "scikit-learn": (
        "import joblib\nprint(len(joblib.load(FOLDER + '/pipeline.joblib').predict_proba([TEXT])))"
    ),
    "fastText": "import fasttext\nprint(len(fasttext.load_model(FAST).predict([TEXT], k=-1)))",
}


def fresh_processes(folder: Path, fast: Path, text: str) -> dict[str, Any]:
    """Seconds from start to the first answer, and peak memory, of a fresh process."""
    print("\nA fresh process to its first answer")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    figures = {}
    for name, program in FRESH.items():
        head = f"FOLDER, FAST, TEXT = {str(folder)!r}, {str(fast)!r}, {text!r}\n"
        peak = "\nprint(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
        taken, memory = [], 0.0
        for _ in range(5):
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", head + program + peak],
                cwd=ROOT,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            )
            taken.append(time.perf_counter() - started)
            memory = int(done.stdout.split()[-1]) / 1024
        figures[name] = {"seconds": statistics.median(taken), "peak_mb": memory}
        print(f"  {name:14} {figures[name]['seconds']:6.2f} s   {memory:6.0f} MB")
    return figures


def lengths(scorers: dict[str, Score], texts: list[str], rounds: int) -> dict[str, Any]:
    """Microseconds a passage as it grows."""
    print("\nGrowth with length, µs (and µs a word)")
    all_words = " ".join(texts[:2000]).split()
    figures = {}
    for length in LENGTHS:
        text = " ".join(all_words[:length])
        tasks = {
            name: (lambda score=score, text=text: score([text])) for name, score in scorers.items()
        }
        found = {name: value * 1e6 for name, value in medians(tasks, rounds).items()}
        figures[str(length)] = found
        cells = "   ".join(f"{n} {v:9.0f} ({v / length:.2f})" for n, v in found.items())
        print(f"  {length:6} words  {cells}")
    return figures


def topics(scratch: Path, texts: list[str], rounds: int) -> dict[str, float]:
    """Microseconds a passage as topics grow, with a taxonomy drawn at random over the project's passages."""
    print("\nGrowth with topics, µs a passage (and batch of 1,000, passages/s)")
    passages = read_passages([ROOT / "training" / "data"])[::12]
    generator = np.random.default_rng(0)
    figures = {}
    for count in TOPICS:
        slugs = [f"t{n:04}" for n in range(count)]
        labelled = [
            Passage(p.id, p.text, (slugs[int(generator.integers(count))],), p.event, p.lang)
            for p in passages
        ]
        train(labelled, Taxonomy.from_slugs(slugs), scratch / f"topics{count}", jobs=1)
        classifier = Classifier.load(scratch / f"topics{count}")
        classifier.predict_proba(texts[:200])
        one = medians(
            {"": lambda c=classifier: [c.predict_proba([t]) for t in texts[:100]]}, rounds
        )
        many = medians({"": lambda c=classifier: c.predict_proba(texts[:1000])}, 3)
        figures[str(count)] = one[""] / 100 * 1e6
        print(f"  {count:6} topics  {one[''] / 100 * 1e6:8.1f}   {1000 / many['']:10.0f}")
    return figures


if __name__ == "__main__":
    main()
