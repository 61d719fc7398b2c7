"""Training: passages → pipeline → calibrated, compiled version."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import scipy
import sklearn
from joblib import Parallel, delayed
from sklearn.pipeline import FeatureUnion, Pipeline
from threadpoolctl import threadpool_limits

from model import artifact
from model.classifier import BALANCED, Classifier, sigmoid
from model.language import UNDETERMINED
from model.lexicon import Lexicon
from model.review import ReviewRules
from model.taxonomy import Taxonomy
from training import calibration, evaluation, pipeline, report
from training.compile import compile_pipeline
from training.heldout import event_place, write_heldout
from training.large import FROM, fit_large
from training.passages import Passage, data_digest
from training.pipeline import Counts, Parameters
from training.progress import Progress
from training.reference import reference
from training.splits import event_folds
from training.translation import translations

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
_REFERENCE_TEXTS = 8
CURVE_SHARES = (0.125, 0.25, 0.5)
"""Shares of the events that the learning curve is measured at, besides all of them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted weights, shape (1 + n_topics, n_features), and held-out log-odds, shape (n_passages, 1 + n_topics), both calibrated.

    The first is for being in scope: having any topic at all. `judged` are the places of the passages that `held_out` is of, where it is
    not of all; `parameters` those that were used; `learning_curve` holds quality against passages.
    """

    features: FeatureUnion
    coefficients: FloatArray
    intercepts: FloatArray
    held_out: FloatArray
    parameters: Parameters
    judged: IntArray
    learning_curve: list[dict[str, float | int]]


def train(
    passages: Sequence[Passage],
    taxonomy: Taxonomy,
    out: Path,
    *,
    seed: int = 0,
    jobs: int = -1,
    parameters: Parameters | None = None,
    large: bool | None = None,
    progress: Progress = lambda *_: None,
) -> str:
    """Trains a model and writes it to the folder `out`, whole or not at all; returns its version.

    The same passages, parameters and seed give the same files, whatever `jobs`. `large` is whether to go the way of `training.large`;
    by default where there are that many passages.
    """
    parameters = parameters or Parameters.load()
    lexicon = Lexicon.default()
    y_true = evaluation.label_matrix([p.topics for p in passages], taxonomy.slugs)
    if len(passages) >= FROM if large is None else large:
        with artifact.staging(out.parent) as folder:
            fitted = _fit_large(passages, y_true, parameters, lexicon, folder, jobs, progress)
    else:
        fitted = fit(passages, y_true, parameters, lexicon, seed, jobs, progress)
    judged = [passages[i] for i in fitted.judged.tolist()]
    y_true = y_true[fitted.judged]
    held_out = sigmoid(fitted.held_out)
    scope, probabilities = held_out[:, 0], held_out[:, 1:]
    scopes, points = calibration.operating_points(probabilities, scope, y_true, taxonomy.slugs)
    thresholds = np.array([point.threshold for point in points[BALANCED]])
    given = (probabilities >= thresholds) & (scope >= scopes.thresholds[BALANCED])[:, None]
    languages = [p.lang for p in judged]
    metrics = evaluation.evaluate(
        y_true, probabilities, given, thresholds, taxonomy.slugs, languages
    )
    progress("writing", 0, 1)
    with artifact.staging(out.parent) as folder:
        assembled = pipeline.assemble(
            fitted.features, fitted.coefficients, fitted.intercepts, taxonomy.slugs
        )
        joblib.dump(assembled, folder / "pipeline.joblib", compress=3)
        compiled = compile_pipeline(assembled, folder, lexicon, fitted.parameters)
        write_heldout(folder, judged, taxonomy.slugs, given, probabilities)
        manifest = {
            "taxonomy": {"name": taxonomy.name, "version": taxonomy.version},
            "topics": taxonomy.to_json()["topics"],
            "languages": sorted({p.lang for p in passages} - {UNDETERMINED}),
            **compiled,
            "scope": {
                "bias": float(assembled.scope_.intercept_[0]),
                "thresholds": scopes.thresholds,
            },
            "operating_points": {
                name: [threshold.to_json() for threshold in listed]
                for name, listed in points.items()
            },
            "review": _review_rules(scopes).to_json(),
            "self_check": _self_check(assembled, passages),
            "training": {
                **_training_facts(passages, fitted.parameters, seed),
                "reference": reference(judged, given, taxonomy.slugs, _terms(folder)),
            },
            "metrics": metrics,
            "learning_curve": fitted.learning_curve,
            "libraries": _libraries(),
        }
        held_out_view = report.HeldOutView(judged, y_true, given, probabilities)
        report.write_report(folder, manifest, held_out_view, assembled)
        manifest = {"model_version": _version(folder, manifest), **manifest}
        artifact.write_manifest(folder, manifest)
        Classifier.load(folder)
        artifact.publish(folder, out)
    progress("writing", 1, 1)
    return str(manifest["model_version"])


def fit(
    passages: Sequence[Passage],
    y_true: BoolArray,
    parameters: Parameters,
    lexicon: Lexicon,
    seed: int,
    jobs: int,
    progress: Progress,
) -> Fit:
    """Fits on all passages, and calibrates on each passage's score by a fit that saw nothing of its event."""
    texts = [p.text for p in passages]
    translated = translations(texts, [p.lang for p in passages])
    counts = pipeline.count_terms(parameters, lexicon, texts, translated)
    y_true = np.column_stack((y_true.any(axis=1), y_true))
    folds = event_folds([p.event for p in passages], parameters.n_folds, seed)
    n_folds = int(folds.max()) + 1
    everything = np.arange(len(passages)), np.empty(0, np.int64)
    held_out_folds = [
        (np.flatnonzero(folds != f), np.flatnonzero(folds == f)) for f in range(n_folds)
    ]
    smaller = [
        (_share_of_events(passages, held_out_folds[0][0], share), held_out_folds[0][1])
        for share in CURVE_SHARES
    ]
    # The fit on everything comes first: it is the longest.
    tasks = [
        delayed(fit_on)(counts, y_true, inside, outside, parameters, lexicon, seed)
        for inside, outside in [everything, *held_out_folds, *smaller]
    ]
    progress("fitting", 0, len(tasks))
    done = []
    for fitted in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        done.append(fitted)
        progress("fitting", len(done), len(tasks))
    (features, coefficients, intercepts, _), *others = done
    held_out = np.zeros(y_true.shape)
    for (_, outside), (_, _, _, scores) in zip(held_out_folds, others, strict=False):
        held_out[outside] = scores
    curve = _learning_curve(
        y_true[:, 1:],
        [*smaller, held_out_folds[0]],
        [scores for *_, scores in [*others[n_folds:], others[0]]],
    )
    features, coefficients, intercepts = _calibrated(
        features, coefficients, intercepts, held_out, y_true
    )
    return Fit(features, coefficients, intercepts, held_out, parameters, everything[0], curve)


def _fit_large(
    passages: Sequence[Passage],
    y_true: BoolArray,
    parameters: Parameters,
    lexicon: Lexicon,
    folder: Path,
    jobs: int,
    progress: Progress,
) -> Fit:
    """As `fit`, with files in a folder, for more passages than memory would hold as matrices."""
    y_true = np.column_stack((y_true.any(axis=1), y_true))
    done = fit_large(passages, y_true, parameters, lexicon, folder, jobs, progress)
    features, coefficients, intercepts = _calibrated(
        done.features, done.coefficients, done.intercepts, done.scores, y_true[done.judged]
    )
    return Fit(features, coefficients, intercepts, done.scores, done.parameters, done.judged, [])


def _calibrated(
    features: FeatureUnion,
    coefficients: FloatArray,
    intercepts: FloatArray,
    held_out: FloatArray,
    y_true: BoolArray,
) -> tuple[FeatureUnion, FloatArray, FloatArray]:
    """Blocks, weights and biases with a sigmoid for each topic folded in, fitted to held-out log-odds; these are calibrated in place."""
    with threadpool_limits(1):
        for t in range(y_true.shape[1]):
            slope, intercept = calibration.fit_sigmoid(held_out[:, t], y_true[:, t])
            held_out[:, t] = slope * held_out[:, t] + intercept
            coefficients[t] *= slope
            intercepts[t] = slope * intercepts[t] + intercept
    # Copied, so that files are the same whether a fit came from another process or not: pickle writes what equal arrays share.
    features = pickle.loads(pickle.dumps(features))  # noqa: S301 - our own bytes
    for _, block in features.transformer_list:
        block.idf_ = _copied(block.idf_)
    return features, _copied(coefficients), _copied(intercepts)


def _copied(array: FloatArray) -> FloatArray:
    copy = np.empty(array.shape)
    copy[...] = array
    return copy


def _share_of_events(passages: Sequence[Passage], inside: IntArray, share: float) -> IntArray:
    """The passages among `inside` whose event's name hashes into the given share."""
    kept = [i for i in inside.tolist() if event_place(passages[i].event) < share]
    return np.array(kept, dtype=np.int64)


def _learning_curve(
    y_true: BoolArray, splits: Sequence[tuple[IntArray, IntArray]], scores: Sequence[FloatArray]
) -> list[dict[str, float | int]]:
    """Mean average precision on the first fold of fits on ever more passages."""
    return [
        {
            "passages": len(inside),
            "map": evaluation.mean_average_precision(y_true[outside], scored[:, 1:]),
        }
        for (inside, outside), scored in zip(splits, scores, strict=True)
        if len(inside)
    ]


def fit_on(
    counts: Mapping[str, Counts],
    y_true: BoolArray,
    inside: IntArray,
    outside: IntArray,
    parameters: Parameters,
    lexicon: Lexicon,
    seed: int,
) -> tuple[FeatureUnion | None, FloatArray, FloatArray, FloatArray]:
    """Blocks, weights and biases fitted to the passages `inside` and their translations, and the log-odds of the passages `outside`.

    The blocks and weights are needed of the fit on everything alone, and left out of the others' answer.
    """
    if not len(inside):
        return None, np.empty((0, 0)), np.empty(0), np.zeros((len(outside), y_true.shape[1]))
    learnt = {name: block.of(inside) for name, block in counts.items()}
    features, fitted, again = pipeline.fit_features(parameters, learnt, lexicon)
    labels = np.concatenate((y_true[inside], y_true[inside[again]]))
    counted = np.repeat([1.0, parameters.translated_weight], [len(inside), len(again)])
    with threadpool_limits(1):  # sums in another order end in other last digits
        fits = [
            pipeline.fit_topic(fitted, labels[:, t], parameters, seed, counted)
            for t in range(y_true.shape[1])
        ]
    coefficients = np.stack([weights for weights, _ in fits])
    intercepts = np.array([bias for _, bias in fits])
    if not len(outside):
        return features, coefficients, intercepts, np.empty((0, len(fits)))
    rows = pipeline.weigh(features, {name: block.of(outside) for name, block in counts.items()})
    return None, np.empty((0, 0)), np.empty(0), np.asarray(rows @ coefficients.T + intercepts)


def _review_rules(scopes: calibration.ScopeThresholds) -> ReviewRules:
    """The usual limits; where scope decides nothing the texts are not a feed's, and a short one is no caption."""
    return ReviewRules() if scopes.decides else ReviewRules(fewest_words_for_topics=1)


def _self_check(assembled: Pipeline, passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Reference texts with the log-odds that the pipeline gives them: what a loaded version is checked with."""
    step = max(len(passages) // _REFERENCE_TEXTS, 1)
    texts = [passage.text for passage in passages[::step]][:_REFERENCE_TEXTS]
    log_odds = assembled.decision_function(texts).reshape(len(texts), -1)
    return [
        {"text": text, "log_odds": [round(value, 6) for value in row]}
        for text, row in zip(texts, log_odds.tolist(), strict=True)
    ]


def _training_facts(
    passages: Sequence[Passage], parameters: Parameters, seed: int
) -> dict[str, Any]:
    languages = sorted({p.lang for p in passages})
    return {
        "passages": len(passages),
        "events": len({p.event for p in passages}),
        "without_topic": sum(not p.topics for p in passages),
        "per_language": {lang: sum(p.lang == lang for p in passages) for lang in languages},
        "data_sha256": data_digest(passages),
        "seed": seed,
        "parameters": parameters.to_json(),
    }


def _terms(folder: Path) -> list[str]:
    """Terms of single words, as compiled."""
    terms: list[str] = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
    return terms


def _libraries() -> dict[str, str]:
    return {
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "joblib": joblib.__version__,
    }


def _version(folder: Path, manifest: dict[str, Any]) -> str:
    """A name made from the content: the same content has the same name everywhere."""
    files = {path.name: artifact.digest(path) for path in sorted(folder.iterdir())}
    return "v" + artifact.manifest_digest({"manifest": manifest, "files": files})[:12]
