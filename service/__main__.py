"""Command line of the service: ``python -m service {serve,classify,bulk,models,keys,feedback,database}``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from model.errors import VigieError
from service.bulk import command as bulk
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
    classify.add_argument(
        "input",
        nargs="?",
        default="-",
        metavar="FILE",
        help="JSONL, a passage a line; or text or HTML, an article whose paragraphs are passages, without page furniture",
    )
    _add_model_options(classify)
    classify.add_argument(
        "--operating-point", default="balanced", choices=("balanced", "precision", "recall")
    )
    classify.add_argument("--explain", action="store_true", help="give the words behind each topic")
    classify.add_argument("--json", action="store_true", help="JSONL on a terminal too")
    classify.set_defaults(run=_classify)

    _add_model_options(bulk.add_command(commands))

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
