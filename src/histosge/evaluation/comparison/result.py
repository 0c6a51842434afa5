"""The result of a comparison of two regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["RegionComparison"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RegionComparison:
    """Gene differences between two regions.

    Parameters
    ----------
    first, second
        Names of the regions; differences are the first less the second.
    replicate
        What a replicate is: ``"spot"``, ``"section"`` or ``"patient"``.
    replicates
        How many there are.
    test
        Name of the test.
    caveats
        Sentences to read with the table.
    table
        One row a gene, the smallest p-value first:

        * ``difference``: mean log1p(CP10k) of the measured spots in the first region less that in the second;
        * ``ratio``: CP10k at the first of these means divided by that at the second; NaN where one is not above 0;
        * ``adjusted_difference``, ``standard_error``: the difference beside the smooth variation over the tissue, which
          is what is tested among spots, and its standard error; ``difference`` itself for sections and patients;
        * ``p``, ``q``: p-value, and by Benjamini & Hochberg (1995) the false-discovery rate; empty where no test holds;
        * ``replicates``, ``effective_replicates``: their number, and how many independent ones would have that
          standard error;
        * ``predicted_difference``: of the predictions at all locations of the regions; not tested;
        * ``test``, ``caveat``: name of the test, and what limits it for this gene.
    """

    first: str
    second: str
    replicate: str
    replicates: int
    test: str
    caveats: tuple[str, ...]
    table: DataFrame

    def __repr__(self) -> str:
        significant = int((self.table["q"] < 0.05).sum())
        tested = int(self.table["p"].notna().sum())
        return (
            f"RegionComparison('{self.first}' − '{self.second}': {significant} of {tested} genes with q < 0.05; "
            f"{self.replicates} {self.replicate}s; {self.test})"
        )
