"""Is a spot the mean of what lies in it in the image too? Features at several points, and kernels averaged over pairs.

    python benchmarks/image_support.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1
    python benchmarks/image_support.py ../shared/data/xenium_breast_rep1 --fine

A reduced cokriging: 30 factors, kriged with the position kernels and the image kernels of the package, each with the
noise of highest marginal likelihood, and the image weight likewise. What the factors leave of a gene, winsorising and
calibration are left out. Patches of ``texture`` are read at ``points`` of a disk. ``means``: their statistics are
averaged. ``pairs``: the RBF kernel of the components is averaged over all pairs of points of two disks.

Of sections a random half of the spots are test spots. With ``--fine`` the left half of the section of a finer truth is
fitted to spots of Visium's layout and scored at 2500 cells and in 2500 bins of 25 and of 50 µm; the disk of a cell or
bin is its own, at least as wide as the row says, and at most a spot.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

import histosge as hs
from histosge.encoders.texture import statistics
from histosge.evaluation.fine_truth.pseudo_spots import pseudo_spots
from histosge.evaluation.fine_truth.read_truth import read_truth
from histosge.evaluation.fine_truth.scales import scaled
from histosge.evaluation.study import Study, choose_genes
from histosge.images.patches import Patches
from histosge.images.slide import SlideImage
from histosge.metrics.pearson import pearson
from histosge.models.cokriging.block_covariance import block_covariance
from histosge.models.cokriging.image_features import FeatureTransform
from histosge.models.cokriging.standardise import Coins, Standardisation
from histosge.section.expression import depth, log_cp10k
from histosge.section.genes import select

FACTORS, SHORT_UM, SEVENTH = 30, 40.0, 1 / 7
NOISE = np.geomspace(0.03, 300, 25)
WIDTHS_UM, PX = (55.0, 110.0, 220.0), 32
# a narrower patch has half of the pixels
NARROW_UM, NARROW_PX = 27.5, 16


@dataclass(frozen=True)
class Row:
    """How a location is described: patch widths, points of its disk, the mean of what, the least disk."""

    name: str
    points: int = 1
    pairs: bool = False
    narrow: bool = False
    least_um: float = 0.0

    def features(self, slide: SlideImage, xy_um: np.ndarray, diameter_um: float) -> np.ndarray:
        """Return statistics at the points of the disks, locations × points × columns."""
        offsets = disk(max(diameter_um, self.least_um), self.points)
        around = (xy_um[:, None] + offsets).reshape(-1, 2)
        widths = (
            (NARROW_UM, NARROW_PX) if self.narrow else (WIDTHS_UM[0], PX),
            *((w, PX) for w in WIDTHS_UM[1:]),
        )
        columns = np.concatenate([texture(slide, around, um, px) for um, px in widths], axis=1)
        points = columns.reshape(len(xy_um), len(offsets), -1).astype(np.float64)
        return points if self.pairs else points.mean(axis=1, keepdims=True)


ROWS = (
    Row("one patch"),
    Row("one narrow patch", narrow=True),
    Row("means", 7),
    Row("means, narrow", 7, narrow=True),
    Row("pairs", 7, pairs=True),
    Row("pairs, narrow", 7, pairs=True, narrow=True),
)
FINE_ROWS = (
    Row("one patch"),
    Row("one narrow patch", narrow=True),
    Row("means, own disk", 7),
    Row("means, at least 55 µm", 7, least_um=55.0),
    Row("pairs, own disk", 7, pairs=True),
    Row("pairs, at least 55 µm", 7, pairs=True, least_um=55.0),
)


def disk(diameter_um: float, points: int) -> np.ndarray:
    """Return points that stand for equal parts of a disk (Vogel 1979)."""
    number = np.arange(points)
    radius, angle = diameter_um / 2 * np.sqrt((number + 0.5) / points), number * np.pi * (3 - 5**0.5)
    # a single point is the middle
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]) * (points > 1)


def texture(slide: SlideImage, xy_um: np.ndarray, size_um: float, px: int) -> np.ndarray:
    """Return the statistics of `texture` of patches of one size."""
    patches = Patches(slide, xy_um, size_um=size_um, px=px)
    starts = range(0, len(xy_um), 64)
    return np.concatenate([statistics(patches[start : start + 64]) for start in starts])


def rbf(left: np.ndarray, right: np.ndarray, unit: float) -> np.ndarray:
    """Return the RBF kernel, averaged over all pairs of points of two locations."""
    left, right = left.astype(np.float32), right.astype(np.float32)
    total = np.zeros((len(left), len(right)), dtype=np.float32)
    for a in left.swapaxes(0, 1):
        for b in right.swapaxes(0, 1):
            power = a @ b.T * np.float32(2 / unit)
            power -= ((a**2).sum(axis=1) / np.float32(unit))[:, None]
            power -= (b**2).sum(axis=1) / np.float32(unit)
            total += np.exp(np.minimum(power, 0, out=power), out=power)
    return total / (left.shape[1] * right.shape[1])


def unit_of(values: np.ndarray) -> float:
    """Return the median squared distance of locations."""
    some = values[:: max(1, len(values) // 512)]
    return float(np.median(cdist(some, some, "sqeuclidean")))


class Kernels:
    """The image kernels of some spots, features given at points."""

    def __init__(self, points: np.ndarray, xy_um: np.ndarray, pitch_um: float, factors: np.ndarray) -> None:
        sections = np.zeros(len(xy_um), dtype=np.intp)
        self.transform, own = FeatureTransform.fit(
            points.mean(axis=1), sections, xy_um, pitch_um=pitch_um, factors=factors
        )
        self.own = (self.components(points), own.neighbourhood, own.stacked)
        self.units = [unit_of(values) for values in (own.components, own.neighbourhood, own.stacked)]
        self.squares = [
            float((values**2).sum(axis=1).mean()) for values in (own.components, own.neighbourhood)
        ]

    def components(self, points: np.ndarray) -> np.ndarray:
        """Return the principal components of each point."""
        standard = (points - self.transform.means[0]) / self.transform.scales[0]
        return np.clip(standard, -5, 5) @ self.transform.axes

    def at(self, points: np.ndarray, xy_um: np.ndarray) -> np.ndarray:
        """Return the covariance of locations with the spots."""
        sections = np.zeros(len(xy_um), dtype=np.intp)
        features = self.transform.transform(points.mean(axis=1), sections, xy_um)
        return self.between((self.components(points), features.neighbourhood, features.stacked))

    def between(self, left: tuple[np.ndarray, ...] | None = None) -> np.ndarray:
        """Return the covariance with the spots: RBF and linear kernels as in the package, with a variance of 1."""
        (points, around, stacked), (own, own_around, own_stacked) = left or self.own, self.own
        kernel = rbf(points, own, self.units[0])
        kernel += (points.mean(axis=1) @ own.mean(axis=1).T / self.squares[0]).astype(np.float32)
        kernel += rbf(around[:, None], own_around[:, None], self.units[1])
        kernel += (around @ own_around.T / self.squares[1]).astype(np.float32)
        return kernel + 2 * rbf(stacked[:, None], own_stacked[:, None], self.units[2])


@dataclass(frozen=True)
class Spots:
    """Training spots: positions, expression, depths, and the diameter and pitch in µm."""

    xy_um: np.ndarray
    expression: np.ndarray
    depths: np.ndarray
    ids: np.ndarray
    genes: np.ndarray
    diameter_um: float
    pitch_um: float


class Cokriging:
    """The reduced model."""

    def __init__(self, spots: Spots, seed: int, noise: np.ndarray | None = None) -> None:
        # relative variance of the noise of each spot
        self.root = np.ones(len(spots.xy_um)) if noise is None else np.sqrt(noise)
        sections = np.zeros(len(spots.xy_um), dtype=np.intp)
        coins = Coins.of(spots.ids, spots.genes, seed)
        self.spots = spots
        self.standardisation = Standardisation.fit(
            spots.expression, spots.depths, sections=sections, coins=coins
        )
        values = self.standardisation.transform(spots.expression, sections)
        axes = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)[2]
        self.axes = axes[: min(FACTORS, len(values) - 1)]
        self.factors = values @ self.axes.T
        ranges = (2.0, 8.0) if len(values) <= 1000 else (3.0, 12.0)
        self.ranges_um = tuple(length * spots.pitch_um for length in ranges)

    def positions(self, xy_um: np.ndarray, diameter_um: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the position kernels and the short-range kernel, as covariances with the spots."""
        distance = cdist(xy_um, self.spots.xy_um).astype(np.float32)
        diameters = (diameter_um, self.spots.diameter_um)
        return tuple(
            block_covariance(distance, ranges, diameters) for ranges in (self.ranges_um, (SHORT_UM,))
        )

    def fit(self, row: Row, slide: SlideImage, weights: tuple[float, ...]) -> None:
        """Choose the image weight, and solve."""
        spots = self.spots
        points = row.features(slide, spots.xy_um, spots.diameter_um)
        self.row, self.slide = row, slide
        self.kernels = Kernels(points, spots.xy_um, spots.pitch_um, self.factors)
        image, (position, near) = self.kernels.between(), self.positions(spots.xy_um, spots.diameter_um)
        fits = (
            self._solved(weight, (1 - weight) * position + weight * SEVENTH * (image + near))
            for weight in weights
        )
        self.likelihood, self.weight, self.dual = max(fits, key=lambda fit: fit[0])

    def _solved(self, weight: float, covariance: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Return the log marginal likelihood of all factors, and their dual coefficients."""
        spectrum, vectors = np.linalg.eigh(covariance / np.outer(self.root, self.root))
        total = np.maximum(spectrum, 1e-6)[:, None] + NOISE
        rotated = vectors.T @ (self.factors / self.root[:, None])
        variance = np.einsum("nf,nt->tf", rotated**2, 1 / total) / len(total)
        logs = -0.5 * (len(total) * np.log(variance) + np.log(total).sum(axis=0)[:, None])
        best = logs.argmax(axis=0)
        dual = vectors @ (rotated / total[:, best]) / self.root[:, None]
        return float(logs.max(axis=0).sum()), weight, dual

    def predict(self, xy_um: np.ndarray, diameter_um: float) -> np.ndarray:
        """Return log1p(CP10k) of locations that are disks."""
        image = self.kernels.at(self.row.features(self.slide, xy_um, diameter_um), xy_um)
        position, near = self.positions(xy_um, diameter_um)
        covariance = (1 - self.weight) * position + self.weight * SEVENTH * (image + near)
        # back from weighted standard deviations to expression
        values = (
            covariance @ self.dual @ self.axes * (self.standardisation.scale / self.standardisation.weight)
        )
        return np.maximum(self.standardisation.means[0] + values, 0.0)


def scores(truth: np.ndarray, prediction: np.ndarray, depths: np.ndarray) -> tuple[float, float]:
    """Return the mean correlation over genes, and that given depth."""
    known = np.column_stack([np.ones(len(depths)), np.log(depths)])
    left = [values - known @ np.linalg.lstsq(known, values, rcond=None)[0] for values in (truth, prediction)]
    return tuple(float(np.nan_to_num(pearson(*pair)).mean()) for pair in ((truth, prediction), left))


def test_spots(path: Path, seed: int) -> Iterator[tuple[str, list[tuple[float, float]], Cokriging]]:
    """Yield each row with its scores at test spots."""
    section = hs.read(path)
    study = Study.of(section, genes="hvg:1000", seed=seed)
    panel, training, test = choose_genes(study), np.sort(study.training), np.sort(study.test)
    values, depths = log_cp10k(section.counts, columns=panel.columns).toarray(), depth(section.counts)
    xy_um, pitch_um = section.spots.xy, section.pitch_um
    spots = Spots(
        xy_um[training],
        values[training],
        depths[training],
        section.spots.ids[training],
        section.genes[panel.columns],
        min(section.spots.diameter_um, pitch_um),
        pitch_um,
    )
    for row in ROWS:
        model = Cokriging(spots, seed)
        model.fit(row, section.slide, (0.25, 0.5, 0.75))
        yield (
            row.name,
            [scores(values[test], model.predict(xy_um[test], spots.diameter_um), depths[test])],
            model,
        )


def fine(path: Path, seed: int) -> Iterator[tuple[str, list[tuple[float, float]], Cokriging]]:
    """Yield each row with its scores at cells and in bins of the other half of the molecules."""
    made = pseudo_spots(read_truth(path), "visium", seed=seed)
    section = made.section
    columns = select(section, "all").columns
    values, middle = log_cp10k(section.counts, columns=columns).toarray(), np.median(section.spots.xy[:, 0])
    left = np.flatnonzero(section.spots.xy[:, 0] < middle)
    spots = Spots(
        section.spots.xy[left],
        values[left],
        depth(section.counts)[left],
        section.spots.ids[left],
        section.genes[columns],
        section.spots.diameter_um,
        section.pitch_um,
    )
    truths = [scaled(made, scale) for scale in ("cells", 25.0, 50.0)]
    chosen = [
        np.random.default_rng(0).permutation(np.flatnonzero(t.xy_um[:, 0] < middle))[:2500] for t in truths
    ]
    for row in FINE_ROWS:
        model, result = Cokriging(spots, seed), []
        model.fit(row, section.slide, (0.75,))
        for truth, rows in zip(truths, chosen, strict=True):
            diameter_um = min(truth.parts.points.diameter_um, spots.diameter_um)
            counts = truth.counts[rows]
            measured = log_cp10k(counts, columns=columns).toarray()
            result.append(scores(measured, model.predict(truth.xy_um[rows], diameter_um), depth(counts)))
        yield row.name, result, model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--fine", action="store_true", help="the sections are finer truths")
    arguments = parser.parse_args()
    rows: Callable[[Path, int], Iterator[tuple[str, list[tuple[float, float]], Cokriging]]]
    rows = fine if arguments.fine else test_spots
    heads = ("cells", "25 µm", "50 µm") if arguments.fine else ("test spots",)
    print("| section | row |", " | ".join(f"{head}: r | given depth" for head in heads), "| log likelihood |")
    for path in arguments.sections:
        table: dict[str, list[list[float]]] = {}
        for seed in arguments.seeds:
            for name, result, model in rows(path, seed):
                values = [value for pair in result for value in pair]
                table.setdefault(name, []).append([*values, model.likelihood])
        for name, values in table.items():
            *means, likelihood = np.mean(values, axis=0)
            shown = " | ".join(f"{value:.4f}" for value in means)
            print(f"| {path.name} | {name} | {shown} | {likelihood:.1f} |", flush=True)


if __name__ == "__main__":
    main()
