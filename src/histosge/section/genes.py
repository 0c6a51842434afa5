"""Which genes to fit."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Int, frozen
from histosge.errors import DataError, UsageError

from .section import Section

__all__ = ["GenePanel", "highly_variable", "refuse_unknown", "select"]

# a gene seen in fewer spots of the section than this says nothing that could be learnt; where only some spots may be
# looked at, in proportion fewer of those
_SEEN_SMALL, _SEEN_LARGE, _LARGE = 3, 10, 1000
# seurat_v3's own setting
_SPAN = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class GenePanel:
    """The genes a model predicts.

    Parameters
    ----------
    names
        Gene names, in the section's order.
    columns
        Their columns in the section's counts.
    spec
        What was asked for.
    missing
        Names in the user's file that the section does not have.
    """

    names: Array
    columns: Int[np.ndarray, " g"]
    spec: str
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozen(np.asarray(self.names, dtype=str)))
        object.__setattr__(self, "columns", frozen(np.asarray(self.columns, dtype=np.intp)))

    def __len__(self) -> int:
        return len(self.names)


def select(section: Section, spec: str = "hvg:1000", *, rows: Array | None = None) -> GenePanel:
    """Choose genes.

    Parameters
    ----------
    section
        Where the counts are.
    spec
        ``hvg:N``: the N most variable by ``seurat_v3`` (Stuart et al. 2019). ``all``: every gene with counts.
        Otherwise a file with one name or id a line (or the first column of a CSV).
    rows
        Spots that may be looked at; ``None`` means all. In an evaluation: the retained ones, because a choice of
        genes that has seen removed spots is a leak.

    Raises
    ------
    UsageError
        For a specification that is none, a missing file, or one without any of the section's genes.
    DataError
        When no gene varies.
    """
    counts = section.counts if rows is None else section.counts[rows]
    if spec.startswith("hvg:"):
        columns = _variable(counts, spec, len(section))
        return GenePanel(section.genes[columns], columns, spec)
    if spec == "all":
        columns = np.flatnonzero(_seen(counts) > 0)
        return GenePanel(section.genes[columns], columns, spec)
    return _listed(section, Path(spec))


def refuse_unknown(genes: Sequence[str], known: Array, where: str) -> None:
    """Refuse names that are no genes, offering near misses.

    Parameters
    ----------
    genes
        Asked for.
    known
        Names there are.
    where
        Whose they are, for the sentence: ``"section 'C2'"``.

    Raises
    ------
    UsageError
        For the first unknown one, or where none is asked for.
    """
    if not len(genes):
        raise UsageError("Expected at least one gene, got none.")
    positions_or_refuse(genes, known, f"genes of {where}")


def highly_variable(counts: sparse.csr_matrix, n_top: int) -> Int[np.ndarray, " g"]:
    """Return the columns of the genes with the largest variance beyond what their mean explains, ascending.

    ``seurat_v3`` (Stuart et al. 2019; stuart2019): log10 variance is regressed on log10 mean by loess (span 0.3,
    degree 2); counts are standardised by the regressed deviation, clipped at √n, and their variance ranked. Ties go
    to the earlier gene.
    """
    n = counts.shape[0]
    # sums of whole numbers are exact, whatever the order of the spots; loess makes much of the last digit
    mean = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel() / n
    squares = np.asarray(counts.multiply(counts).sum(axis=0, dtype=np.float64)).ravel()
    variance = (squares - n * mean**2) / max(n - 1, 1)
    varies = np.flatnonzero(variance > 0)
    if not len(varies):
        raise DataError("Expected genes that vary between spots, found none. Check the count matrix.")
    deviation = np.zeros(len(mean))
    deviation[varies] = np.sqrt(10 ** _loess(np.log10(mean[varies]), np.log10(variance[varies])))
    score = np.zeros(len(mean))
    score[varies] = _clipped_variance(counts[:, varies], mean[varies], deviation[varies])
    order = np.lexsort((np.arange(len(score)), -score))[: min(n_top, len(varies))]
    return np.sort(order)


def _variable(counts: sparse.csr_matrix, spec: str, spots: int) -> Array:
    text = spec.removeprefix("hvg:")
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"Expected hvg:N with a whole number of genes, got '{spec}'. Try hvg:1000.")
    floor = max(1, round((_SEEN_LARGE if spots > _LARGE else _SEEN_SMALL) * counts.shape[0] / spots))
    candidates = np.flatnonzero(_seen(counts) >= floor)
    if not len(candidates):
        raise DataError(
            f"Expected genes seen in at least {floor} spots, found none. Is this the right matrix?"
        )
    return np.asarray(candidates[highly_variable(counts[:, candidates], int(text))])


def _seen(counts: sparse.csr_matrix) -> Array:
    """Return in how many spots each gene has counts."""
    return np.bincount(counts.indices[counts.data > 0], minlength=counts.shape[1])


def _loess(x: Array, y: Array) -> Array:
    """Return the smooth of y at x.

    Many genes of a sparse section share one mean, which makes the local fits singular; as scanpy advises, such means
    are moved apart by amounts far below what matters, always the same ones.
    """
    from skmisc.loess import loess

    for jitter in (0.0, 1e-8, 1e-6, 1e-4, 1e-2):
        moved = x + jitter * np.random.default_rng(0).uniform(-1, 1, len(x))
        model = loess(moved, y, span=_SPAN, degree=2)
        try:
            model.fit()
        except ValueError:
            continue
        fitted = np.asarray(model.outputs.fitted_values)
        if np.isfinite(fitted).all():
            return fitted
    # too few genes for a curve: a straight line
    return np.asarray(np.polyval(np.polyfit(x, y, 1 if np.ptp(x) > 0 else 0), x))


def _clipped_variance(counts: sparse.csr_matrix, mean: Array, deviation: Array) -> Array:
    """Return the variance of the standardised counts, each clipped at √n deviations above the mean."""
    n = counts.shape[0]
    ceiling = deviation * np.sqrt(n) + mean
    clipped = sparse.csc_matrix(counts, dtype=np.float64, copy=True)
    clipped.data = np.minimum(clipped.data, np.repeat(ceiling, np.diff(clipped.indptr)))
    total = np.asarray(clipped.sum(axis=0)).ravel()
    squares = np.asarray(clipped.multiply(clipped).sum(axis=0)).ravel()
    return np.asarray((n * mean**2 + squares - 2 * total * mean) / ((n - 1) * deviation**2))


def _listed(section: Section, path: Path) -> GenePanel:
    if not path.is_file():
        raise UsageError(f"Expected hvg:N, all, or a file of gene names; there is no file '{path}'.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}' is no text file of gene names.") from error
    wanted = list(
        dict.fromkeys(name for line in lines if (name := line.replace("\t", ",").split(",")[0].strip()))
    )
    known = {name: column for names in (section.gene_ids, section.genes) for column, name in enumerate(names)}
    columns = np.unique([known[name] for name in wanted if name in known]).astype(np.intp)
    missing = tuple(name for name in wanted if name not in known)
    if not len(columns):
        near = difflib.get_close_matches(wanted[0], list(known), n=1) if wanted else []
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UsageError(f"None of the {len(wanted)} names in '{path}' is a gene of '{section.name}'.{hint}")
    return GenePanel(section.genes[columns], columns, str(path), missing)
