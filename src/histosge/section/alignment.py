"""Whether an image and the coordinates on it belong together: the commonest mishap of the field, found before it costs.

Three questions. Do the spots lie on the image, and is the image of a possible size? Do they lie on tissue? Would they
fit better if the image were mirrored or turned? The last is answered by tissue and by expression: where the image is
the right way round, its colours explain more of the main patterns of expression than in any other position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array, Float
from histosge.errors import DataError
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

from .expression import depth, log_cp10k
from .section import Section

__all__ = ["Alignment", "check", "refuse_misfit"]

# a glass slide is 25 × 75 mm; scans of several sections on one are still no larger
_SLIDE_UM = (30_000.0, 80_000.0)
_MOST_OUTSIDE = 0.05
# real sections have 0.9 and more; pale tissue (fat, the edges of tumours) can be missed by the mask
_LEAST_ON_TISSUE, _FEW_ON_TISSUE = 0.3, 0.7
# by how much a turned image must fit better to be believed: on the real sections measured, the right way round led
# by 0.17 to 0.82 (benchmarks/alignment.py); where nearly all spots lie on tissue, by more
_LEAD, _LEAD_ON_TISSUE = 0.15, 0.25
_NEARLY_ALL = 0.97
# of 255; the palest tissue differs from glass by more
_LEAST_CONTRAST = 8.0
# spots that reach no further are probably those of a smaller image
_CORNER = 0.6
# expression says nothing with fewer spots
_FEW_SPOTS = 100
_SAMPLE = 1000
_PATTERNS, _GENES, _FOLDS = 5, 500, 5
_MPP = 16.0
_BLURS_UM = (30.0, 120.0)
_PENALTY = 0.01

_TURNS = (
    "as it is",
    "mirrored left to right",
    "upside down",
    "turned by 180°",
    "transposed (x and y swapped)",
    "turned by 90° clockwise",
    "turned by 90° counter-clockwise",
    "mirrored across its other diagonal",
)


@dataclass(frozen=True, slots=True)
class Alignment:
    """What was found.

    Parameters
    ----------
    on_image, on_tissue
        Share of the spots.
    lead
        By how much the image fits better as it is than in the best other position (score: share of spots on tissue,
        plus twice the cross-validated share of variance of expression explained by colour). ``None`` where nothing
        was compared.
    rival
        That other position.
    problem
        A sentence, where image and coordinates do not belong together.
    """

    on_image: float
    on_tissue: float
    lead: float | None = None
    rival: str | None = None
    problem: str | None = None

    @property
    def summary(self) -> str:
        """One line for people."""
        text = f"{self.on_image:.0%} of the spots lie on the image, {self.on_tissue:.0%} on tissue"
        if self.lead is None:
            return text
        side = "fits better" if self.lead >= 0 else "fits worse"
        return f"{text}; as it is the image {side} than {self.rival} (by {abs(self.lead):.2f})"


def check(section: Section) -> Alignment:
    """Compare a section's image and coordinates; takes about a second.

    Raises
    ------
    DataError
        For a section without image.
    """
    slide = section.slide
    if slide is None:
        raise DataError(f"Section '{section.name}' has no image to compare its coordinates with.")
    xy_um = section.spots.xy
    on_image = float(slide.contains(xy_um).mean())
    problem = _impossible_size(slide) or _outside(section, slide, on_image) or _blank(slide)
    if problem is not None:
        return Alignment(on_image, 0.0, problem=problem)
    mask = TissueMask.from_slide(slide)
    on_tissue = float(mask.contains(xy_um).mean())
    lead, rival = _lead(section, slide, mask)
    wrong_way = lead is not None and lead < -(_LEAD if on_tissue < _NEARLY_ALL else _LEAD_ON_TISSUE)
    if wrong_way:
        problem = (
            f"The image seems to be {rival}: that way {section.name}'s spots would fit tissue and expression better "
            f"(by {-(lead or 0):.2f}). Turn it back, or give the image that the coordinates were made on. If it is "
            f"right as it is, go on with --trust-alignment.{_corner(section, slide)}"
        )
    elif on_tissue < _LEAST_ON_TISSUE:
        problem = (
            f"Only {on_tissue:.0%} of the spots lie on tissue in the image. Image and coordinates do not belong "
            "together: check --image and --mpp, and look with `histosge doctor`. If they do, go on with "
            f"--trust-alignment.{_corner(section, slide)}"
        )
    return Alignment(on_image, on_tissue, lead, rival, problem)


def refuse_misfit(section: Section) -> Section:
    """Return the section, with a warning where the fit is doubtful; without image there is nothing to compare.

    Raises
    ------
    DataError
        When image and coordinates do not belong together.
    """
    if section.slide is None:
        return section
    if not section.has_counts:
        if (problem := _impossible_size(section.slide)) is not None:
            raise DataError(problem)
        return section
    found = check(section)
    if found.problem is not None:
        raise DataError(found.problem)
    if found.on_tissue < _FEW_ON_TISSUE:
        text = f"Only {found.on_tissue:.0%} of the spots lie on tissue in the image. Look with `histosge doctor`."
        section = section.with_messages(Message("warning", text))
    if found.on_image < 1:
        text = f"{1 - found.on_image:.1%} of the spots lie outside of the image."
        section = section.with_messages(Message("warning", text))
    return section


def _impossible_size(slide: SlideImage) -> str | None:
    short, long = sorted(slide.size_um)
    if short <= _SLIDE_UM[0] and long <= _SLIDE_UM[1]:
        return None
    return (
        f"At {slide.mpp:.3g} µm per pixel the image would be {slide.size_um[0] / 1000:.0f} × "
        f"{slide.size_um[1] / 1000:.0f} mm large; a glass slide is 25 × 75 mm. The full-resolution image stands where "
        "the hires or lowres image is expected, or --mpp is wrong. Give it with --image, or correct --mpp."
    )


def _outside(section: Section, slide: SlideImage, on_image: float) -> str | None:
    """Say that spots lie beyond the image, and what that suggests."""
    if 1 - on_image <= _MOST_OUTSIDE:
        return None
    reach = section.spots.xy.max(0) / np.array(slide.size_um)
    width, height = (size / slide.mpp for size in slide.size_um)
    text = f"{1 - on_image:.0%} of the spots lie outside of the image ({width:.0f} × {height:.0f} px). "
    if (section.spots.xy[:, ::-1] < np.array(slide.size_um)).all() and section.spots.xy.min() >= 0:
        return (
            f"{text}With x and y swapped all of them would lie on it: the image is turned by 90°, or the columns of "
            "the positions are swapped. Turn it back, or give the image that the coordinates were made on."
        )
    sd = np.ptp(section.spots.xy, axis=0) / np.array(slide.size_um)
    if sd.max() > 1 and section.spots.xy.min() >= 0:
        return (
            f"{text}They reach {reach.max():.1f} times as far: this is a smaller copy (hires or lowres) of the image "
            "that the coordinates were made on. Give the full-resolution image with --image, or leave --image out."
        )
    return f"{text}Image and coordinates do not belong together; check --image and --mpp."


def _corner(section: Section, slide: SlideImage) -> str:
    """Say that the spots fill only a corner of the image, as they do where they count larger pixels."""
    reach = float((section.spots.xy.max(0) / np.array(slide.size_um)).max())
    if reach > _CORNER:
        return ""
    return (
        f" Or the coordinates count the pixels of a smaller copy: the spots fill only the upper left {reach:.0%} of "
        "the image."
    )


def _blank(slide: SlideImage) -> str | None:
    """Say that nothing can be seen."""
    thumbnail = slide.thumbnail(max(_MPP, slide.mpp)).astype(np.float32)
    darkest, brightest = np.percentile(thumbnail, (0.5, 99.5))
    if brightest - darkest >= _LEAST_CONTRAST:
        return None
    return (
        f"The image is of one colour (pixels from {darkest:.0f} to {brightest:.0f} of 255); nothing can be seen on it. "
        "Check --image; 16-bit pixels that use a part of their range must be stretched to 8 bits first."
    )


def _lead(section: Section, slide: SlideImage, mask: TissueMask) -> tuple[float | None, str | None]:
    """Return by how much the image fits better as it is than in the best other position, and that position."""
    rows = np.arange(len(section))
    if len(rows) > _SAMPLE:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:_SAMPLE])
    if len(rows) < _FEW_SPOTS:
        return None, None
    patterns = _patterns(section.take(rows))
    colours, mpp = _colours(slide)
    folds = np.random.default_rng(0).integers(0, _FOLDS, len(rows))
    scores = []
    for xy_um in _turned(section.spots.xy[rows], slide.size_um):
        explained = _explained(_sampled(colours, xy_um / mpp - 0.5), patterns, folds)
        scores.append(float(mask.contains(xy_um).mean()) + 2 * explained)
    rival = int(np.argmax(scores[1:])) + 1
    return scores[0] - scores[rival], _TURNS[rival]


def _turned(xy_um: Array, size_um: tuple[float, float]) -> list[Array]:
    """Return where the spots would lie if the image were as :data:`_TURNS` says."""
    (x, y), (width, height) = xy_um.T, size_um
    pairs = [(x, y), (width - x, y), (x, height - y), (width - x, height - y)]
    pairs += [(y, x), (width - y, x), (y, height - x), (width - y, height - x)]
    return [np.column_stack(pair) for pair in pairs]


def _patterns(section: Section) -> Float[np.ndarray, "n k"]:
    """Return the main patterns of expression and of depth, standardised."""
    counts = section.counts
    mean = np.asarray(counts.mean(axis=0)).ravel()
    variance = np.asarray(counts.multiply(counts).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-variance, kind="stable")[:_GENES])
    expression = log_cp10k(counts, columns=genes).toarray()
    left, _, _ = np.linalg.svd(expression - expression.mean(axis=0), full_matrices=False)
    patterns = np.column_stack([left[:, :_PATTERNS], np.log(depth(counts))])
    return np.asarray((patterns - patterns.mean(axis=0)) / np.maximum(patterns.std(axis=0), 1e-9))


def _colours(slide: SlideImage) -> tuple[Float[np.ndarray, "h w c"], float]:
    """Return optical densities and how they vary, blurred to spots and to their surroundings."""
    from scipy.ndimage import gaussian_filter

    mpp = max(_MPP, slide.mpp)
    density = -np.log10(np.clip(slide.thumbnail(mpp).astype(np.float32) / 255, 1 / 255, 1))
    grey = density.mean(axis=2)
    planes = []
    for blur_um in _BLURS_UM:
        sigma = blur_um / mpp
        planes += [gaussian_filter(density[..., channel], sigma) for channel in range(3)]
        variance = gaussian_filter(grey**2, sigma) - gaussian_filter(grey, sigma) ** 2
        planes.append(np.sqrt(np.maximum(variance, 0)))
    return np.stack(planes, axis=2), mpp


def _sampled(planes: Array, xy_px: Array) -> Array:
    """Return the planes' values at positions, with their squares, standardised."""
    height, width = planes.shape[:2]
    column = np.clip(np.rint(xy_px[:, 0]).astype(int), 0, width - 1)
    row = np.clip(np.rint(xy_px[:, 1]).astype(int), 0, height - 1)
    values = planes[row, column].astype(np.float64)
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)
    values = np.column_stack([values, values**2])
    return np.asarray((values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6))


def _explained(features: Array, patterns: Array, folds: Array) -> float:
    """Return the share of variance that ridge regression explains in spots it was not fitted to."""
    predicted = np.zeros_like(patterns)
    for fold in range(_FOLDS):
        fitted, out = folds != fold, folds == fold
        mean = patterns[fitted].mean(axis=0)
        normal = features[fitted].T @ features[fitted] + _PENALTY * fitted.sum() * np.eye(features.shape[1])
        weights = np.linalg.solve(normal, features[fitted].T @ (patterns[fitted] - mean))
        predicted[out] = features[out] @ weights + mean
    return float(1 - ((patterns - predicted) ** 2).sum() / max(float((patterns**2).sum()), 1e-12))
