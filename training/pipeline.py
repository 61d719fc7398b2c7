"""The pipeline: binary TF-IDF of words and of concepts under one logistic regression a topic."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import LabelBinarizer, normalize

from model.errors import PassageError
from model.lexicon import Lexicon
from model.text import word_terms, words
from training import evidence

PARAMETERS = Path(__file__).with_name("parameters.json")
WORDS, CONCEPTS = "words", "concepts"
_FEW_PASSAGES = 200
_FEWEST_TRANSLATIONS = 3
"""In how many translations a word has to stand that no passage has."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What can be tuned; `parameters.json` holds the values in use, `docs/decisions/` why. `tol` is liblinear's, of the dual problem."""

    C: float
    min_df: int
    word_scale: float
    concept_scale: float
    evidence_share: float
    translated_weight: float
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


@dataclass(frozen=True, slots=True)
class Counts:
    """Which terms of a block texts have, and which their translations: ones and zeros, shape (n_texts, n_terms), terms in order.

    A text without a translation has a row of zeros in `translated`.
    """

    terms: list[str]
    texts: sparse.csr_matrix
    translated: sparse.csr_matrix

    def of(self, places: IntArray) -> Counts:
        """Those of some texts alone."""
        return Counts(self.terms, self.texts[places], self.translated[places])

    def translation_of(self, places: IntArray) -> Counts:
        """The translations of some texts as texts of their own."""
        return Counts(self.terms, self.translated[places], self.translated[:0])

    def frequent(self, least: int) -> Counts:
        """Terms that stand in so many texts, and single words of some translations at least; a pair of words in these is no idiom."""
        single = np.array([" " not in term for term in self.terms], dtype=bool)
        brought = single & (self.translated.getnnz(axis=0) >= _FEWEST_TRANSLATIONS)
        kept = np.flatnonzero((self.texts.getnnz(axis=0) >= least) | brought)
        terms = [self.terms[place] for place in kept.tolist()]
        return Counts(terms, self.texts[:, kept], self.translated[:, kept])


def count_terms(
    parameters: Parameters,
    lexicon: Lexicon,
    texts: Sequence[str],
    translated: Sequence[str | None] = (),
) -> dict[str, Counts]:
    """The counts of each block, by its name; `translated` is empty or holds a translation of each text, None where there is none.

    A block that finds no term is left out: texts of another field may hold no concept. PassageError where there are no words.
    """
    least = least_frequency(parameters, len(texts))
    again = [text or "" for text in translated] if parameters.translated_weight else []
    found = {}
    for name, analyzer in _analyzers(lexicon).items():
        vectorizer = CountVectorizer(analyzer=analyzer, binary=True, dtype=np.float32)
        try:
            rows = sparse.csr_matrix(vectorizer.fit_transform([*texts, *again]))
        except ValueError:  # what it raises for an empty vocabulary
            continue
        own = rows[: len(texts)]
        last = rows[len(texts) :] if again else sparse.csr_matrix(own.shape, dtype=own.dtype)
        terms = vectorizer.get_feature_names_out().tolist()
        found[name] = Counts(terms, own, last).frequent(least)
    if WORDS not in found:
        raise PassageError("the passages hold no words to learn from")
    return found


def fit_features(
    parameters: Parameters, counts: Mapping[str, Counts], lexicon: Lexicon
) -> tuple[FeatureUnion, sparse.csr_matrix, IntArray]:
    """The TF-IDF blocks fitted to texts and translations; features of the texts and, below, of translations; and whose these are.

    PassageError where the texts hold no words that are frequent enough.
    """
    least = least_frequency(parameters, counts[WORDS].texts.shape[0])
    frequent = {name: block.frequent(least) for name, block in counts.items()}
    again = np.flatnonzero(frequent[WORDS].translated.getnnz(axis=1))
    fitted = {
        name: (block.terms, _idf(block.texts, block.translated[again]))
        for name, block in frequent.items()
        if block.terms
    }
    features = assemble_features(parameters, lexicon, fitted)
    rows = weigh(features, frequent)
    if len(again):
        other = {name: block.translation_of(again) for name, block in frequent.items()}
        rows = sparse.csr_matrix(sparse.vstack((rows, weigh(features, other))))
    return features, rows, again


def weigh(features: FeatureUnion, counts: Mapping[str, Counts]) -> sparse.csr_matrix:
    """The features of texts whose terms are counted: what `features.transform` gives, without reading them again."""
    parts = []
    for name, block in features.transformer_list:
        columns = {term: column for column, term in enumerate(counts[name].terms)}
        listed = [columns[term] for term in block.vocabulary_]
        rows = counts[name].texts[:, listed] @ sparse.diags(block.idf_)
        parts.append(features.transformer_weights[name] * normalize(rows))
    return sparse.csr_matrix(sparse.hstack(parts))


def _idf(*rows: sparse.csr_matrix) -> FloatArray:
    n_texts = sum(part.shape[0] for part in rows)
    standing = sum(part.getnnz(axis=0) for part in rows)
    idf: FloatArray = np.log((n_texts + 1) / (standing + 1.0)) + 1.0
    return idf


def assemble_features(
    parameters: Parameters, lexicon: Lexicon, fitted: Mapping[str, tuple[list[str], FloatArray]]
) -> FeatureUnion:
    """The blocks as scikit-learn has them, from the terms of each in the order of their columns and their idf, shape (n_terms,)."""
    if WORDS not in fitted:
        raise PassageError("the passages hold no words to learn from")
    analyzers, scales = _analyzers(lexicon), _scales(parameters)
    blocks = []
    for name, (terms, idf) in fitted.items():
        block = TfidfVectorizer(analyzer=analyzers[name], binary=True, min_df=parameters.min_df)
        block.vocabulary_ = {term: column for column, term in enumerate(terms)}
        block.fixed_vocabulary_ = False
        block.idf_ = idf
        blocks.append((name, block))
    return FeatureUnion(blocks, transformer_weights={name: scales[name] for name in fitted})


def _analyzers(lexicon: Lexicon) -> dict[str, Callable[[str], list[str]]]:
    return {WORDS: WordAnalyzer(), CONCEPTS: ConceptAnalyzer(lexicon.forms)}


def _scales(parameters: Parameters) -> dict[str, float]:
    return {WORDS: parameters.word_scale, CONCEPTS: parameters.concept_scale}


def fit_topic(
    features: sparse.csr_matrix,
    y_true: npt.NDArray[np.bool_],
    parameters: Parameters,
    seed: int,
    weights: FloatArray | None = None,
) -> tuple[FloatArray, float]:
    """Weights of terms, shape (n_features,), and bias of one topic; a topic without both classes gets its smoothed prior alone.

    `weights`, shape (n_texts,), say how much each text counts; 1 where it is None.
    """
    if int(y_true.sum()) in (0, len(y_true)):
        return np.zeros(features.shape[1]), prior_log_odds(y_true)
    counted = np.ones(len(y_true)) if weights is None else weights
    factors = evidence.factors(
        evidence.count(features, (y_true * counted)[:, None]),
        evidence.count(features, counted[:, None])[:, 0],
        (y_true @ counted)[None],
        counted.sum(),
        parameters.evidence_share,
    )[:, 0]
    # The dual: as good as the primal in half of the time.
    regression = LogisticRegression(
        C=parameters.C,
        solver="liblinear",
        dual=True,
        tol=parameters.tol,
        max_iter=1000,
        random_state=seed,
    ).fit(features @ sparse.diags(factors), y_true, counted)
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
