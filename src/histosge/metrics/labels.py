"""Agreement of clusters with annotated domains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histosge.errors import DataError

__all__ = ["adjusted_rand", "mutual_information"]


def adjusted_rand(annotation: Sequence[str], clusters: Sequence[object]) -> float:
    """Return the adjusted Rand index (Hubert & Arabie 1985) of the annotated spots; empty labels are dropped.

    Raises
    ------
    DataError
        When the lengths differ or nothing is annotated.

    Examples
    --------
    >>> adjusted_rand(["tumour", "tumour", "", "stroma"], [1, 1, 2, 2])
    1.0
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_annotated(annotation, clusters)))


def mutual_information(annotation: Sequence[str], clusters: Sequence[object]) -> float:
    """Return the normalised mutual information of the annotated spots; empty labels are dropped.

    Raises
    ------
    DataError
        When the lengths differ or nothing is annotated.

    Examples
    --------
    >>> mutual_information(["tumour", "tumour", "", "stroma"], [1, 1, 2, 2])
    1.0
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_annotated(annotation, clusters)))


def _annotated(annotation: Sequence[str], clusters: Sequence[object]) -> tuple[list[str], list[str]]:
    """Return the annotation and the cluster of each annotated spot."""
    if len(annotation) != len(clusters):
        raise DataError(
            f"Expected one cluster label per annotation ({len(annotation)}), got {len(clusters)}."
        )
    rows = [row for row, label in enumerate(annotation) if label]
    if not rows:
        raise DataError("Expected annotated spots, found none: every label is empty.")
    return [annotation[row] for row in rows], [str(np.asarray(clusters)[row]) for row in rows]
