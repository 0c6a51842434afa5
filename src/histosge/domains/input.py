"""What domains are found in: expression at locations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.section.expression import log_cp10k
from histosge.section.genes import Genes, select
from histosge.section.section import Section

from .memory import refuse_beyond_memory

__all__ = ["DomainInput"]

_FEWER = "Take fewer `genes` (hvg:{most}) or larger bins, or use a machine with more memory."


@dataclass(frozen=True, slots=True, eq=False)
class DomainInput:
    """Expression at locations.

    Parameters
    ----------
    name
        Of the section, for titles.
    ids, xy_um
        Names and positions of the locations.
    values
        log1p(CP10k), n × g.
    description
        Kind of the values and number of genes.
    spots
        Of predicted values: what was measured at the spots among the locations, by which the number of domains is
        chosen, and to which the confidence refers; ``None`` where there is none.
    predicted
        Whether the values are predicted. Their errors are not independent, neither of neighbours nor of genes.
    """

    name: str
    ids: Array
    xy_um: Float[np.ndarray, "n 2"]
    values: Float[np.ndarray, "n g"]
    description: str
    spots: DomainInput | None = None
    predicted: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def measured(cls, section: Section, *, genes: Genes) -> DomainInput:
        """Return the measured expression of a section.

        Parameters
        ----------
        section
            Measured spots.
        genes
            See :func:`histosge.section.genes.select`.

        Raises
        ------
        UsageError
            When the values need more memory than there is.

        Examples
        --------
        >>> import histosge as hs
        >>> section = hs.synthetic(columns=6, rows=6, genes=8).section
        >>> DomainInput.measured(section, genes="all").description
        'measured, 8 genes'
        """
        # in the order of the names: methods sum over genes
        panel = select(section, genes).by_name()
        refuse_beyond_memory(len(section), len(panel), _FEWER)
        values = log_cp10k(section.counts, columns=panel.columns).toarray()
        spots = section.spots
        return cls(
            section.name, spots.ids, spots.xy, values=values, description=f"measured, {len(panel)} genes"
        )
