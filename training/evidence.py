"""How telling each term is of a topic, before any weight is fitted.

A term that is as frequent in a topic's passages as elsewhere tells nothing of it, however rare it is. Features are multiplied by the
logarithm of the ratio of both frequencies before the logistic regression sees them, so that it spends its weights on what is telling
(Wang and Manning 2012, "Baselines and Bigrams"). The factors are folded into the weights afterwards: what is served does not change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

_SMOOTHING = 1.0

FloatArray = npt.NDArray[np.float64]


def count(features: sparse.csr_matrix, counted: npt.NDArray[Any]) -> FloatArray:
    """How much the texts that each term stands in count for, shape (n_features, n_topics).

    `counted` is what each text counts for each topic, shape (n_texts, n_topics): 1 and 0 for a topic's passages and others.
    """
    present = sparse.csr_matrix(
        (np.ones(len(features.data), np.float32), features.indices, features.indptr), features.shape
    )
    return np.asarray(present.T @ counted.astype(np.float32), dtype=np.float64)


def factors(
    positive: FloatArray,
    passages: npt.NDArray[Any],
    n_positive: npt.NDArray[Any],
    n_texts: float,
    share: float,
) -> FloatArray:
    """What each feature is multiplied by, shape (n_features, n_topics), of mean square 1 over a topic's features.

    `positive` are a topic's texts that a term stands in, as from `count`; `passages`, shape (n_features,), are all texts of each term,
    `n_positive`, shape (n_topics,), those of each topic, `n_texts` all there are. `share` from 0 to 1 is how much of a factor is the term's
    own, the rest is the same for all.
    """
    inside = (positive + _SMOOTHING) / n_positive
    outside = (passages[:, None] - positive + _SMOOTHING) / (n_texts - n_positive)
    telling = np.abs(np.log(inside / outside))
    mixed = share * telling + (1 - share) * telling.mean(axis=0)
    length = np.sqrt((mixed**2).mean(axis=0))
    # Where nothing tells the topic apart, all terms are alike.
    found: FloatArray = np.divide(mixed, length, out=np.ones_like(mixed), where=length > 0.0)
    return found
