"""A tissue whose truth is known everywhere: shared by docs, tests and ``histosge demo``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from histosge._runtime.summary import as_text
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import LEGACY_ST, SYNTHETIC, Platform
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.section.section import Section

from .folders import write_legacy_st, write_spaceranger
from .stain import stained

__all__ = ["GROUPS", "Synthetic", "Waves", "synthetic", "write_legacy_st", "write_spaceranger"]

# what drives a gene: a compartment, the position alone, cells too small for the spots to resolve, or nothing
GROUPS = ("TUMOUR", "STROMA", "IMMUNE", "ZONE", "NUCLEI", "FLAT")
_COMPARTMENTS = 3
# µm per pixel of the imagined full-resolution scan, and of the image that comes with the section
_SCAN_MPP, _IMAGE_MPP = 0.5, 2.0
_MARGIN_PITCHES = 1.5
_MEAN_DEPTH = 4000.0
# points of a disk over which rates are averaged
_DISK_POINTS = 37


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """A smooth random function of position: a sum of plane waves (random Fourier features).

    Parameters
    ----------
    frequency
        Radians per µm, two a wave.
    phase
        One a wave.
    """

    frequency: Float[np.ndarray, "w 2"]
    phase: Float[np.ndarray, " w"]

    @classmethod
    def draw(cls, rng: np.random.Generator, length_um: float) -> Waves:
        """Draw one that changes over about ``length_um``."""
        return cls(rng.normal(size=(48, 2)) / length_um, rng.uniform(0, 2 * np.pi, 48))

    def __call__(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Return the values: mean 0, variance 1 over many draws."""
        return np.asarray(
            np.cos(xy_um @ self.frequency.T + self.phase).sum(axis=1) * (2 / len(self.phase)) ** 0.5
        )


@dataclass(frozen=True, slots=True, eq=False)
class Synthetic:
    """A section and what is true of its tissue.

    Parameters
    ----------
    section
        What was "measured": Poisson counts.
    compartments
        One function a compartment; the largest rules.
    zone
        Changes slowly; the image does not show it.
    nuclei
        Density of nuclei, changing within a pitch; the image shows it, the spots hardly resolve it.
    level, loadings
        Log rate of each gene, and how it follows compartments, zone and nuclei.
    """

    section: Section
    compartments: tuple[Waves, ...]
    zone: Waves
    nuclei: Waves
    level: Float[np.ndarray, " g"]
    loadings: Float[np.ndarray, "k g"]

    def __repr__(self) -> str:
        return as_text("Synthetic", {"section": self.section})

    def truth(self, xy_um: Float[np.ndarray, "n 2"], diameter_um: float = 0.0) -> Float[np.ndarray, "n g"]:
        """Return the expression without noise, log1p(CP10k), anywhere.

        Parameters
        ----------
        xy_um
            Where.
        diameter_um
            Of the disks whose mean rates are asked for; 0 is the point itself.
        """
        rates = _mean_rates(self, np.asarray(xy_um, dtype=np.float64), diameter_um)
        return np.asarray(np.log1p(1e4 * rates))

    def domains(self, xy_um: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, " n"]:
        """Return the ruling compartment: 0 tumour, 1 stroma, 2 immune cells."""
        return np.asarray(_shares(self.compartments, np.asarray(xy_um, dtype=np.float64)).argmax(axis=1))

    def write(self, folder: str | Path) -> Path:
        """Write the section as the folder that Space Ranger leaves, and return the folder.

        Raises
        ------
        UsageError
            For a path that cannot be written.
        """
        return write_spaceranger(self.section, Path(folder))


def synthetic(
    columns: int = 24,
    rows: int = 28,
    genes: int = 200,
    *,
    seed: int = 0,
    lattice: Literal["hexagonal", "square"] = "hexagonal",
    support: Literal["point", "disk"] = "point",
    diameter_um: float | None = None,
) -> Synthetic:
    """Make a tissue, stain it, and measure it.

    Parameters
    ----------
    columns, rows
        Of the array; spots beside the tissue are left out.
    genes
        Named for what drives them: ``TUMOUR1``, ``ZONE3`` …, in turn.
    seed
        Another seed, another tissue.
    lattice
        ``"hexagonal"``: 55 µm spots 100 µm apart (Visium); ``"square"``: 100 µm spots 200 µm apart (legacy ST).
    support
        What a spot measures: ``"point"``, the rates at its centre; ``"disk"``, their mean over the spot, as real ones
        do.
    diameter_um
        Of the spots, instead of the platform's.

    Raises
    ------
    UsageError
        For an array with fewer than 4 columns or rows, no genes, a negative diameter, or an unknown word.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> tissue = synthetic(columns=8, rows=8, genes=12)
    >>> tissue.truth(tissue.section.spots.xy).shape[1]
    12
    """
    if columns < 4 or rows < 4 or genes < 1:
        raise UsageError(
            f"Expected at least 4 columns, 4 rows and 1 gene, got {columns}, {rows} and {genes}."
        )
    if lattice not in ("hexagonal", "square"):
        raise UsageError(f"Expected a lattice of hexagonal or square, got '{lattice}'.")
    if support not in ("point", "disk"):
        raise UsageError(f"Expected a support of point or disk, got '{support}'.")
    rng = np.random.default_rng(seed)
    platform = SYNTHETIC if lattice == "hexagonal" else LEGACY_ST
    if diameter_um is not None:
        platform = replace(platform, diameter_um=diameter_um)
    lattice_xy, xy_um = _array_positions(columns, rows, platform)
    size_um = xy_um.max(0) + _MARGIN_PITCHES * _pitch(platform)
    waves = [Waves.draw(rng, length) for length in (350.0, 350.0, 350.0, 900.0, 90.0)]
    compartments, zone, nuclei = tuple(waves[:_COMPARTMENTS]), waves[3], waves[4]
    level, loadings = _drawn_genes(genes, rng)
    names = np.array([f"{GROUPS[g % len(GROUPS)]}{g // len(GROUPS) + 1}" for g in range(genes)])
    outline = Waves.draw(rng, 500.0)
    on_tissue = _inside(xy_um, size_um, outline)
    lattice_xy, xy_um = lattice_xy[on_tissue], xy_um[on_tissue]
    ids = np.array([f"SPOT-{int(row):03d}x{int(column):03d}-1" for column, row in lattice_xy])
    fitted = Lattice.fit(xy_um, lattice_xy)
    empty = sparse.csr_matrix((len(ids), genes))
    spots = Points(xy_um, ids, platform.diameter_um or 0.0)
    section = Section("synthetic", empty, names, names, spots, lattice_xy, fitted, platform, _SCAN_MPP)
    tissue = Synthetic(section, compartments, zone, nuclei, level, loadings)
    counts = _measured(tissue, spots.diameter_um if support == "disk" else 0.0, rng)
    image = _image(tissue, size_um, outline, rng)
    return replace(
        tissue, section=replace(section, counts=counts, slide=SlideImage.from_array(image, _IMAGE_MPP))
    )


def _pitch(platform: Platform) -> float:
    return platform.pitch_um or 100.0


def _array_positions(columns: int, rows: int, platform: Platform) -> tuple[Array, Array]:
    """Return (column, row) and µm of all spots of the array."""
    column, row = (
        part.ravel().astype(np.float64) for part in np.meshgrid(np.arange(columns), np.arange(rows))
    )
    pitch = _pitch(platform)
    margin = _MARGIN_PITCHES * pitch
    if platform.lattice == "square":
        return np.column_stack([column, row]), np.column_stack([column, row]) * pitch + margin
    doubled = 2 * column + row % 2
    xy_um = np.column_stack([doubled * pitch / 2, row * pitch * 0.75**0.5]) + margin
    return np.column_stack([doubled, row]), xy_um


def _inside(xy_um: Array, size_um: Array, outline: Waves) -> Array:
    """Tell where tissue is: an oval with a wavy border that nearly fills the image."""
    from_middle = 2 * (xy_um - size_um / 2) / size_um
    return np.asarray(np.linalg.norm(from_middle, axis=1) + 0.06 * outline(xy_um) < 0.95)


def _shares(compartments: tuple[Waves, ...], xy_um: Array) -> Array:
    """Return the share of each compartment at each location; borders are some 50 µm wide."""
    strength = np.exp(4.0 * np.column_stack([waves(xy_um) for waves in compartments]))
    return np.asarray(strength / strength.sum(axis=1, keepdims=True))


def _drawn_genes(genes: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return level and loadings: each gene follows the one driver it is named for."""
    group = np.arange(genes) % len(GROUPS)
    loadings = np.zeros((len(GROUPS) - 1, genes))
    strength = rng.uniform(0.8, 2.0, genes)
    driven = group < len(GROUPS) - 1
    loadings[group[driven], np.flatnonzero(driven)] = strength[driven]
    loadings[_COMPARTMENTS:] *= 0.5
    return rng.normal(0.0, 1.0, genes), loadings


def _rates(tissue: Synthetic, xy_um: Array) -> Array:
    """Return each gene's share of the counts at each location."""
    shares = _shares(tissue.compartments, xy_um)
    drivers = np.column_stack([shares, tissue.zone(xy_um), tissue.nuclei(xy_um)])
    rates = np.exp(tissue.level + drivers @ tissue.loadings)
    return np.asarray(rates / rates.sum(axis=1, keepdims=True))


def _mean_rates(tissue: Synthetic, xy_um: Array, diameter_um: float) -> Array:
    """Return rates averaged over disks, at points of a sunflower pattern, which stand for equal areas (Vogel 1979)."""
    if diameter_um <= 0:
        return _rates(tissue, xy_um)
    angle = np.arange(_DISK_POINTS) * np.pi * (3 - 5**0.5)
    radius = diameter_um / 2 * np.sqrt((np.arange(_DISK_POINTS) + 0.5) / _DISK_POINTS)
    steps = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return np.asarray(np.mean([_rates(tissue, xy_um + step) for step in steps], axis=0))


def _measured(tissue: Synthetic, diameter_um: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return Poisson counts; spots differ in how deeply they were sequenced."""
    rates = _mean_rates(tissue, tissue.section.spots.xy, diameter_um)
    depth = _MEAN_DEPTH * rng.lognormal(-0.08, 0.4, len(rates))
    counts = rng.poisson(depth[:, None] * rates)
    # a spot without any count is dropped by every reader
    counts[counts.sum(axis=1) == 0, 0] = 1
    return sparse.csr_matrix(counts.astype(np.float64))


def _image(tissue: Synthetic, size_um: Array, outline: Waves, rng: np.random.Generator) -> Array:
    """Stain the tissue; the smooth functions are worked out every few pixels and interpolated."""
    coarse_um = 16.0
    width, height = np.ceil(size_um / coarse_um).astype(int) + 1
    column, row = (part.ravel() for part in np.meshgrid(np.arange(width), np.arange(height)))
    xy_um = np.column_stack([column, row]) * coarse_um
    shares = _shares(tissue.compartments, xy_um).reshape(height, width, _COMPARTMENTS)
    density = np.asarray(tissue.nuclei(xy_um)).reshape(height, width)
    inside = _inside(xy_um, size_um, outline).reshape(height, width)
    size_px = tuple(np.round(size_um / _IMAGE_MPP).astype(int))
    return stained(
        shares, density, inside, size_px=(int(size_px[0]), int(size_px[1])), mpp=_IMAGE_MPP, rng=rng
    )
