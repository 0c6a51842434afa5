"""Small sections on ideal lattices."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import LEGACY_ST, VISIUM
from histosge.geometry.points import Points
from histosge.section.section import Section


def hexagonal_indices(columns: int = 9, rows: int = 8) -> np.ndarray:
    return np.array([(2 * c + r % 2, r) for r in range(rows) for c in range(columns)], dtype=float)


def section(kind: str, pitch_um: float = 100.0, angle: float = 0.0) -> Section:
    if kind == "hexagonal":
        indices, step = hexagonal_indices(), np.array([[pitch_um / 2, 0], [0, pitch_um * 0.75**0.5]])
    else:
        indices, step = np.array([(c, r) for r in range(8) for c in range(9)], float), pitch_um * np.eye(2)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = indices @ step @ rotation + 1000.0
    spots = Points(xy, np.array([f"s{i}" for i in range(len(xy))]), 55.0)
    genes = np.array(["A"])
    counts = sparse.csr_matrix(np.ones((len(xy), 1)))
    platform = VISIUM if kind == "hexagonal" else LEGACY_ST
    return Section("toy", counts, genes, genes, spots, indices, Lattice.fit(xy, indices), platform, 0.5)
