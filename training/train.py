"""Training: passages → pipeline → calibrated, compiled version."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
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

from model import artifact
from model.classifier import BALANCED, Classifier, sigmoid
from model.language import UNDETERMINED
from model.lexicon import Lexicon
from model.review import ReviewRules
from model.taxonomy import Taxonomy
from training import calibration, evaluation, pipeline, report
from training.compile import compile_pipeline
from training.heldout import write_heldout
from training.passages import Passage, data_digest
from training.pipeline import Parameters
from training.splits import event_folds

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
_REFERENCE_TEXTS = 8

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted weights, shape (1 + n_topics, n_features), and held-out log-odds, shape (n_passages, 1 + n_topics), both calibrated.

    The first is for being in scope: having any topic at all.
    """

    features: FeatureUnion
    coefficients: FloatArray
    intercepts: FloatArray
    held_out: FloatArray


def train(
    passages: Sequence[Passage],
    taxonomy: Taxonomy,
    out: Path,
    *,
    seed: int = 0,
    jobs: int = -1,
    parameters: Parameters | None = None,
    progress: Progress = lambda *_: None,
) -> str:
    """Trains a model and writes it to the folder `out`, whole or not at all; returns its version.

    The same passages, parameters and seed give the same files, whatever `jobs`.
    """
    parameters = parameters or Parameters.load()
    lexicon = Lexicon.default()
    y_true = evaluation.label_matrix([p.topics for p in passages], taxonomy.slugs)
    fitted = fit(passages, y_true, parameters, lexicon, seed, jobs, progress)
    held_out = sigmoid(fitted.held_out)
    scope, probabilities = held_out[:, 0], held_out[:, 1:]
    scopes, points = calibration.operating_points(probabilities, scope, y_true, taxonomy.slugs)
    thresholds = np.array([point.threshold for point in points[BALANCED]])
    given = (probabilities >= thresholds) & (scope >= scopes.thresholds[BALANCED])[:, None]
    languages = [p.lang for p in passages]
    metrics = evaluation.evaluate(
        y_true, probabilities, given, thresholds, taxonomy.slugs, languages
    )
    progress("writing", 0, 1)
    with artifact.staging(out.parent) as folder:
        assembled = pipeline.assemble(
            fitted.features, fitted.coefficients, fitted.intercepts, taxonomy.slugs
        )
        joblib.dump(assembled, folder / "pipeline.joblib", compress=3)
        compiled = compile_pipeline(assembled, folder, lexicon, parameters)
        write_heldout(folder, passages, taxonomy.slugs, given, probabilities)
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
            "review": ReviewRules().to_json(),
            "self_check": _self_check(assembled, passages),
            "training": _training_facts(passages, parameters, seed),
            "metrics": metrics,
            "libraries": _libraries(),
        }
        report.write_report(folder, manifest, passages, y_true, probabilities)
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
    y_true = np.column_stack((y_true.any(axis=1), y_true))
    folds = event_folds([p.event for p in passages], parameters.n_folds, seed)
    n_folds = int(folds.max()) + 1
    # The fit on everything comes first: it is the longest. -1 is no fold.
    tasks = [
        delayed(_fit_without)(texts, y_true, folds, fold, parameters, lexicon, seed)
        for fold in range(-1, n_folds)
    ]
    progress("fitting", 0, len(tasks))
    done = []
    for fitted in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        done.append(fitted)
        progress("fitting", len(done), len(tasks))
    (features, coefficients, intercepts, _), *others = done
    held_out = np.zeros(y_true.shape)
    for fold, (_, _, _, scores) in enumerate(others):
        held_out[folds == fold] = scores
    for t in range(y_true.shape[1]):
        slope, intercept = calibration.fit_sigmoid(held_out[:, t], y_true[:, t])
        held_out[:, t] = slope * held_out[:, t] + intercept
        coefficients[t] *= slope
        intercepts[t] = slope * intercepts[t] + intercept
    # Copied, so that files are the same whether a fit came from another process or not: pickle writes what equal arrays share.
    features = pickle.loads(pickle.dumps(features))  # noqa: S301 - our own bytes
    for _, block in features.transformer_list:
        block.idf_ = _copied(block.idf_)
    return Fit(features, _copied(coefficients), _copied(intercepts), held_out)


def _copied(array: FloatArray) -> FloatArray:
    copy = np.empty(array.shape)
    copy[...] = array
    return copy


def _fit_without(
    texts: Sequence[str],
    y_true: BoolArray,
    folds: npt.NDArray[np.int64],
    fold: int,
    parameters: Parameters,
    lexicon: Lexicon,
    seed: int,
) -> tuple[FeatureUnion | None, FloatArray, FloatArray, FloatArray]:
    """Blocks, weights and biases fitted to all passages but one fold, and the log-odds of that fold's passages.

    The blocks and weights are needed of the fit on everything alone, and left out of the others' answer.
    """
    inside, outside = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
    features, fitted = pipeline.fit_features(parameters, lexicon, [texts[i] for i in inside])
    fits = [
        pipeline.fit_topic(fitted, y_true[inside, t], parameters, seed)
        for t in range(y_true.shape[1])
    ]
    coefficients = np.stack([weights for weights, _ in fits])
    intercepts = np.array([bias for _, bias in fits])
    if not outside:
        return features, coefficients, intercepts, np.empty((0, len(fits)))
    scores = features.transform([texts[i] for i in outside]) @ coefficients.T + intercepts
    return None, np.empty((0, 0)), np.empty(0), np.asarray(scores)


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
