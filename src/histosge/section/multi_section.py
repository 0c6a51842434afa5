"""Several sections fitted together: the genes they share, and their spots as one set of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from histosge._runtime.names import positions
from histosge._runtime.types import Array, Int
from histosge.errors import UsageError
from histosge.geometry.points import Points

from .expression import depth, log_cp10k
from .genes import GenePanel, select
from .inputs import Inputs, Samples
from .section import Section

__all__ = ["AuxiliarySection", "Pool", "measure"]


@dataclass(frozen=True, slots=True)
class AuxiliarySection:
    """What a record says of a section that was fitted beside the one predicted.

    Parameters
    ----------
    name, fingerprint
        Which section.
    spots
        How many it has.
    genes
        Of the predicted section's genes, how many it has too.
    missing
        How many of the predicted section's genes it lacks; they are not fitted.
    further
        How many genes of its own are not used.
    """

    name: str
    fingerprint: str
    spots: int
    genes: int
    missing: int
    further: int


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Sections that are fitted together, the one that is predicted first.

    Parameters
    ----------
    sections
        The target, then its siblings.
    genes
        Those that all have, under the target's names and in its order.
    columns
        Where they are, one array a section.
    """

    sections: tuple[Section, ...]
    genes: Array
    columns: tuple[Int[np.ndarray, " g"], ...]

    @classmethod
    def of(cls, target: Section, auxiliary: Sequence[Section] = ()) -> Pool:
        """Find the genes that all sections have.

        Genes are matched by name; by stable identifier where a sibling shares no name with the target.

        Raises
        ------
        UsageError
            When no gene is in all of them, or nothing was measured in one.
        """
        for each in (target, *auxiliary):
            if not each.measured:
                raise UsageError(
                    f"Nothing was measured in '{each.name}': there is nothing to fit. Fit other sections, and predict "
                    "this one from its image: `histosge run IMAGE --with SECTION`."
                )
        places = [np.arange(len(target.genes))]
        places += [_matched(target, auxiliary_section) for auxiliary_section in auxiliary]
        shared = np.flatnonzero(np.all([place >= 0 for place in places], axis=0))
        if not len(shared):
            raise UsageError(
                f"The sections {_listed((target, *auxiliary))} have no gene in common. Give sections of one species "
                "whose genes have the same kind of names or identifiers."
            )
        columns = tuple(place[shared] for place in places)
        return cls((target, *auxiliary), target.genes[shared], columns)

    def __len__(self) -> int:
        return sum(map(len, self.sections))

    @property
    def target(self) -> Section:
        """The section that is predicted."""
        return self.sections[0]

    @property
    def auxiliary(self) -> tuple[Section, ...]:
        """The others."""
        return self.sections[1:]

    def told(self) -> tuple[AuxiliarySection, ...]:
        """Return what is worth knowing of each sibling."""
        names = len(self.target.genes)
        found = []
        for auxiliary_section in self.auxiliary:
            shared = int((_matched(self.target, auxiliary_section) >= 0).sum())
            counts = (len(auxiliary_section), shared, names - shared, len(auxiliary_section.genes) - shared)
            found.append(AuxiliarySection(auxiliary_section.name, auxiliary_section.fingerprint, *counts))
        return tuple(found)

    def choose(self, spec: str, *, rows: Int[np.ndarray, " r"] | None = None) -> GenePanel:
        """Choose among the common genes, on spots of the target where any may be looked at.

        Parameters
        ----------
        spec
            As for :func:`histosge.section.genes.select`.
        rows
            Spots of the target that may be looked at; ``None`` means all. Where there are none, the siblings' are
            looked at instead.

        Returns
        -------
        Names and columns of the target.
        """
        if not self.auxiliary:
            return select(self.target, spec, rows=rows)
        if rows is not None and not len(rows):
            panel = select(self._stacked_siblings(), spec)
        else:
            panel = select(_restricted(self.target, self.columns[0], self.genes), spec, rows=rows)
        return replace(panel, columns=self.columns[0][panel.columns])

    def gather(
        self, panel: GenePanel, inputs: Inputs, *, rows: Int[np.ndarray, " r"] | None = None
    ) -> Samples:
        """Return what is fitted: spots of the target and all of the siblings'.

        Parameters
        ----------
        panel
            As :meth:`choose` returns it.
        inputs
            What is seen at all spots of all sections.
        rows
            Spots of the target that are fitted; ``None`` means all.
        """
        if rows is None and not self.auxiliary:
            return measure(self.target, panel, inputs)
        rows = np.arange(len(self.target)) if rows is None else rows
        further = np.arange(len(self.target), len(self))
        # counts of spots that are not fitted are gone before anything is computed from counts
        sections = (self.target.take(rows), *self.auxiliary)
        expression = [
            log_cp10k(section.counts, columns=columns).toarray()
            for section, columns in zip(sections, self.columns_of(panel), strict=True)
        ]
        return Samples(
            inputs.take(np.concatenate([rows, further])),
            np.concatenate(expression),
            panel.names,
            np.concatenate([depth(section.counts) for section in sections]),
        )

    def columns_of(self, panel: GenePanel) -> list[Array]:
        """Return the columns of a panel's genes in each section."""
        row_of = {int(column): row for row, column in enumerate(self.columns[0])}
        rows = np.array([row_of[int(column)] for column in panel.columns], dtype=np.intp)
        return [columns[rows] for columns in self.columns]

    def _stacked_siblings(self) -> Section:
        """Return the siblings as one section of the common genes, for choosing among them."""
        counts = [
            section.counts[:, columns]
            for section, columns in zip(self.auxiliary, self.columns[1:], strict=True)
        ]
        total = sum(map(len, self.auxiliary))
        places = np.arange(total, dtype=np.float64)[:, None] * np.array([[1.0, 0.0]])
        return replace(
            self.target,
            counts=sparse.csr_matrix(sparse.vstack(counts)),
            genes=self.genes,
            gene_ids=self.target.gene_ids[self.columns[0]],
            spots=Points(places, np.arange(total).astype(str), self.target.spots.diameter_um),
            lattice_xy=places,
            lattice=None,
            slide=None,
        )


def measure(section: Section, panel: GenePanel, inputs: Inputs) -> Samples:
    """Join what was measured at the spots to what is seen there."""
    expression = log_cp10k(section.counts, columns=panel.columns).toarray()
    return Samples(inputs, expression, panel.names, depth(section.counts))


def _matched(target: Section, other: Section) -> Array:
    """Return for each of the target's genes its column in the other section, or −1."""
    found = positions(target.genes, other.genes)
    if (found >= 0).any():
        return found
    return positions(target.gene_ids, other.gene_ids)


def _restricted(section: Section, columns: Array, genes: Array) -> Section:
    return replace(
        section, counts=section.counts[:, columns], genes=genes, gene_ids=section.gene_ids[columns]
    )


def _listed(sections: Sequence[Section]) -> str:
    names = [f"'{section.name}'" for section in sections]
    return f"{', '.join(names[:-1])} and {names[-1]}"
