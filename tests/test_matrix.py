from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from model import PassageError
from model.lexicon import Lexicon
from training import matrix
from training.pipeline import (
    ConceptAnalyzer,
    Parameters,
    WordAnalyzer,
    count_terms,
    fit_features,
)

PARAMETERS = Parameters.load()
LEXICON = Lexicon.default()
ODD = ["", "!?", f"ban {'x' * 65} account", "ban ban Ban", "suspended", "100 comptes 2024"]


@pytest.fixture(scope="module")
def texts(passages):
    return [*ODD, *(p.text for p in passages[:400])]


def written(texts, folder, n_texts=None, most=10**9):
    folder.mkdir(exist_ok=True)
    n_texts = len(texts) if n_texts is None else n_texts
    reading = matrix.read(texts, LEXICON, folder)
    terms = matrix.count(reading, n_texts, LEXICON, PARAMETERS.min_df, most)
    whole = matrix.write(reading, terms, LEXICON, PARAMETERS, folder)
    return terms, whole, matrix.vectorizers(terms, PARAMETERS, LEXICON)


def vectorized(texts):
    """The blocks as scikit-learn itself fits them, and the matrix, of the same texts."""
    kinds = {"words": WordAnalyzer(), "concepts": ConceptAnalyzer(LEXICON.forms)}
    features = FeatureUnion(
        [
            (name, TfidfVectorizer(analyzer=analyzer, binary=True, min_df=PARAMETERS.min_df))
            for name, analyzer in kinds.items()
        ],
        transformer_weights={
            "words": PARAMETERS.word_scale,
            "concepts": PARAMETERS.concept_scale,
        },
    )
    whole = sparse.csr_matrix(features.fit_transform(texts))
    whole.sum_duplicates()
    return features, whole


def assert_same(features, expected):
    for (name, block), (other_name, other) in zip(
        features.transformer_list, expected.transformer_list, strict=True
    ):
        assert name == other_name
        assert block.vocabulary_ == other.vocabulary_
        assert np.array_equal(block.idf_, other.idf_)


@pytest.mark.parametrize(("chunk", "cells"), [(5_000, 1 << 16), (7, 1 << 6)])
def test_terms_and_values_are_those_of_the_vectorizers(texts, tmp_path, monkeypatch, chunk, cells):
    monkeypatch.setattr(matrix, "_CHUNK", chunk)
    monkeypatch.setattr(matrix, "CELLS", cells)
    _, whole, features = written(texts, tmp_path)
    expected_features, expected = vectorized(texts)
    assert_same(features, expected_features)
    found = sparse.vstack(whole.parts(0, len(texts), 100))
    assert found.shape == expected.shape
    assert abs(found - expected).max() < 1e-7
    assert np.array_equal(found.indptr, expected.indptr)
    assert abs(features.transform(texts) - expected).max() < 1e-12


def test_features_in_memory_are_those_of_the_vectorizers(texts):
    counts = count_terms(PARAMETERS, LEXICON, texts)
    features, whole, again = fit_features(PARAMETERS, counts, LEXICON)
    expected_features, expected = vectorized(texts)
    for (_, block), (_, other) in zip(
        features.transformer_list, expected_features.transformer_list, strict=True
    ):
        assert block.vocabulary_ == other.vocabulary_
        assert np.allclose(block.idf_, other.idf_, rtol=1e-12, atol=0)
    assert not len(again)
    assert abs(whole - expected).max() < 1e-12


def test_texts_that_are_not_counted_have_rows_of_the_terms_of_the_others(texts, tmp_path):
    _, whole, features = written(texts, tmp_path, n_texts=300)
    expected_features, _ = vectorized(texts[:300])
    assert_same(features, expected_features)
    rows = sparse.vstack(whole.parts(300, len(texts), 40))
    assert abs(rows - expected_features.transform(texts[300:])).max() < 1e-7


def test_the_vocabulary_is_bounded_and_holds_every_term_of_its_least_frequency(texts, tmp_path):
    frequencies = Counter(term for text in texts for term in set(WordAnalyzer()(text)))
    most = sum(n >= 5 for n in frequencies.values())
    terms, _, _ = written(texts, tmp_path, most=most)
    assert len(terms.words.terms) <= most
    assert terms.min_df in (5, 6)
    assert terms.words.terms == sorted(t for t, n in frequencies.items() if n >= terms.min_df)


def test_a_bound_under_the_commonest_terms_leaves_none(texts, tmp_path):
    with pytest.raises(PassageError, match="no words to learn from"):
        written(texts, tmp_path, most=0)


def test_texts_without_words_are_refused(tmp_path):
    with pytest.raises(PassageError, match="no words to learn from"):
        matrix.read(["", "?!"], LEXICON, tmp_path)


def test_texts_without_concepts_have_no_such_block(tmp_path):
    terms, whole, features = written(["zzz qqq", "qqq zzz", "zzz"], tmp_path)
    assert terms.concepts is None
    assert [name for name, _ in features.transformer_list] == ["words"]
    assert whole.n_features == len(terms.words.terms)


def test_rows_are_mapped_from_the_files_not_copied(texts, tmp_path):
    _, whole, _ = written(texts, tmp_path)
    (part,) = whole.parts(0, 50, 100)
    assert part.data.sum() > 0
    assert part.indices.sum() > 0
    for name in ("values", "columns"):
        with (tmp_path / name).open("r+b") as stream:
            stream.write(bytes((tmp_path / name).stat().st_size))
    assert part.data.sum() == part.indices.sum() == 0
