"""A tissue of any size whose truth is known everywhere, with as many genes as a transcriptome has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from histosge._runtime.types import Array, Bool, Float, Int
from histosge.errors import UsageError

from .synthetic import GROUPS, Waves

__all__ = ["HDTissue"]

_COMPARTMENTS = 3
# µm over which compartments, zone, density of nuclei and the outline change, as in the synthetic section
_LENGTHS_UM = (350.0, 350.0, 350.0, 900.0, 90.0, 500.0)
# of log rates: molecules of a bin of 8 µm then fall on genes as unevenly as in measured sections (a gene in 1.2
# molecules, CRC crop of 10x Genomics)
_LEVEL_SD = 2.0
# molecules in tumour, stroma and among immune cells, relative to the mean
_DEPTH = np.array([1.3, 0.7, 0.9])
# drivers are tabulated in so many steps between these values; between steps a molecule takes either at random
_STEPS, _RANGE = 512, 6.0
# points of a disk over which rates are averaged
_DISK_POINTS = 37


@dataclass(frozen=True, eq=False)
class HDTissue:
    """A tissue in the frame of its image, µm.

    Compartments, a slow zone and the density of nuclei drive genes as in
    :func:`~histosge.datasets.synthetic.synthetic`; each gene follows one of them, for which it is named.

    Parameters
    ----------
    size_um
        Width and height of the image.
    waves
        Three compartments, zone, density of nuclei and outline.
    level, strength
        Log rate of each gene, and how strongly it follows its driver.
    seed
        That it was drawn with.

    Examples
    --------
    >>> tissue = HDTissue.draw(1000.0, genes=12)
    >>> tissue.truth(np.array([[500.0, 500.0]])).shape
    (1, 12)
    """

    size_um: float
    waves: tuple[Waves, ...]
    level: Float[np.ndarray, " g"]
    strength: Float[np.ndarray, " g"]
    seed: int

    @classmethod
    def draw(cls, size_um: float, *, genes: int = 18_000, seed: int = 0) -> HDTissue:
        """Draw a tissue for a square image; the same arguments give the same tissue.

        Raises
        ------
        UsageError
            For fewer genes than drivers, or a size that is not positive.
        """
        if genes < len(GROUPS) or not size_um > 0:
            raise UsageError(
                f"Expected {len(GROUPS)} genes or more and a positive size, got {genes} and {size_um:g}."
            )
        rng = np.random.default_rng([seed, 1])
        waves = tuple(Waves.draw(rng, length) for length in _LENGTHS_UM)
        group = np.arange(genes) % len(GROUPS)
        strength = rng.uniform(0.8, 2.0, genes) * np.where(group < _COMPARTMENTS, 1.0, 0.5)
        strength[group == len(GROUPS) - 1] = 0.0
        return cls(size_um, waves, rng.normal(0.0, _LEVEL_SD, genes), strength, seed)

    @property
    def genes(self) -> Array:
        """Names of the genes: ``TUMOUR1``, ``ZONE3`` … for what drives them, in turn."""
        index = range(len(self.level))
        return np.array([f"{GROUPS[g % len(GROUPS)]}{g // len(GROUPS) + 1}" for g in index])

    def inside(self, xy_um: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        """Tell where tissue is: a rounded square with a wavy border that nearly fills the image."""
        return np.asarray(self.border(xy_um) > 0)

    def border(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Return how far within the tissue a position is, in half widths of the image; below 0 outside."""
        from_middle = 2 * (xy_um - self.size_um / 2) / self.size_um
        return np.asarray(0.95 - (from_middle**4).sum(axis=1) ** 0.25 - 0.02 * self.waves[5](xy_um))

    def shares(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """Return the share of tumour, stroma and immune cells; borders are some 50 µm wide."""
        strength = np.exp(4.0 * np.column_stack([wave(xy_um) for wave in self.waves[:_COMPARTMENTS]]))
        return np.asarray(strength / strength.sum(axis=1, keepdims=True))

    def nuclei(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Return the density of nuclei, log scale, which changes within 90 µm."""
        return self.waves[4](xy_um)

    def depth(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Return how many molecules are expected relative to the mean."""
        return np.asarray(self.shares(xy_um) @ _DEPTH)

    def truth(
        self,
        xy_um: Float[np.ndarray, "n 2"],
        diameter_um: float = 0.0,
        *,
        columns: Int[np.ndarray, " c"] | None = None,
    ) -> Float[np.ndarray, "n c"]:
        """Return the expression without noise, log1p(CP10k).

        Parameters
        ----------
        xy_um
            Where, in the frame of the image.
        diameter_um
            Of the disks whose mean rates are asked for; 0 is the point itself.
        columns
            Which genes; ``None`` for all.
        """
        xy_um = np.asarray(xy_um, dtype=np.float64)
        columns = np.arange(len(self.level)) if columns is None else np.asarray(columns)
        if diameter_um <= 0:
            return np.asarray(np.log1p(1e4 * self._rates(xy_um, columns)))
        # points of a sunflower pattern stand for equal areas (Vogel 1979)
        index = np.arange(_DISK_POINTS)
        angle, radius = index * np.pi * (3 - 5**0.5), diameter_um / 2 * np.sqrt((index + 0.5) / _DISK_POINTS)
        steps = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        return np.asarray(
            np.log1p(1e4 * sum(self._rates(xy_um + step, columns) for step in steps) / len(steps))
        )

    def molecules(
        self, xy_um: Float[np.ndarray, "n 2"], number: Int[np.ndarray, " n"], rng: np.random.Generator
    ) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Draw molecules at each position; return the row and the gene of each."""
        drivers = self._drivers(xy_um)
        sums = self._sums(drivers)
        of_group = rng.multinomial(number, sums / sums.sum(axis=1, keepdims=True))
        rows, genes = [], []
        for group in range(len(GROUPS)):
            row = np.repeat(np.arange(len(xy_um)), of_group[:, group])
            step = _steps(drivers[row, group])
            low = np.floor(step)
            low = (low + (rng.random(len(row)) < step - low)).astype(np.int64)
            cumulative = self._cumulative[group]
            entry = np.searchsorted(cumulative.ravel(), low + rng.random(len(row)), side="right")
            within = np.minimum(entry - low * cumulative.shape[1], cumulative.shape[1] - 1)
            rows.append(row)
            genes.append(within * len(GROUPS) + group)
        return np.concatenate(rows), np.concatenate(genes)

    def _drivers(self, xy_um: Array) -> Array:
        """Return the value of the driver of each group of genes, the last of which has none."""
        zone, nuclei = self.waves[3](xy_um), self.nuclei(xy_um)
        drivers = np.column_stack([self.shares(xy_um), zone, nuclei, np.zeros(len(xy_um))])
        return np.asarray(np.clip(drivers, -_RANGE, _RANGE))

    def _rates(self, xy_um: Array, columns: Array) -> Array:
        """Return the share of genes in all molecules."""
        drivers = self._drivers(xy_um)
        rates = np.exp(self.level[columns] + drivers[:, columns % len(GROUPS)] * self.strength[columns])
        return np.asarray(rates / self._sums(drivers).sum(axis=1, keepdims=True))

    def _sums(self, drivers: Array) -> Array:
        """Return the summed rate of each group of genes, from the table."""
        parts = [
            np.exp(np.interp(_steps(drivers[:, group]), np.arange(_STEPS + 1), self._log_sums[group]))
            for group in range(len(GROUPS))
        ]
        return np.column_stack(parts)

    @cached_property
    def _log_sums(self) -> Array:
        return np.stack([np.log(self._table(group).sum(axis=1)) for group in range(len(GROUPS))])

    @cached_property
    def _cumulative(self) -> list[Array]:
        """For each group the distribution of its genes at every step of the driver, each above the one before."""
        tables = []
        for group in range(len(GROUPS)):
            rates = self._table(group)
            tables.append(np.cumsum(rates, axis=1) / rates.sum(axis=1, keepdims=True))
            tables[-1] += np.arange(len(rates))[:, None]
        return tables

    def _table(self, group: int) -> Array:
        """Return the rates of the genes of a group by steps of its driver."""
        genes = slice(group, None, len(GROUPS))
        values = np.linspace(-_RANGE, _RANGE, _STEPS + 1)
        return np.asarray(np.exp(self.level[genes] + values[:, None] * self.strength[genes]))


def _steps(driver: Array) -> Array:
    return (driver + _RANGE) * (_STEPS / (2 * _RANGE))
