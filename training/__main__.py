"""Command line of training: ``python -m training {train,evaluate,retrain,search,validate}``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import VigieError

if TYPE_CHECKING:
    from model.taxonomy import Taxonomy
    from training.passages import Passage

DATA = Path(__file__).with_name("data")
REGISTRY = Path("var/registry")
FROM_DATA = "from-data"
DONE, FAILED = 0, 1
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except VigieError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or 'writing'}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; nothing was left half-written", file=sys.stderr)
        return INTERRUPTED
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a model and write it to a folder")
    train.add_argument("--data", type=Path, nargs="+", required=True, metavar="PATH", help=_DATA)
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    train.add_argument(
        "--taxonomy",
        metavar="FILE",
        help=f"topics as a JSON file, or {FROM_DATA}: those that the passages have; default: ours",
    )
    train.add_argument(
        "--large",
        action=argparse.BooleanOptionalAction,
        help="through files, with one part of the events held out; default: from 100,000 passages on",
    )
    _add_fit_options(train)
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="measure a model on labelled passages")
    evaluate.add_argument("--model", type=Path, required=True, metavar="DIR")
    evaluate.add_argument("--data", type=Path, nargs="+", required=True, metavar="PATH", help=_DATA)
    evaluate.add_argument("--json", action="store_true", help="print JSON rather than a table")
    evaluate.set_defaults(run=_evaluate)

    retrain = commands.add_parser(
        "retrain",
        help="train a challenger; it goes live unless it is worse than the live model",
    )
    retrain.add_argument("--data", type=Path, nargs="+", default=[DATA], metavar="PATH", help=_DATA)
    retrain.add_argument(
        "--feedback",
        metavar="URL",
        help="reviewed feedback: the service's database, env for the one that VIGIE_DATABASE_URL names, or a JSONL file that was exported",
    )
    retrain.add_argument("--registry", type=Path, default=REGISTRY, metavar="DIR")
    retrain.add_argument("--dry-run", action="store_true", help="compare, but change nothing")
    retrain.add_argument("--json", action="store_true", help="print JSON rather than a table")
    _add_fit_options(retrain)
    retrain.set_defaults(run=_retrain)

    search = commands.add_parser("search", help="look for better parameters, here or on a cluster")
    search.add_argument("--data", type=Path, nargs="+", required=True, metavar="PATH", help=_DATA)
    search.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON to write")
    search.add_argument(
        "--grid",
        default="default",
        metavar="FILE",
        help='values to combine, as {"C": [5, 20], "min_df": [2, 3]}; default: C and concept_scale',
    )
    search.add_argument("--taxonomy", metavar="FILE", help="as for train")
    search.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster; default: processes here"
    )
    _add_fit_options(search)
    search.set_defaults(run=_search)

    validate = commands.add_parser("validate", help="look for mistakes in labelled passages")
    validate.add_argument("data", type=Path, nargs="+", metavar="PATH", help=_DATA)
    validate.add_argument(
        "--taxonomy", metavar="FILE", help=f"as for train; {FROM_DATA} takes any topic"
    )
    validate.set_defaults(run=_validate)
    return parser


_DATA = "file or folder of passages: JSONL, CSV, Parquet, Label Studio JSON, doccano JSONL"


def _add_fit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--jobs", type=int, default=-1, metavar="N", help="fits side by side; default: all cores"
    )


def _train(options: argparse.Namespace) -> int:
    from training.passages import read_passages
    from training.progress import progress
    from training.train import train

    taxonomy = _taxonomy(options.taxonomy)
    passages = read_passages(options.data, None if taxonomy is None else taxonomy.slugs)
    with progress() as report:
        version = train(
            passages,
            taxonomy or _taxonomy_of(passages),
            options.out,
            seed=options.seed,
            jobs=options.jobs,
            large=options.large,
            progress=report,
        )
    print(f"{version} trained on {len(passages)} passages: {options.out}", file=sys.stderr)
    print(version)
    return DONE


def _evaluate(options: argparse.Namespace) -> int:
    from model import Classifier
    from training.evaluation import evaluate, label_matrix
    from training.passages import read_passages
    from training.tables import print_evaluation

    classifier = Classifier.load(options.model)
    passages = read_passages(options.data)
    unknown = sorted({t for p in passages for t in p.topics} - set(classifier.topics))
    if unknown:
        print(
            f"warning: the model does not have {len(unknown)} of the topics, which are left out: "
            + ", ".join(unknown),
            file=sys.stderr,
        )
    texts = [p.text for p in passages]
    figures = evaluate(
        label_matrix([p.topics for p in passages], classifier.topics),
        classifier.predict_proba(texts),
        classifier.decide(texts),
        classifier.thresholds(),
        classifier.topics,
        [p.lang for p in passages],
    )
    figures["model"] = classifier.version
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print_evaluation(figures)
    return DONE


def _retrain(options: argparse.Namespace) -> int:
    from training.feedback import Feedback
    from training.progress import progress
    from training.retrain import retrain
    from training.tables import print_retraining

    with progress() as report:
        outcome = retrain(
            options.data,
            options.registry,
            seed=options.seed,
            jobs=options.jobs,
            dry_run=options.dry_run,
            feedback=None if options.feedback is None else Feedback.of(options.feedback),
            progress=report,
        )
    if options.json:
        print(json.dumps(outcome.to_json(), indent=1, ensure_ascii=False))
    else:
        print_retraining(outcome)
    return DONE


def _search(options: argparse.Namespace) -> int:
    from training.pipeline import Parameters
    from training.progress import progress
    from training.search import (
        DEFAULT_GRID,
        Cluster,
        Here,
        candidates,
        read_grid,
        search,
        write_search,
    )
    from training.tables import print_search

    taxonomy = _taxonomy(options.taxonomy)
    grid = DEFAULT_GRID if options.grid == "default" else read_grid(Path(options.grid))
    with progress() as report:
        found = search(
            options.data,
            None if taxonomy is None else taxonomy.slugs,
            candidates(grid, Parameters.load()),
            Here(options.jobs) if options.scheduler is None else Cluster(options.scheduler),
            seed=options.seed,
            progress=report,
        )
    write_search(options.out, found)
    print_search(found)
    return DONE


def _validate(options: argparse.Namespace) -> int:
    from training.tables import print_counts
    from training.validation import validate

    taxonomy = _taxonomy(options.taxonomy)
    findings = validate(options.data, None if taxonomy is None else taxonomy.slugs)
    for error in findings.errors:
        print(error)
    print_counts(findings.passages)
    print(f"{len(findings.passages)} passages, {len(findings.errors)} mistakes", file=sys.stderr)
    return FAILED if findings.errors or not findings.passages else DONE


def _taxonomy(option: str | None) -> Taxonomy | None:
    """The taxonomy that an option asks for; None where the passages decide."""
    from model.taxonomy import Taxonomy

    if option == FROM_DATA:
        return None
    return Taxonomy.default() if option is None else Taxonomy.load(Path(option))


def _taxonomy_of(passages: Sequence[Passage]) -> Taxonomy:
    from model.taxonomy import Taxonomy

    return Taxonomy.from_slugs(topic for passage in passages for topic in passage.topics)


if __name__ == "__main__":
    sys.exit(main())
