"""The command ``python -m service bulk``. Heavy imports wait until it runs."""

from __future__ import annotations

import argparse
import os
from typing import Any

from model.errors import BulkError
from model.registry import resolve
from service.settings import Settings


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to those of ``python -m service``; returns its parser, for the options that say which model."""
    bulk: argparse.ArgumentParser = commands.add_parser(
        "bulk", help="classify an archive, from files to files, here or on a Dask cluster"
    )
    bulk.add_argument(
        "input", metavar="INPUT", help="file, folder or glob: JSONL (also .gz, .zst), CSV, Parquet"
    )
    bulk.add_argument("output", metavar="OUTPUT", help="folder; a run that was interrupted goes on")
    bulk.add_argument("--engine", default="local", choices=("local", "dask"))
    bulk.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster; default: one made for the run"
    )
    bulk.add_argument("--jobs", type=int, metavar="N", help="processes; default: one a core")
    bulk.add_argument("--text-column", default="text", metavar="NAME", help="default: text")
    bulk.add_argument(
        "--id-column", metavar="NAME", help="default: id, or file and row where there is none"
    )
    bulk.add_argument("--articles", action="store_true", help="texts are articles: a row a passage")
    bulk.add_argument("--html", action="store_true", help="articles are HTML")
    bulk.add_argument("--drop-text", action="store_true", help="leave the text out of the output")
    bulk.add_argument(
        "--format",
        choices=("parquet", "jsonl", "jsonl.gz", "jsonl.zst"),
        help="default: parquet for Parquet, else jsonl",
    )
    bulk.add_argument(
        "--operating-point", default="balanced", choices=("balanced", "precision", "recall")
    )
    bulk.add_argument(
        "--part-rows",
        type=int,
        default=10_000,
        metavar="N",
        help="rows a part, about; default: 10000",
    )
    bulk.add_argument("--restart", action="store_true", help="remove an earlier run's files first")
    bulk.set_defaults(run=_bulk, parser=bulk)
    return bulk


def _bulk(options: argparse.Namespace) -> int:
    for name in ("jobs", "part_rows"):
        if (value := getattr(options, name)) is not None and value < 1:
            options.parser.error(f"--{name.replace('_', '-')}: expected 1 or more, got {value}")
    if options.html and not options.articles:
        options.parser.error("--html goes with --articles")
    if options.scheduler and options.engine != "dask":
        options.parser.error("--scheduler goes with --engine dask")
    settings = Settings.from_environment()
    folder = resolve(options.model or settings.model, options.registry or settings.registry)
    try:
        from service.bulk.plan import ARTICLES, PASSAGES, Options
        from service.bulk.run import Engine, run
    except ImportError as error:
        raise BulkError(f'{error.name} is missing: pip install "vigie[bulk]"') from None
    asked = Options(
        options.text_column,
        options.id_column,
        ARTICLES if options.articles else PASSAGES,
        options.html,
        options.drop_text,
        options.format,
        options.operating_point,
        options.part_rows,
        settings.max_characters,
    )
    jobs = options.jobs or len(os.sched_getaffinity(0))
    engine = Engine(options.engine, jobs, options.scheduler)
    manifest = run(options.input, options.output, asked, folder, engine, options.restart)
    print(
        f"{manifest['passages']:,} passages in {len(manifest['parts']):,} parts, "
        f"{manifest['rejects']:,} rejects, version {manifest['model']}: {options.output}"
    )
    return 0
