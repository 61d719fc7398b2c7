"""The pipeline: binary TF-IDF of words and of concepts under one logistic regression a topic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import LabelBinarizer

from model.errors import PassageError
from model.lexicon import Lexicon
from model.text import word_terms, words
from training import evidence

PARAMETERS = Path(__file__).with_name("parameters.json")
_FEW_PASSAGES = 200

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be tuned; `parameters.json` holds the values in use, `docs/decisions/` why."""

    C: float
    min_df: int
    word_scale: float
    concept_scale: float
    evidence_share: float
    n_folds: int
    tol: float

    @classmethod
    def load(cls, path: Path = PARAMETERS) -> Parameters:
        """Reads a file of parameters."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def to_json(self) -> dict[str, Any]:
        """As they stand in a manifest."""
        return asdict(self)


class WordAnalyzer:
    """Terms of the word block: stem and prefix of each word, and pairs of neighbouring stems."""

    def __call__(self, text: str) -> list[str]:
        """The terms of a text, with repetitions."""
        terms: list[str] = []
        previous = None
        for word in words(text):
            found = word_terms(word)
            if found is None:
                previous = None
                continue
            stem, prefix = found
            terms += (stem, prefix)
            if previous is not None:
                terms.append(f"{previous} {stem}")
            previous = stem
        return terms


class ConceptAnalyzer:
    """Terms of the concept block: each concept of the text, and each pair of them."""

    def __init__(self, forms: Mapping[str, Sequence[str]]) -> None:
        self.lexicon = Lexicon(forms)

    def __call__(self, text: str) -> list[str]:
        """The terms of a text."""
        numbers = sorted({n for word in words(text) for n in self.lexicon.concepts_of(word)})
        names = [self.lexicon.concepts[n] for n in numbers]
        pairs = [f"{a} & {b}" for i, a in enumerate(names) for b in names[i + 1 :]]
        return names + pairs

    def __getstate__(self) -> dict[str, Any]:
        # As one string: pickled strings that are equal but not identical would make equal files differ.
        return {"forms": json.dumps(self.lexicon.forms)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.lexicon = Lexicon(json.loads(state["forms"]))


def least_frequency(parameters: Parameters, n_passages: int) -> int:
    """How many passages a term has to stand in: terms of one alone are dropped, unless passages are few."""
    return parameters.min_df if n_passages >= _FEW_PASSAGES else 1


def make_features(parameters: Parameters, lexicon: Lexicon, min_df: int) -> FeatureUnion:
    """The unfitted TF-IDF blocks."""
    words_block = TfidfVectorizer(analyzer=WordAnalyzer(), binary=True, min_df=min_df)
    concepts = TfidfVectorizer(analyzer=ConceptAnalyzer(lexicon.forms), binary=True, min_df=min_df)
    return FeatureUnion(
        [("words", words_block), ("concepts", concepts)],
        transformer_weights={
            "words": parameters.word_scale,
            "concepts": parameters.concept_scale,
        },
    )


def fit_features(
    parameters: Parameters, lexicon: Lexicon, texts: Sequence[str]
) -> tuple[FeatureUnion, sparse.csr_matrix]:
    """The TF-IDF blocks fitted to texts, and the texts' features, shape (n_texts, n_features).

    A block that finds no term is left out: texts of another field may hold no concept. PassageError where no block finds any.
    """
    features = make_features(parameters, lexicon, least_frequency(parameters, len(texts)))
    fitted, parts = [], []
    for name, block in features.transformer_list:
        try:
            part = block.fit_transform(texts)
        except ValueError:  # what TfidfVectorizer raises for an empty vocabulary
            continue
        fitted.append((name, block))
        parts.append(part * features.transformer_weights[name])
    if not any(name == "words" for name, _ in fitted):
        raise PassageError("the passages hold no words to learn from")
    matrix = sparse.csr_matrix(sparse.hstack(parts))
    matrix.sum_duplicates()
    scales = {name: features.transformer_weights[name] for name, _ in fitted}
    return FeatureUnion(fitted, transformer_weights=scales), matrix


def fit_topic(
    features: sparse.csr_matrix, y_true: npt.NDArray[np.bool_], parameters: Parameters, seed: int
) -> tuple[FloatArray, float]:
    """Weights, shape (n_features,), and bias of one topic; a topic without both classes gets its smoothed prior alone."""
    if int(y_true.sum()) in (0, len(y_true)):
        return np.zeros(features.shape[1]), prior_log_odds(y_true)
    factors = evidence.factors(
        evidence.count_positive(features, y_true[:, None]),
        features.getnnz(axis=0),
        y_true.sum(keepdims=True),
        len(y_true),
        parameters.evidence_share,
    )[:, 0]
    regression = LogisticRegression(
        C=parameters.C, solver="liblinear", tol=parameters.tol, max_iter=1000, random_state=seed
    ).fit(features @ sparse.diags(factors), y_true)
    return regression.coef_[0] * factors, float(regression.intercept_[0])


def prior_log_odds(y_true: npt.NDArray[np.bool_]) -> float:
    """Log-odds of a topic's share of the passages, smoothed."""
    prior = (int(y_true.sum()) + 0.5) / (len(y_true) + 1.0)
    return float(np.log(prior / (1.0 - prior)))


def assemble(
    features: FeatureUnion, coefficients: FloatArray, intercepts: FloatArray, topics: Sequence[str]
) -> Pipeline:
    """A fitted scikit-learn pipeline of fitted blocks and weights, shape (1 + n_topics, n_features), those for scope first.

    Its `predict_proba` gives the topics; `scope_` is the logistic regression that tells what is in scope. A sigmoid calibration of a
    logistic regression is again a logistic regression, so the weights may hold one.
    """
    classifier = OneVsRestClassifier(LogisticRegression(solver="liblinear"))
    scope, *classifier.estimators_ = [
        _logistic_regression(weights, bias)
        for weights, bias in zip(coefficients, intercepts, strict=True)
    ]
    classifier.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(
        np.eye(max(len(topics), 2), len(topics), dtype=int) if len(topics) > 1 else np.array([0, 1])
    )
    classifier.n_features_in_ = coefficients.shape[1]
    pipeline = Pipeline([("features", features), ("topics", classifier)])
    pipeline.topics_ = tuple(topics)
    pipeline.scope_ = scope
    return pipeline


def _logistic_regression(weights: FloatArray, bias: float) -> LogisticRegression:
    fitted = LogisticRegression(solver="liblinear")
    fitted.classes_ = np.array([0, 1])
    fitted.coef_ = weights[None, :]
    fitted.intercept_ = np.array([bias])
    fitted.n_features_in_ = len(weights)
    fitted.n_iter_ = np.array([1], dtype=np.int32)
    return fitted
