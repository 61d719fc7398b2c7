"""The compiled classifier: tables in, probabilities and decisions out, with NumPy and the standard library alone.

The fitted pipeline is two blocks of binary TF-IDF (words and pairs of stems; concepts and pairs of concepts), each of length 1, under
one logistic regression a topic whose calibration is folded into its weights, and one more that tells whether a text is about online
platforms at all: a topic is given where both reach their threshold. For a block with active rows R, log-odds of topic t are

    sum(idf[r] * weight[r, t] for r in R) / sqrt(sum(idf[r] ** 2 for r in R))        summed over the blocks, plus bias[t]

so a table that holds ``idf ** 2`` and ``idf * weight`` side by side needs one gather and one sum a block. All texts of a batch are scored together. The sums are exact (see `model.tables`), so an answer does not depend on the batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model import artifact
from model.decisions import COVERAGE_DIGITS, Decisions, ordered, rounded
from model.errors import UnknownNameError, unknown_name
from model.language import LanguageVotes
from model.lexicon import Lexicon
from model.prediction import Contribution, Explanation, Prediction
from model.review import ReviewRules
from model.tables import Tables
from model.text import WORD
from model.vocabulary import NO_WORD, MetWords, Vocabulary

BALANCED = "balanced"
OPERATING_POINTS = (BALANCED, "precision", "recall")

_CHUNK_CHARACTERS = 100_000
"""Characters scored at once; bounds the memory of a batch to some tens of megabytes."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Span = tuple[int, int]


@dataclass(frozen=True)
class _Reading:
    """Texts as the numbers of their words, and the memory of words that the numbers are of."""

    texts: list[list[int]]
    met: MetWords

    @cached_property
    def numbers(self) -> IntArray:
        """Numbers of all words; one that is no word ends each text, so that none is empty."""
        flat: list[int] = []
        for text in self.texts:
            flat += text
            flat.append(NO_WORD)
        return np.array(flat, dtype=np.int64)

    @cached_property
    def n_words(self) -> IntArray:
        """How many words each text has."""
        return np.array([len(text) for text in self.texts], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _OperatingPoint:
    """Thresholds of the topics as probabilities and as log-odds, shape (n_topics,), and that of being in scope."""

    thresholds: FloatArray
    threshold_odds: FloatArray
    scope_threshold: float


class Classifier:
    """Classifies passages; load one with `Classifier.load`.

    Safe to share between threads: after loading, nothing changes but the cache of words, under a lock, and
    the places of triangles, of which each is written whole.
    """

    def __init__(
        self, manifest: dict[str, Any], tables: Tables, terms: Sequence[str], lexicon: Lexicon
    ) -> None:
        self.manifest = manifest
        self.version = str(manifest["model_version"])
        self.topics: tuple[str, ...] = tuple(topic["slug"] for topic in manifest["topics"])
        self.languages: tuple[str, ...] = tuple(manifest["languages"])
        self._tables = tables
        self._votes = LanguageVotes.default(self.languages)
        self._vocabulary = Vocabulary(terms, lexicon, self._votes, tables.nothing)
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
        terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        lexicon = Lexicon.load(folder / "lexicon.json")
        tables = Tables.load(folder, manifest, len(terms), len(lexicon.concepts))
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
        """As `_decide_many`, for one text at a fraction of the cost."""
        arrays, numbers, n_words = reading.met.arrays, reading.numbers, len(reading.texts[0])
        log_odds = self._log_odds(reading)[0]
        probabilities = sigmoid(log_odds)
        scope, *scores = probabilities.tolist()
        language = self._votes.winner(arrays.votes.take(numbers))
        known = int(np.count_nonzero(arrays.stems.take(numbers) != self._tables.nothing))
        coverage = round(known / max(n_words, 1), COVERAGE_DIGITS)
        topics = []
        enough = n_words >= self._review.fewest_words_for_topics
        if enough and coverage and scope >= point.scope_threshold:
            topics = (probabilities[1:] >= point.thresholds).nonzero()[0].tolist()
            topics.sort(key=scores.__getitem__, reverse=True)
        supported = not self.languages or language in self.languages
        near = float(np.minimum.reduce(np.abs(log_odds[1:] - point.threshold_odds)))
        return Prediction(
            tuple([self.topics[t] for t in topics]),
            dict(zip(self.topics, scores, strict=True)),
            scope,
            language,
            coverage,
            self._review.reasons(supported, n_words, coverage, near),
        )

    def _decide_many(self, reading: _Reading, point: _OperatingPoint) -> Decisions:
        log_odds = self._log_odds(reading)
        probabilities = sigmoid(log_odds)
        scope, scores = probabilities[:, 0], probabilities[:, 1:]
        arrays = reading.met.arrays
        numbers, n_words = reading.numbers, reading.n_words
        starts = (n_words + 1).cumsum() - (n_words + 1)
        is_known = arrays.stems.take(numbers) != self._tables.nothing
        known = np.add.reduceat(is_known, starts, dtype=np.int64)
        coverage = rounded(known / np.maximum(n_words, 1), COVERAGE_DIGITS)
        enough = n_words >= self._review.fewest_words_for_topics
        allowed = enough & (coverage > 0.0) & (scope >= point.scope_threshold)
        languages = self._votes.winners(arrays.votes.take(numbers), starts)
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
        spans = [match.span() for match in WORD.finditer(text)]
        places: dict[Span, FloatArray] = {}
        tables = self._tables
        self._share(self._word_places(reading, spans), tables.scales[0], places)
        self._share(self._concept_places(reading, spans), tables.scales[1], places)
        log_odds = self._log_odds(reading)[0]
        return [
            Explanation(topic, float(tables.bias[t]), float(log_odds[t]), _listed(text, places, t))
            for topic, t in zip(topics, columns, strict=True)
        ]

    def _read(self, texts: Sequence[str]) -> Iterator[_Reading]:
        """The texts in runs that are scored together, as the numbers of their words; at least one run."""
        if isinstance(texts, str):
            raise TypeError("expected a sequence of str, got a str; pass [text]")
        for chunk in [texts] if len(texts) == 1 else _chunks(texts):
            met = self._vocabulary.met()
            numbers_of = met.__getitem__
            yield _Reading(
                [list(chain.from_iterable(map(numbers_of, text.split()))) for text in chunk], met
            )

    def _all_log_odds(self, texts: Sequence[str]) -> FloatArray:
        """Log-odds of being in scope and then of each topic, shape (n_texts, 1 + n_topics)."""
        parts = [self._log_odds(reading) for reading in self._read(texts)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _log_odds(self, reading: _Reading) -> FloatArray:
        """Log-odds of a run of texts, shape (n_texts, 1 + n_topics).

        A text that came alone and one among others have the same active rows, in another order: the sums are exact, so it does not
        matter.
        """
        if len(reading.texts) == 1:
            return self._tables.log_odds(*self._active_of_one(reading))
        return self._tables.log_odds(*self._active_of_many(reading))

    def _active_of_one(self, reading: _Reading) -> tuple[IntArray, IntArray]:
        """Active rows of one text as `Tables.log_odds` wants them."""
        tables, arrays, numbers = self._tables, reading.met.arrays, reading.numbers
        stems = arrays.stems.take(numbers)
        _, pairs = tables.find_pairs(stems)
        words = _distinct(np.concatenate((stems, arrays.prefixes.take(numbers), pairs)))
        concepts = np.bincount(arrays.concepts.take(numbers, axis=0).ravel())[:-1].nonzero()[0]
        square = tables.concept_rows.take(concepts, axis=0).take(concepts, axis=1)
        triangle = square.take(self._triangle(len(concepts)))
        active = np.concatenate((words, triangle, self._end))
        return active, np.array([0, len(words)])

    def _active_of_many(self, reading: _Reading) -> tuple[IntArray, IntArray]:
        """As `_active_of_one`, for many texts."""
        tables = self._tables
        n, bits = len(reading.texts), len(tables.rows).bit_length()
        arrays, numbers = reading.met.arrays, reading.numbers
        text_of = np.repeat(np.arange(n), reading.n_words + 1)
        marks = text_of << bits
        stems = arrays.stems.take(numbers)
        places, pairs = tables.find_pairs(stems)
        words = _distinct(
            np.concatenate(
                (
                    stems + marks,
                    arrays.prefixes.take(numbers) + marks,
                    pairs + marks.take(places),
                )
            )
        )
        concepts = self._concept_keys(arrays.concepts.take(numbers, axis=0), text_of, n, bits)
        counts = [np.bincount(keys >> bits, minlength=n) for keys in (words, concepts)]
        active = np.concatenate((words, concepts))
        active &= (1 << bits) - 1
        lengths = np.concatenate(counts)
        return active, lengths.cumsum() - lengths

    def _concept_keys(
        self, concepts: IntArray, text_of: IntArray, n_texts: int, bits: int
    ) -> IntArray:
        """Rows of each concept and of each pair of concepts of a text, text after text, each text's ended by the row of zeros.

        A row comes marked with its text's number, above the lowest `bits`. The last number of a concept is one that does not exist:
        it ends each text's and pairs with itself.
        """
        tables = self._tables
        n_concepts = len(tables.concept_rows)
        keys = (concepts + (text_of * (n_concepts + 1))[:, None])[concepts != n_concepts]
        ends = np.arange(n_texts) * (n_concepts + 1) + n_concepts
        keys = _distinct(np.concatenate((keys, ends)))
        texts, numbers = np.divmod(keys, n_concepts + 1)
        last = np.bincount(texts, minlength=n_texts).cumsum() - 1
        partners = np.maximum(last[texts] - np.arange(len(keys)), 1)
        first = np.repeat(np.arange(len(keys)), partners)
        second = first + np.arange(len(first)) - (partners.cumsum() - partners)[first]
        padded = np.pad(tables.concept_rows, (0, 1), constant_values=tables.nothing)
        rows: IntArray = padded[numbers[first], numbers[second]] + (texts[first] << bits)
        return rows

    def _triangle(self, n: int) -> IntArray:
        """Places of the upper triangle of a flat square of n by n, diagonal included."""
        places = self._triangles.get(n)
        if places is None:
            first, second = np.triu_indices(n)
            places = self._triangles[n] = first * n + second
        return places

    def _word_places(self, reading: _Reading, spans: list[Span]) -> dict[int, list[Span]]:
        """Active rows of terms and pairs of stems in one text, and where each stands."""
        arrays, numbers = reading.met.arrays, reading.numbers[:-1]
        stems = arrays.stems.take(numbers)
        places: dict[int, list[Span]] = {}
        for span, *rows_of_word in zip(
            spans, stems.tolist(), arrays.prefixes.take(numbers).tolist(), strict=True
        ):
            for row in {*rows_of_word} - {self._tables.nothing}:
                places.setdefault(row, []).append(span)
        found, rows = self._tables.find_pairs(stems)
        for i, row in zip(found.tolist(), rows.tolist(), strict=True):
            places.setdefault(row, []).append((spans[i][0], spans[i + 1][1]))
        return places

    def _concept_places(self, reading: _Reading, spans: list[Span]) -> dict[int, list[Span]]:
        """Active rows of concepts in one text, and the places of both concepts of each."""
        rows = self._tables.concept_rows
        of_concept: dict[int, list[Span]] = {}
        concepts = reading.met.arrays.concepts.take(reading.numbers[:-1], axis=0)
        for listed, span in zip(concepts.tolist(), spans, strict=True):
            for number in listed:
                if number < len(rows):
                    of_concept.setdefault(number, []).append(span)
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
