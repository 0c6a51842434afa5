"""Small expression data for gene programs: counts with a few known directions."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

GENES = np.array([f"GENE{number:02d}" for number in range(80)])
_DIRECTIONS = np.random.default_rng(7).standard_normal((3, len(GENES)))


def counts_of(
    profiles: int = 120, *, seed: int = 0, depth: float = 2000.0, scores: np.ndarray | None = None
) -> np.ndarray:
    """Return Poisson counts whose logarithms follow three directions, the same for every seed."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((profiles, 3)) if scores is None else scores
    log = 0.6 * scores @ _DIRECTIONS
    share = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
    return rng.poisson(share * depth * rng.uniform(0.5, 1.5, (profiles, 1)))


def adata_of(counts: np.ndarray, genes: np.ndarray = GENES) -> anndata.AnnData:
    """Return an AnnData of cells without positions."""
    names = [f"cell{number}" for number in range(len(counts))]
    matrix = sparse.csr_matrix(counts.astype(np.float32))
    return anndata.AnnData(matrix, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=list(genes)))


def write_table(path: Path, counts: np.ndarray, genes: np.ndarray = GENES, separator: str = "\t") -> Path:
    """Write a table, a row a profile."""
    index = [f"{number}x1" for number in range(len(counts))]
    pd.DataFrame(counts, index=index, columns=list(genes)).to_csv(path, sep=separator)
    return path


def explained(directions: np.ndarray, number: int = 3) -> float:
    """Return the share of the known directions that the first of others span."""
    known = np.linalg.qr((_DIRECTIONS - _DIRECTIONS.mean(axis=1, keepdims=True)).T)[0]
    return float((np.linalg.qr(directions[:number].T)[0].T @ known).__pow__(2).sum() / len(_DIRECTIONS))
