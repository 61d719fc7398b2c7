"""Training: passages → pipeline → calibrated, compiled version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import scipy
import sklearn
from joblib import Parallel, delayed
from scipy import sparse
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
    """Fitted weights, shape (n_topics, n_features), and held-out log-odds, shape (n_passages, n_topics), both calibrated."""

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
    probabilities = sigmoid(fitted.held_out)
    points = calibration.operating_points(probabilities, y_true, taxonomy.slugs)
    thresholds = np.array([point.threshold for point in points[BALANCED]])
    metrics = evaluation.evaluate(
        y_true, probabilities, thresholds, taxonomy.slugs, [p.lang for p in passages]
    )
    progress("writing", 0, 1)
    with artifact.staging(out.parent) as folder:
        assembled = pipeline.assemble(
            fitted.features, fitted.coefficients, fitted.intercepts, taxonomy.slugs
        )
        joblib.dump(assembled, folder / "pipeline.joblib", compress=3)
        compiled = compile_pipeline(assembled, folder)
        write_heldout(folder, passages, taxonomy.slugs, probabilities)
        manifest = {
            "taxonomy": {"name": taxonomy.name, "version": taxonomy.version},
            "topics": taxonomy.to_json()["topics"],
            "languages": sorted({p.lang for p in passages} - {UNDETERMINED}),
            **compiled,
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
    folds = event_folds([p.event for p in passages], parameters.n_folds, seed)
    n_folds = int(folds.max()) + 1
    n_topics = y_true.shape[1]
    total = (n_folds + 1) * n_topics
    held_out = np.zeros(y_true.shape)
    for fold in range(n_folds):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        features = pipeline.make_features(parameters, lexicon, len(inside))
        fitted = features.fit_transform([texts[i] for i in inside])
        coefficients, intercepts = _fit_topics(
            fitted,
            y_true[inside],
            parameters,
            seed,
            jobs,
            partial(_report, progress, fold * n_topics, total),
        )
        scored = features.transform([texts[i] for i in outside])
        held_out[outside] = scored @ coefficients.T + intercepts
    features = pipeline.make_features(parameters, lexicon, len(texts))
    coefficients, intercepts = _fit_topics(
        features.fit_transform(texts),
        y_true,
        parameters,
        seed,
        jobs,
        partial(_report, progress, n_folds * n_topics, total),
    )
    for t in range(n_topics):
        slope, intercept = calibration.fit_sigmoid(held_out[:, t], y_true[:, t])
        held_out[:, t] = slope * held_out[:, t] + intercept
        coefficients[t] *= slope
        intercepts[t] = slope * intercepts[t] + intercept
    return Fit(features, coefficients, intercepts, held_out)


def _report(progress: Progress, before: int, total: int, done: int) -> None:
    progress("fitting", before + done, total)


def _fit_topics(
    features: sparse.csr_matrix,
    y_true: BoolArray,
    parameters: Parameters,
    seed: int,
    jobs: int,
    progress: Callable[[int], None],
) -> tuple[FloatArray, FloatArray]:
    """Weights and biases of every topic, fitted side by side."""
    matrix = sparse.csr_matrix(features)
    matrix.sum_duplicates()
    fits = Parallel(n_jobs=jobs, return_as="generator", max_nbytes=None, prefer="threads")(
        delayed(pipeline.fit_topic)(matrix, y_true[:, t], parameters, seed)
        for t in range(y_true.shape[1])
    )
    coefficients = np.empty((y_true.shape[1], matrix.shape[1]))
    intercepts = np.empty(y_true.shape[1])
    for t, (weights, bias) in enumerate(fits):
        coefficients[t], intercepts[t] = weights, bias
        progress(t + 1)
    return coefficients, intercepts


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
