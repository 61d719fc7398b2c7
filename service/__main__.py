"""Command line of the service: ``python -m service {serve,classify,bulk,models,keys,feedback,database}``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.errors import VigieError
from service.commands import add_commands

REGISTRY = Path("var/registry")
DONE, FAILED = 0, 1
INTERRUPTED = 130
_BATCH = 256


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except VigieError as error:
        print(f"error: {error}", file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except OSError as error:
        print(f"error: {error.filename or 'writing'}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="answer over HTTP")
    _add_model_options(serve)
    serve.add_argument("--host", metavar="H", help="default: 127.0.0.1, or VIGIE_HOST")
    serve.add_argument("--port", type=int, metavar="P", help="default: 8000, or VIGIE_PORT")
    serve.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: 1, or VIGIE_WORKERS"
    )
    serve.set_defaults(run=_serve)

    classify = commands.add_parser("classify", help="classify a file or standard input")
    classify.add_argument("input", nargs="?", default="-", metavar="FILE", help="text, JSONL, HTML")
    _add_model_options(classify)
    classify.add_argument(
        "--operating-point", default="balanced", choices=("balanced", "precision", "recall")
    )
    classify.add_argument("--explain", action="store_true", help="give the words behind each topic")
    classify.add_argument("--json", action="store_true", help="JSONL on a terminal too")
    classify.set_defaults(run=_classify)

    _add_bulk(commands)

    models = commands.add_parser("models", help="look at versions, change the live one")
    models.add_argument("--registry", type=Path, default=REGISTRY, metavar="DIR")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="all versions").set_defaults(run=_list)
    show = actions.add_parser("show", help="one version's manifest")
    show.add_argument("version", metavar="V")
    show.set_defaults(run=_show)
    promote = actions.add_parser("promote", help="make a version live")
    promote.add_argument("version", metavar="V")
    promote.set_defaults(run=_promote)
    actions.add_parser("rollback", help="make the version before live again").set_defaults(
        run=_rollback
    )
    diff = actions.add_parser("diff", help="passages whose topics two versions disagree on")
    diff.add_argument("versions", nargs=2, metavar="V")
    diff.add_argument("--data", required=True, metavar="PATH", help="text, JSONL or HTML")
    diff.set_defaults(run=_diff)
    add_commands(commands)
    return parser


def _add_bulk(commands: Any) -> None:
    bulk = commands.add_parser(
        "bulk", help="classify an archive, from files to files, here or on a Dask cluster"
    )
    bulk.add_argument(
        "input", metavar="INPUT", help="file, folder or glob: JSONL (also .gz, .zst), CSV, Parquet"
    )
    bulk.add_argument("output", metavar="OUTPUT", help="folder; a run that was interrupted goes on")
    _add_model_options(bulk)
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


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--registry", type=Path, metavar="DIR", help="default: var/registry")
    where.add_argument("--model", type=Path, metavar="DIR", help="folder of one version")


def _serve(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from service.server import serve
    from service.settings import Settings

    settings = Settings.from_environment()
    given = {
        name: getattr(options, name)
        for name in ("registry", "model", "host", "port", "workers")
        if getattr(options, name) is not None
    }
    if "registry" in given:
        given["model"] = None
    serve(replace(settings, **given))
    return DONE


def _classify(options: argparse.Namespace) -> int:
    from itertools import islice

    from model.classifier import Classifier
    from model.registry import resolve
    from service.inputs import read_input
    from service.results import Asked, classify
    from service.settings import Settings
    from service.tables import print_results

    settings = Settings.from_environment()
    folder = resolve(options.model or settings.model, options.registry or settings.registry)
    classifier = Classifier.load(folder)
    asked = Asked(options.operating_point, options.explain)
    passages = read_input(options.input)
    as_table = sys.stdout.isatty() and not options.json
    listed = []
    while batch := list(islice(passages, _BATCH)):
        identifiers, texts = zip(*batch, strict=True)
        results = classify(classifier, texts, asked, identifiers, settings.max_characters)
        if as_table:
            listed += list(zip(texts, results, strict=True))
            continue
        for result in results:
            print(json.dumps(result, ensure_ascii=False))
    if as_table:
        print_results(listed)
    return DONE


def _bulk(options: argparse.Namespace) -> int:
    import os

    from model.errors import BulkError
    from model.registry import resolve
    from service.settings import Settings

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
    return DONE


def _list(options: argparse.Namespace) -> int:
    from model import artifact
    from model.registry import Registry

    registry = Registry(options.registry)
    current = registry.current()
    for version in registry.versions():
        manifest = artifact.read_manifest(registry.folder(version))
        metrics, trained = manifest["metrics"], manifest["training"]
        since = f" live since {registry.live_since()}" if version == current else ""
        print(
            f"{version}  {trained['passages']} passages  "
            f"micro-F1 {metrics['micro_f1']:.3f}  macro-F1 {metrics['macro_f1']:.3f}{since}"
        )
    return DONE


def _show(options: argparse.Namespace) -> int:
    from model import artifact
    from model.registry import Registry

    manifest = artifact.verify(Registry(options.registry).folder(options.version))
    print(json.dumps(manifest, indent=1, ensure_ascii=False))
    return DONE


def _promote(options: argparse.Namespace) -> int:
    from model.registry import Registry

    Registry(options.registry).promote(options.version, reason="by hand", by="command line")
    print(f"{options.version} is live", file=sys.stderr)
    return DONE


def _rollback(options: argparse.Namespace) -> int:
    from model.registry import Registry

    version = Registry(options.registry).rollback(by="command line")
    print(f"{version} is live", file=sys.stderr)
    return DONE


def _diff(options: argparse.Namespace) -> int:
    from model.classifier import Classifier
    from model.registry import Registry
    from service.difference import differences
    from service.inputs import read_input

    registry = Registry(options.registry)
    old, new = (Classifier.load(registry.folder(version)) for version in options.versions)
    changed = 0
    for difference in differences(old, new, list(read_input(options.data))):
        print(json.dumps(difference, ensure_ascii=False))
        changed += 1
    print(f"{changed} passages changed topics", file=sys.stderr)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
