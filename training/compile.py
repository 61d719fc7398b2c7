"""From a fitted pipeline to the tables that are served (see `model.artifact` for the files)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline

from model.lexicon import Lexicon
from model.tables import WEIGHT_STEPS, pair_keys, pair_order
from training.pipeline import Parameters

FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]


def compile_pipeline(
    pipeline: Pipeline, folder: Path, lexicon: Lexicon, parameters: Parameters
) -> dict[str, Any]:
    """Writes the tables of a fitted pipeline into a folder, and returns what the manifest has to hold of it."""
    features = pipeline.named_steps["features"]
    blocks: dict[str, TfidfVectorizer] = dict(features.transformer_list)
    estimators = pipeline.named_steps["topics"].estimators_
    all_estimators = [pipeline.scope_, *estimators]
    weights = np.stack([estimator.coef_[0] for estimator in all_estimators], axis=1)
    n_words = len(blocks["words"].vocabulary_)
    terms, pairs, table = _word_tables(blocks["words"], weights[:n_words])
    concept_table, concept_rows = _concept_tables(
        blocks.get("concepts"), lexicon, weights[n_words:], first_row=len(table)
    )
    nothing = np.zeros((1, table.shape[1]), table.dtype)
    np.save(folder / "rows.npy", np.concatenate((table, concept_table, nothing)))
    np.save(folder / "pairs.npy", pairs)
    np.save(folder / "concept_rows.npy", concept_rows)
    _write_json(folder / "terms.json", terms)
    _write_json(folder / "lexicon.json", lexicon.forms)
    return {
        "bias": [float(estimator.intercept_[0]) for estimator in estimators],
        "blocks": {"words": parameters.word_scale, "concepts": parameters.concept_scale},
    }


def _word_tables(
    block: TfidfVectorizer, weights: FloatArray
) -> tuple[list[str], npt.NDArray[np.uint64], Rows]:
    """Terms in the order of their rows, keys of the pairs, and the table of both."""
    vocabulary: dict[str, int] = block.vocabulary_
    terms = _by_frequency(block, [term for term in vocabulary if " " not in term])
    number = {term: row for row, term in enumerate(terms)}
    pair_terms = [term for term in vocabulary if " " in term]
    first, second = (
        np.array(
            [[number[stem] for stem in term.split(" ")] for term in pair_terms], dtype=np.int64
        )
        .reshape(-1, 2)
        .T
    )
    keys = pair_keys(first, second)
    order = pair_order(keys)
    columns = [vocabulary[term] for term in terms]
    columns += [vocabulary[pair_terms[place]] for place in order]
    return terms, keys[order], _table(block, weights, columns)


def _concept_tables(
    block: TfidfVectorizer | None, lexicon: Lexicon, weights: FloatArray, first_row: int
) -> tuple[Rows, npt.NDArray[np.int32]]:
    """The table of concepts and their pairs, and the row of each pair; the row after the table's last where there is none."""
    number = {concept: place for place, concept in enumerate(lexicon.concepts)}
    vocabulary: dict[str, int] = {} if block is None else block.vocabulary_
    terms = [] if block is None else _by_frequency(block, vocabulary)
    rows = np.full((len(number), len(number)), first_row + len(terms), np.int32)
    for row, term in enumerate(terms, first_row):
        first, _, second = term.partition(" & ")
        a, b = number[first], number[second or first]
        rows[a, b] = rows[b, a] = row
    if block is None:
        return np.empty((0, 1 + weights.shape[1]), np.float32), rows
    return _table(block, weights, [vocabulary[term] for term in terms]), rows


def _by_frequency(block: TfidfVectorizer, terms: Iterable[str]) -> list[str]:
    """Terms, the most frequent first: their rows lie together, and stay in the processor's caches."""
    return sorted(terms, key=lambda term: (block.idf_[block.vocabulary_[term]], term))


def _table(block: TfidfVectorizer, weights: FloatArray, columns: list[int]) -> Rows:
    """A row for each column of the block: its squared idf, then idf times the weight for scope and each topic, as `WEIGHT_STEPS` asks."""
    idf = block.idf_[columns]
    table = np.column_stack((idf**2, weights[columns] * idf[:, None]))
    return (np.rint(table * WEIGHT_STEPS) / WEIGHT_STEPS).astype(np.float32)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
