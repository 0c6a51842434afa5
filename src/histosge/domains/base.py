"""What a domain method is: ``method.assign(values, xy_um)`` returns the domain of each location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from histosge._runtime.types import Float, Int
from histosge.errors import DataError, UsageError
from histosge.models.base import Runtime

from .number_of_domains import Criterion

__all__ = ["Divides", "Division", "DomainCard", "Method", "Runtime", "refuse_unusable"]


@dataclass(frozen=True, slots=True)
class DomainCard:
    """Name, summary and properties of a domain method.

    Parameters
    ----------
    name
        As in ``histosge domains --method``.
    summary
        One sentence.
    citation
        Key in ``references.bib``.
    uses_position
        Whether neighbouring locations tend to get the same domain.
    finds_number
        Whether it can choose the number of domains; the others need it as an argument.
    deep
        Whether it needs PyTorch: the extra ``deep``.
    across_gaps
        Whether it relates locations by their distance, across gaps of the array too.
    """

    name: str
    summary: str
    citation: str
    uses_position: bool
    finds_number: bool = False
    deep: bool = False
    across_gaps: bool = False


@runtime_checkable
class Method(Protocol):
    """A frozen configuration; nothing is kept between calls."""

    card: ClassVar[DomainCard]

    @property
    def genes(self) -> str:
        """Which genes of a measured section it was published with: ``hvg:3000``, ``all``."""
        ...

    def assign(
        self,
        values: Float[np.ndarray, "n g"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        pitch_um: float,
        clusters: int | None,
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Int[np.ndarray, " n"]:
        """Return the domain of each location, numbered from 0, the largest first.

        Parameters
        ----------
        values
            Expression, log1p(CP10k).
        xy_um
            Positions.
        pitch_um
            Distance of neighbouring locations, in which radii of graphs are measured.
        clusters
            Number of domains; ``None`` where the method chooses it.
        seed
            The same seed gives the same domains on one kind of CPU, with the same libraries and number of threads.
        runtime
            Device and progress.

        Raises
        ------
        UsageError, DataError
            For fewer than two domains, more domains than locations, constant or missing values, missing positions.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Domains, how sure they are, and how their number was chosen.

    Parameters
    ----------
    labels
        Domain of each location, 0 the largest.
    probability
        Of each domain at each location; one column a domain, more where some are nowhere the most probable.
    criterion
        ``None`` where the number was set.
    """

    labels: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, "n k"]
    criterion: Criterion | None


@runtime_checkable
class Divides(Protocol):
    """A method that is a consensus in itself: it also says how sure it is of each location."""

    def divide(
        self,
        values: Float[np.ndarray, "n g"],
        xy_um: Float[np.ndarray, "n 2"],
        *,
        pitch_um: float,
        clusters: int | None,
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Division:
        """Return domains; arguments and errors are those of :meth:`Method.assign`."""
        ...

    def like(self, spots: int) -> Any:
        """Return the configuration that so many measured spots would get, for predictions from them."""
        ...


def refuse_unusable(
    card: DomainCard, values: Float[np.ndarray, "n g"], xy_um: Float[np.ndarray, "n 2"], clusters: int | None
) -> None:
    """Refuse values, positions and numbers of domains that no method can use.

    Raises
    ------
    UsageError, DataError
        As :meth:`Method.assign` raises them.
    """
    n = len(values)
    if len(xy_um) != n:
        raise DataError(f"Expected a position for each of {n} locations, got {len(xy_um)}.")
    if clusters is None and not card.finds_number:
        raise UsageError(f"Expected a number of `clusters`: '{card.name}' does not choose it itself.")
    if clusters is not None and clusters < 2:
        raise UsageError(f"`clusters` must be 2 or more, got {clusters}.")
    if n < max(clusters or 2, 2):
        raise UsageError(f"{clusters or 2} domains need as many locations, got {n}. Set fewer `clusters`.")
    if not np.isfinite(values).all():
        raise DataError("Expected finite expression, got NaN or infinity.")
    if not np.isfinite(xy_um).all():
        raise DataError("Expected finite positions, got NaN or infinity.")
    if not values.shape[1] or not (np.ptp(values, axis=0) > 0).any():
        raise DataError(
            "Expected expression that differs between locations, got the same everywhere. Check the matrix."
        )
