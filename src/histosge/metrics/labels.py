"""Agreement of clusters with annotated domains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histosge.errors import DataError

__all__ = ["adjusted_rand", "mutual_information"]


def adjusted_rand(annotation: Sequence[str], clusters: Sequence[object]) -> float:
    """Return the adjusted Rand index (Hubert & Arabie 1985); spots without annotation (empty) are dropped first.

    Raises
    ------
    DataError
        When the lengths differ or nothing is annotated.
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_annotated(annotation, clusters)))


def mutual_information(annotation: Sequence[str], clusters: Sequence[object]) -> float:
    """Return the normalised mutual information; spots without annotation (empty) are dropped first.

    Raises
    ------
    DataError
        When the lengths differ or nothing is annotated.
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_annotated(annotation, clusters)))


def _annotated(annotation: Sequence[str], clusters: Sequence[object]) -> tuple[list[str], list[str]]:
    if len(annotation) != len(clusters):
        raise DataError(f"Expected {len(annotation)} cluster labels, one an annotation; got {len(clusters)}.")
    known = [index for index, word in enumerate(annotation) if word]
    if not known:
        raise DataError("Expected annotated spots, found none: every label is empty.")
    return [annotation[index] for index in known], [str(np.asarray(clusters)[index]) for index in known]
