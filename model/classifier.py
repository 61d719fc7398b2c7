"""The compiled classifier: tables in, probabilities and decisions out, with NumPy and the standard library alone.

The fitted pipeline is two blocks of binary TF-IDF (words and pairs of stems; concepts and pairs of concepts), each of length 1, under
one logistic regression a topic whose calibration is folded into its weights, and one more that tells whether a text is about online
platforms at all: a topic is given where both reach their threshold. For a block with active rows R, log-odds of topic t are

    sum(idf[r] * weight[r, t] for r in R) / sqrt(sum(idf[r] ** 2 for r in R))        summed over the blocks, plus bias[t]

so a table that holds ``idf ** 2`` and ``idf * weight`` side by side needs one gather and one sum a block. All texts of a batch are
scored together and one text is a batch of one: the sums run in the same order, and an answer does not depend on the batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model import artifact
from model.decisions import COVERAGE_DIGITS, Decisions, ordered, rounded
from model.errors import ArtifactError, UnknownNameError, unknown_name
from model.language import LanguageVotes
from model.lexicon import Lexicon
from model.prediction import Contribution, Explanation, Prediction
from model.review import ReviewRules
from model.text import WORD
from model.vocabulary import (
    CONCEPTS,
    NO_CONCEPT,
    NO_ROW,
    NUMBER,
    ROWS,
    STEM,
    UNKNOWN_STEM,
    VOTE,
    MetWords,
    Vocabulary,
    WordEntry,
)

BALANCED = "balanced"
OPERATING_POINTS = (BALANCED, "precision", "recall")

_CHUNK_CHARACTERS = 40_000
"""Characters scored at once; bounds the memory of a batch to some tens of megabytes."""


_HALF = np.uint64(32)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tables:
    """The arrays of a version.

    `rows` holds the squared idf of a term, its weight for being in scope, and its weight for each topic: first the terms of single
    words, then pairs of stems, whose keys are in `pairs`, then concepts and pairs of concepts, whose rows are in `concept_rows`, last a
    row of zeros. `bias` has the columns of `rows` without the first.
    """

    rows: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.uint64]
    concept_rows: npt.NDArray[np.int32]
    n_terms: int
    bias: FloatArray
    word_scale: float
    concept_scale: float

    @property
    def nothing(self) -> int:
        """The row that adds nothing."""
        return len(self.rows) - 1


@dataclass(frozen=True)
class _Reading:
    """Texts as the entries of their words, and the memory that the entries are from."""

    texts: list[list[WordEntry]]
    met: MetWords

    @cached_property
    def numbers(self) -> tuple[IntArray, IntArray]:
        """Numbers of all words and the text of each; a word that is none, number 0, ends each text."""
        numbers: list[int] = []
        lengths = []
        for entries in self.texts:
            numbers += [entry[NUMBER] for entry in entries]
            numbers.append(0)
            lengths.append(len(entries) + 1)
        return np.array(numbers, dtype=np.int64), np.repeat(np.arange(len(lengths)), lengths)


@dataclass(frozen=True, slots=True)
class _OperatingPoint:
    """Thresholds of the topics as probabilities and as log-odds, shape (n_topics,), and that of being in scope."""

    thresholds: FloatArray
    threshold_odds: FloatArray
    scope_threshold: float


class Classifier:
    """Classifies passages; load one with `Classifier.load`.

    Safe to share between threads: after loading, nothing but the cache of words changes, under a lock.
    """

    def __init__(
        self, manifest: dict[str, Any], tables: Tables, terms: Sequence[str], lexicon: Lexicon
    ) -> None:
        self.manifest = manifest
        self.version = str(manifest["model_version"])
        self.topics: tuple[str, ...] = tuple(topic["slug"] for topic in manifest["topics"])
        self.languages: tuple[str, ...] = tuple(manifest["languages"])
        self._tables = tables
        self._votes = LanguageVotes.default()
        self._vocabulary = Vocabulary(terms, lexicon, self._votes)
        self._review = ReviewRules(**manifest["review"])
        self._points = {
            name: _operating_point(listed, manifest["scope"]["thresholds"][name])
            for name, listed in manifest["operating_points"].items()
        }
        self._end = np.array([tables.nothing])
        self._triangles: dict[int, IntArray] = {}

    @classmethod
    def load(cls, path: Path | str) -> Classifier:
        """Loads a version after checking the digest of each of its files; ArtifactError names the file at fault.

        Tables are memory-mapped, so processes share them. Nothing is unpickled.
        """
        folder = Path(path)
        manifest = artifact.verify(folder)
        rows = _load_array(folder / "rows.npy", np.float32, 2)
        pairs = _load_array(folder / "pairs.npy", np.uint64, 1)
        concept_rows = _load_array(folder / "concept_rows.npy", np.int32, 2)
        terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        lexicon = Lexicon.load(folder / "lexicon.json")
        bias = np.array([manifest["scope"]["bias"], *manifest["bias"]], dtype=np.float64)
        expected = {
            "rows.npy": (rows.shape[1:], (2 + len(manifest["topics"]),)),
            "concept_rows.npy": (concept_rows.shape, (len(lexicon.concepts),) * 2),
            "manifest.json, bias": (bias.shape, (1 + len(manifest["topics"]),)),
        }
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise ArtifactError(f"{folder / name}: shape {found}, expected {wanted}")
        scales = manifest["blocks"]
        tables = Tables(
            rows, pairs, concept_rows, len(terms), bias, scales["words"], scales["concepts"]
        )
        return cls(manifest, tables, terms, lexicon)

    def predict_proba(self, texts: Sequence[str]) -> FloatArray:
        """Calibrated probabilities, shape (n_texts, n_topics), columns in the order of `topics`."""
        return sigmoid(self.log_odds(texts))

    def log_odds(self, texts: Sequence[str]) -> FloatArray:
        """Calibrated log-odds, shape (n_texts, n_topics)."""
        return self._all_log_odds(texts)[:, 1:]

    def scope_proba(self, texts: Sequence[str]) -> FloatArray:
        """Calibrated probability that a text is about online platforms at all, shape (n_texts,)."""
        return sigmoid(self._all_log_odds(texts)[:, 0])

    def decide(self, texts: Sequence[str], operating_point: str = BALANCED) -> BoolArray:
        """Which topics each text is given, shape (n_texts, n_topics): the decisions of `predict` as an array."""
        columns = {topic: t for t, topic in enumerate(self.topics)}
        given = np.zeros((len(texts), len(self.topics)), dtype=bool)
        for i, prediction in enumerate(self.predict(texts, operating_point)):
            given[i, [columns[topic] for topic in prediction.topics]] = True
        return given

    def predict(self, texts: Sequence[str], operating_point: str = BALANCED) -> list[Prediction]:
        """Decides on topics at an operating point, and says where a person should look; a text of unknown words alone, or of next to none, gets no topic."""
        predictions = []
        point = self._point(operating_point)
        for reading in self._read(texts):
            if len(reading.texts) == 1:
                predictions.append(self._predict_one(reading, point))
            else:
                predictions += self._decide_many(reading, point).predictions(self.topics)
        return predictions

    def decisions(self, texts: Sequence[str], operating_point: str = BALANCED) -> Decisions:
        """As `predict`, in columns: for many texts, at a fraction of the cost."""
        point = self._point(operating_point)
        first, *others = (self._decide_many(reading, point) for reading in self._read(texts))
        return first.followed_by(others)

    def _predict_one(self, reading: _Reading, point: _OperatingPoint) -> Prediction:
        """As `_decide_many`, for one text; for so little, Python is quicker than arrays."""
        (entries,) = reading.texts
        log_odds = self._log_odds(reading)[0]
        scope, *scores = sigmoid(log_odds).tolist()
        language, coverage = self._language(entries), _coverage(entries)
        topics = []
        enough = len(entries) >= self._review.fewest_words_for_topics
        if enough and coverage and scope >= point.scope_threshold:
            topics = np.flatnonzero(np.array(scores) >= point.thresholds).tolist()
            topics.sort(key=scores.__getitem__, reverse=True)
        supported = not self.languages or language in self.languages
        near = float(np.abs(log_odds[1:] - point.threshold_odds).min())
        return Prediction(
            tuple([self.topics[t] for t in topics]),
            dict(zip(self.topics, scores, strict=True)),
            scope,
            language,
            coverage,
            self._review.reasons(supported, len(entries), coverage, near),
        )

    def _decide_many(self, reading: _Reading, point: _OperatingPoint) -> Decisions:
        log_odds = self._log_odds(reading)
        probabilities = sigmoid(log_odds)
        scope, scores = probabilities[:, 0], probabilities[:, 1:]
        numbers, _ = reading.numbers
        arrays = reading.met.arrays()
        lengths = np.array([len(entries) + 1 for entries in reading.texts], dtype=np.int64)
        starts = lengths.cumsum() - lengths
        known = np.add.reduceat(arrays.stems.take(numbers) != UNKNOWN_STEM, starts, dtype=np.int64)
        n_words = lengths - 1
        coverage = rounded(known / np.maximum(n_words, 1), COVERAGE_DIGITS)
        enough = n_words >= self._review.fewest_words_for_topics
        allowed = enough & (coverage > 0.0) & (scope >= point.scope_threshold)
        languages = self._votes.winners(arrays.votes.take(numbers), starts, self.languages)
        supported = [not self.languages or language in self.languages for language in languages]
        near = np.abs(log_odds[:, 1:] - point.threshold_odds).min(axis=1)
        return Decisions(
            scores,
            scope,
            *ordered((scores >= point.thresholds) & allowed[:, None], scores),
            languages,
            coverage,
            self._review.reasons_of_many(np.array(supported, dtype=bool), n_words, coverage, near),
        )

    def thresholds(self, operating_point: str = BALANCED) -> FloatArray:
        """The probability at which each topic is given to a text in scope, shape (n_topics,)."""
        return self._point(operating_point).thresholds.copy()

    def _point(self, name: str) -> _OperatingPoint:
        if name not in self._points:
            raise UnknownNameError(unknown_name("operating point", name, self._points))
        return self._points[name]

    def explain(self, text: str, topic: str) -> Explanation:
        """What each stretch of the text adds to a topic's log-odds; exact, strongest first.

        A term that stands in the text more than once shares its contribution among its places, a pair of concepts between both words.
        """
        if topic not in self.topics:
            raise UnknownNameError(unknown_name("topic", topic, self.topics))
        return self.explain_topics(text, [topic])[0]

    def explain_topics(self, text: str, topics: Sequence[str]) -> list[Explanation]:
        """As `explain`, for several topics in one pass over the text."""
        columns = [1 + self.topics.index(topic) for topic in topics]
        (reading,) = self._read([text])
        entries = reading.texts[0]
        spans = [match.span() for match in WORD.finditer(text)]
        places: dict[Span, FloatArray] = {}
        tables = self._tables
        self._share(self._word_places(entries, spans), tables.word_scale, places)
        self._share(self._concept_places(entries, spans), tables.concept_scale, places)
        log_odds = self._log_odds(reading)[0]
        return [
            Explanation(topic, float(tables.bias[t]), float(log_odds[t]), _listed(text, places, t))
            for topic, t in zip(topics, columns, strict=True)
        ]

    def _read(self, texts: Sequence[str]) -> Iterator[_Reading]:
        """The texts in runs that are scored together, as the entries of their words; at least one run."""
        if isinstance(texts, str):
            raise TypeError("expected a sequence of str, got a str; pass [text]")
        for chunk in _chunks(texts):
            met = self._vocabulary.met()
            yield _Reading([[met[word] for word in WORD.findall(text)] for text in chunk], met)

    def _all_log_odds(self, texts: Sequence[str]) -> FloatArray:
        """Log-odds of being in scope and then of each topic, shape (n_texts, 1 + n_topics)."""
        parts = [self._log_odds(reading) for reading in self._read(texts)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _log_odds(self, reading: _Reading) -> FloatArray:
        """Log-odds of a run of texts, shape (n_texts, 1 + n_topics).

        Each text has three stretches of active rows: terms, pairs of stems, concepts, each ended by the row of zeros so that none is
        empty. All are gathered and summed at once, in the same order whether the text came alone or among others.
        """
        n, tables = len(reading.texts), self._tables
        active, lengths = (
            self._active_of_one(reading.texts[0]) if n == 1 else self._active_of_many(reading)
        )
        starts = lengths.cumsum() - lengths
        gathered = tables.rows.take(active, axis=0)
        sums = np.add.reduceat(gathered, starts, axis=0, dtype=np.float64)
        words, concepts = sums[:n] + sums[n : 2 * n], sums[2 * n :]
        log_odds = _normalised(words, tables.word_scale)
        log_odds += _normalised(concepts, tables.concept_scale)
        log_odds += tables.bias
        return log_odds

    def _active_of_one(self, entries: list[WordEntry]) -> tuple[IntArray, IntArray]:
        """Active rows of one text and the length of each stretch; sets of Python are quicker than arrays here."""
        tables = self._tables
        nothing = tables.nothing
        rows = sorted(set().union(*[entry[ROWS] for entry in entries]))
        _, found = self._find_pairs(np.array([entry[STEM] for entry in entries], dtype=np.uint64))
        pairs = sorted(set(found.tolist()))
        lengths = [len(rows) + 1, len(pairs) + 1, 1]
        active = [np.array([*rows, nothing, *pairs, nothing])]
        numbers = sorted(set().union(*[entry[CONCEPTS] for entry in entries]))
        if numbers:
            listed = np.array(numbers)
            square = tables.concept_rows.take(listed, axis=0).take(listed, axis=1)
            active.append(square.ravel().take(self._triangle(len(numbers))))
            lengths[2] += len(active[1])
        active.append(self._end)
        return np.concatenate(active), np.array(lengths)

    def _active_of_many(self, reading: _Reading) -> tuple[IntArray, IntArray]:
        """Active rows of many texts: the terms of each, then the pairs of each, then the concepts of each; and the lengths."""
        tables = self._tables
        n, size = len(reading.texts), len(tables.rows)
        numbers, text_of = reading.numbers
        arrays = reading.met.arrays()
        offsets = text_of * size
        ends = np.arange(n) * size + tables.nothing
        rows = arrays.rows.take(numbers, axis=0)
        terms = (rows + offsets[:, None])[rows != NO_ROW]
        places, found = self._find_pairs(arrays.stems.take(numbers))
        stretches = [
            _distinct(np.concatenate((terms, ends))),
            _distinct(np.concatenate((offsets.take(places) + found, ends))),
            self._concept_keys(arrays.concepts.take(numbers, axis=0), text_of, n),
        ]
        lengths = [np.bincount(keys // size, minlength=n) for keys in stretches]
        return np.concatenate(stretches) % size, np.concatenate(lengths)

    def _concept_keys(
        self, concepts: npt.NDArray[np.int16], text_of: IntArray, n_texts: int
    ) -> IntArray:
        """Rows of each concept and of each pair of concepts of a text, text after text, each text's ended by the row of zeros.

        A row comes as its number plus the text's number times the number of rows. The last number of a concept is one that does not
        exist: it ends each text's and pairs with itself.
        """
        tables = self._tables
        size, n_concepts = len(tables.rows), len(tables.concept_rows)
        keys = (concepts + (text_of * (n_concepts + 1))[:, None])[concepts != NO_CONCEPT]
        ends = np.arange(n_texts) * (n_concepts + 1) + n_concepts
        keys = _distinct(np.concatenate((keys, ends)))
        texts, numbers = np.divmod(keys, n_concepts + 1)
        last = np.bincount(texts, minlength=n_texts).cumsum() - 1
        partners = np.maximum(last[texts] - np.arange(len(keys)), 1)
        first = np.repeat(np.arange(len(keys)), partners)
        second = first + np.arange(len(first)) - (partners.cumsum() - partners)[first]
        padded = np.pad(tables.concept_rows, (0, 1), constant_values=tables.nothing)
        rows: IntArray = padded[numbers[first], numbers[second]] + texts[first] * size
        return rows

    def _find_pairs(self, stems: npt.NDArray[np.uint64]) -> tuple[IntArray, IntArray]:
        """Places and rows of the pairs of neighbouring stems that the model has."""
        tables = self._tables
        if not len(tables.pairs) or len(stems) < 2:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        keys = (stems[:-1] << _HALF) | stems[1:]
        found = tables.pairs.searchsorted(keys)
        places = (tables.pairs.take(found, mode="clip") == keys).nonzero()[0]
        return places, found.take(places) + tables.n_terms

    def _triangle(self, n: int) -> IntArray:
        """Places of the upper triangle of a flat square of n by n, diagonal included."""
        places = self._triangles.get(n)
        if places is None:
            first, second = np.triu_indices(n)
            places = self._triangles[n] = first * n + second
        return places

    def _language(self, entries: list[WordEntry]) -> str:
        kinds = [entry[VOTE] for entry in entries if entry[VOTE]]
        return self._votes.winner(kinds, self.languages)

    def _word_places(self, entries: list[WordEntry], spans: list[Span]) -> dict[int, list[Span]]:
        """Active rows of terms and pairs of stems in one text, and where each stands."""
        places: dict[int, list[Span]] = {}
        for entry, span in zip(entries, spans, strict=True):
            for row in dict.fromkeys(entry[ROWS]):
                places.setdefault(row, []).append(span)
        found, rows = self._find_pairs(
            np.array([entry[STEM] for entry in entries], dtype=np.uint64)
        )
        for i, row in zip(found.tolist(), rows.tolist(), strict=True):
            places.setdefault(row, []).append((spans[i][0], spans[i + 1][1]))
        return places

    def _concept_places(self, entries: list[WordEntry], spans: list[Span]) -> dict[int, list[Span]]:
        """Active rows of concepts in one text, and the places of both concepts of each."""
        of_concept: dict[int, list[Span]] = {}
        for entry, span in zip(entries, spans, strict=True):
            for number in entry[CONCEPTS]:
                of_concept.setdefault(number, []).append(span)
        rows = self._tables.concept_rows
        numbers = sorted(of_concept)
        return {
            int(rows[a, b]): of_concept[a] if a == b else of_concept[a] + of_concept[b]
            for i, a in enumerate(numbers)
            for b in numbers[i:]
            if rows[a, b] != self._tables.nothing
        }

    def _share(
        self, row_places: dict[int, list[Span]], scale: float, places: dict[Span, FloatArray]
    ) -> None:
        """Shares the contribution of each active row of a block evenly among its places, adding to `places`."""
        active = self._tables.rows.take(list(row_places), axis=0).astype(np.float64)
        norm = math.sqrt(active[:, 0].sum())
        if norm == 0.0:
            return
        contributions = active[:, 1:] * (scale / norm)
        for weights, spans in zip(contributions, row_places.values(), strict=True):
            for span in spans:
                places[span] = places.get(span, 0.0) + weights / len(spans)


def _operating_point(listed: list[dict[str, Any]], scope_threshold: float) -> _OperatingPoint:
    thresholds = np.array([topic["threshold"] for topic in listed], dtype=np.float64)
    return _OperatingPoint(thresholds, logit(thresholds), scope_threshold)


def _normalised(sums: FloatArray, scale: float) -> FloatArray:
    """A block's part of the log-odds from the sums of its rows: the block is scaled to length 1, then by `scale`."""
    norms = np.sqrt(sums[:, :1])
    norms[norms == 0.0] = 1.0
    scaled: FloatArray = sums[:, 1:] * (scale / norms)
    return scaled


def _coverage(entries: list[WordEntry]) -> float:
    """The share of the words whose stem the model knows."""
    if not entries:
        return 0.0
    known = sum([entry[STEM] != UNKNOWN_STEM for entry in entries])
    return round(known / len(entries), COVERAGE_DIGITS)


def _listed(text: str, places: dict[Span, FloatArray], column: int) -> tuple[Contribution, ...]:
    """The contributions to one topic, strongest first."""
    listed = [
        Contribution(text[start:end], start, end, float(weights[column]))
        for (start, end), weights in places.items()
        if weights[column] != 0.0
    ]
    listed.sort(key=lambda c: (-abs(c.contribution), c.start, c.end))
    return tuple(listed)


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of texts of some `_CHUNK_CHARACTERS` each; a longer text is a run by itself."""
    start = size = 0
    for end, text in enumerate(texts):
        size += len(text)
        if size > _CHUNK_CHARACTERS and end > start:
            yield texts[start:end]
            start, size = end, len(text)
    yield texts[start:]


def _distinct(keys: IntArray) -> IntArray:
    """The distinct keys in order; quicker than `numpy.unique`."""
    keys.sort()
    keep = np.empty(len(keys), bool)
    keep[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=keep[1:])
    return keys[keep]


def pair_keys(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """The key of each pair of rows: what `pairs.npy` holds, ascending."""
    return (first.astype(np.uint64) << _HALF) | second.astype(np.uint64)


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Probabilities of log-odds; by the hyperbolic tangent, which does not overflow."""
    halves = np.tanh(log_odds * 0.5)
    halves += 1.0
    halves *= 0.5
    return halves


def logit(probabilities: FloatArray) -> FloatArray:
    """Log-odds of probabilities; 0 and 1 give minus and plus infinity."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities) - np.log1p(-probabilities)


def _load_array(path: Path, dtype: type, n_dimensions: int) -> npt.NDArray[Any]:
    """A table, memory-mapped; never unpickles."""
    try:
        loaded: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"{path}: not a table: {error}") from error
    if loaded.dtype != dtype or loaded.ndim != n_dimensions:
        raise ArtifactError(
            f"{path}: {loaded.ndim} dimensions of {loaded.dtype}, "
            f"expected {n_dimensions} of {np.dtype(dtype)}"
        )
    return loaded.view(np.ndarray)
