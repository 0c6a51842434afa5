"""Sections that are fitted together: the genes they share, and their spots as one set of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from histosge._runtime.names import positions
from histosge._runtime.types import Array, Int
from histosge.errors import UsageError
from histosge.geometry.points import Points

from .depth_adjusted import depth_adjusted as adjusted
from .expression import depth, log_cp10k
from .genes import GenePanel, Genes, select
from .inputs import Inputs, Samples
from .section import Section

__all__ = ["AuxiliarySection", "SectionGroup", "samples_of"]


@dataclass(frozen=True, slots=True)
class AuxiliarySection:
    """Summary of an auxiliary section: one that was fitted together with the predicted section.

    Parameters
    ----------
    name, fingerprint
        Which section.
    spots
        Number of its spots.
    genes
        How many of the predicted section's genes it has.
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
class SectionGroup:
    """Sections that are fitted together, the predicted one first.

    Parameters
    ----------
    sections
        The target, then the auxiliary sections.
    genes
        Those that all sections have, under the target's names and in its order.
    columns
        Their columns in the counts, one array a section.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> first, second = (synthetic(columns=8, rows=8, genes=12, seed=seed).section for seed in (0, 1))
    >>> group = SectionGroup.of(first, [second])
    >>> len(group.genes), len(group) == len(first) + len(second)
    (12, True)
    """

    sections: tuple[Section, ...]
    genes: Array
    columns: tuple[Int[np.ndarray, " g"], ...]

    @classmethod
    def of(cls, target: Section, auxiliary: Sequence[Section] = ()) -> SectionGroup:
        """Match the genes of the sections.

        Genes are matched by name; by stable identifier where an auxiliary section shares no name with the target.

        Raises
        ------
        UsageError
            When no gene is in all sections, or one of them has no counts.
        """
        for section in (target, *auxiliary):
            if not section.has_counts:
                raise UsageError(
                    f"Section '{section.name}' has no counts to fit. Fit other sections, and predict this one from "
                    "its image."
                )
        columns = [np.arange(len(target.genes)), *(_matched(target, section) for section in auxiliary)]
        shared = np.flatnonzero(np.all([column >= 0 for column in columns], axis=0))
        if not len(shared):
            raise UsageError(
                f"The sections {_quoted((target, *auxiliary))} have no gene in common. Give sections of one species "
                "whose genes have the same kind of names or identifiers."
            )
        return cls((target, *auxiliary), target.genes[shared], tuple(column[shared] for column in columns))

    def __len__(self) -> int:
        return sum(map(len, self.sections))

    @property
    def target(self) -> Section:
        """The section that is predicted."""
        return self.sections[0]

    @property
    def auxiliary(self) -> tuple[Section, ...]:
        """The other sections."""
        return self.sections[1:]

    def auxiliary_summary(self) -> tuple[AuxiliarySection, ...]:
        """Return a summary of each auxiliary section."""
        total = len(self.target.genes)
        shared = [int((_matched(self.target, section) >= 0).sum()) for section in self.auxiliary]
        return tuple(
            AuxiliarySection(
                section.name,
                section.fingerprint,
                spots=len(section),
                genes=genes,
                missing=total - genes,
                further=len(section.genes) - genes,
            )
            for section, genes in zip(self.auxiliary, shared, strict=True)
        )

    def choose(self, genes: Genes, *, rows: Int[np.ndarray, " r"] | None = None) -> GenePanel:
        """Choose among the shared genes, by the counts of the target where it has training spots.

        Parameters
        ----------
        genes
            As for :func:`histosge.section.genes.select`.
        rows
            Spots of the target whose counts may be used; ``None`` means all. Where there are none, genes are chosen on
            the auxiliary sections instead.

        Returns
        -------
        Names and columns of the target.
        """
        if not self.auxiliary:
            return select(self.target, genes, rows=rows)
        if rows is not None and not len(rows):
            panel = select(self._stacked_auxiliary(), genes)
        else:
            panel = select(_restricted(self.target, self.columns[0], self.genes), genes, rows=rows)
        return replace(panel, columns=self.columns[0][panel.columns])

    def gather(
        self,
        panel: GenePanel,
        inputs: Inputs,
        *,
        rows: Int[np.ndarray, " r"] | None = None,
        depth_adjusted: bool = False,
        sparse_expression: bool = False,
    ) -> Samples:
        """Return what a model is fitted to: training spots of the target, and all spots of the auxiliary sections.

        Parameters
        ----------
        panel
            As :meth:`choose` returns it.
        inputs
            Inputs at all spots of all sections.
        rows
            Training spots of the target; ``None`` means all.
        depth_adjusted
            Whether expression is that at the mean log depth of the training spots of each section; see
            :func:`histosge.section.depth_adjusted.depth_adjusted`.
        sparse_expression
            Whether zeros are left out of the matrix, for models that read it so; not where it is adjusted for depth,
            which leaves no zeros.
        """
        sparse_expression = sparse_expression and not depth_adjusted
        if rows is None and not self.auxiliary:
            samples = samples_of(self.target, panel, inputs, sparse_expression=sparse_expression)
            return _at_mean_depth(samples) if depth_adjusted else samples
        rows = np.arange(len(self.target)) if rows is None else rows
        auxiliary_rows = np.arange(len(self.target), len(self))
        # counts of test spots are dropped before anything is computed from counts
        sections = (self.target.take(rows), *self.auxiliary)
        parts = [
            log_cp10k(section.counts, columns=columns)
            for section, columns in zip(sections, self.columns_of(panel), strict=True)
        ]
        expression = (
            sparse.csr_matrix(sparse.vstack(parts))
            if sparse_expression
            else np.concatenate([part.toarray() for part in parts])
        )
        samples = Samples(
            inputs.take(np.concatenate([rows, auxiliary_rows])),
            expression,
            panel.names,
            np.concatenate([depth(section.counts) for section in sections]),
        )
        return _at_mean_depth(samples) if depth_adjusted else samples

    def columns_of(self, panel: GenePanel) -> list[Array]:
        """Return the columns of a panel's genes in each section."""
        rows = positions(panel.columns, self.columns[0])
        return [columns[rows] for columns in self.columns]

    def _stacked_auxiliary(self) -> Section:
        """Return the auxiliary sections as one section of the shared genes, to choose genes on."""
        counts = [
            section.counts[:, columns]
            for section, columns in zip(self.auxiliary, self.columns[1:], strict=True)
        ]
        total = sum(map(len, self.auxiliary))
        # positions do not matter for the choice, but a section needs some
        xy = np.arange(total, dtype=np.float64)[:, None] * np.array([[1.0, 0.0]])
        return replace(
            self.target,
            counts=sparse.csr_matrix(sparse.vstack(counts)),
            genes=self.genes,
            gene_ids=self.target.gene_ids[self.columns[0]],
            spots=Points(xy, np.arange(total).astype(str), self.target.spots.diameter_um),
            lattice_xy=xy,
            lattice=None,
            slide=None,
        )


def samples_of(
    section: Section, panel: GenePanel, inputs: Inputs, *, sparse_expression: bool = False
) -> Samples:
    """Return the expression at a section's spots together with the inputs there, on request as a sparse matrix."""
    expression = log_cp10k(section.counts, columns=panel.columns)
    values = expression if sparse_expression else expression.toarray()
    return Samples(inputs, values, panel.names, depth(section.counts))


def _at_mean_depth(samples: Samples) -> Samples:
    """Return samples whose expression is that at the mean depth of each section, beside what was measured."""
    sections = samples.inputs.section_index
    expression = adjusted(samples.expression, samples.depth, sections=sections)
    return replace(samples, expression=expression, measured=samples.expression)


def _matched(target: Section, other: Section) -> Array:
    """Return for each of the target's genes its column in the other section, or −1."""
    columns = positions(target.genes, other.genes)
    if (columns >= 0).any():
        return columns
    return positions(target.gene_ids, other.gene_ids)


def _restricted(section: Section, columns: Array, genes: Array) -> Section:
    return replace(
        section, counts=section.counts[:, columns], genes=genes, gene_ids=section.gene_ids[columns]
    )


def _quoted(sections: Sequence[Section]) -> str:
    names = [f"'{section.name}'" for section in sections]
    return f"{', '.join(names[:-1])} and {names[-1]}"
