"""Check that an image and the coordinates on it belong together, before anything is fitted.

Three checks. The spots lie on the image, and the image has a possible size. The spots lie on tissue. The spots fit the
image better as it is than mirrored or rotated: then more spots lie on tissue, and the image's colours explain more of
the main components of expression.
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

__all__ = ["ORIENTATIONS", "Alignment", "check_alignment", "refuse_misaligned"]

# a glass slide is 25 × 75 mm; scans of several sections on one are still no larger
_SLIDE_UM = (30_000.0, 80_000.0)
_MAX_OUTSIDE = 0.05
# real sections have 0.9 and more; pale tissue (fat, the edges of tumours) can be missed by the mask
_MIN_ON_TISSUE, _WARN_ON_TISSUE = 0.3, 0.7
# margin by which another orientation must fit better to be reported: on real sections the correct orientation had
# margins of 0.17 to 0.82 (benchmarks/alignment.py), and larger ones where nearly all spots lie on tissue
_MARGIN, _MARGIN_ON_TISSUE = 0.15, 0.25
_NEARLY_ALL = 0.97
# margins of real sections are larger; below, the orientation is not certain
_CLEAR_MARGIN = 0.1
# of 255; the palest tissue differs from glass by more
_MIN_CONTRAST = 8.0
# spots that fill less of the image probably have coordinates of a smaller copy of it
_CORNER = 0.6
# with fewer spots the cross-validated share of variance is too noisy to compare orientations
_MIN_SPOTS = 100
_SAMPLE = 1000
_COMPONENTS, _GENES, _FOLDS = 5, 500, 5
# variance that counts without any pattern explain by chance
_LEAST_EXPLAINED = 0.02
_MPP = 16.0
# scales of the colour features: a spot, and its surroundings
_BLURS_UM = (30.0, 120.0)
# ridge penalty a spot, on standardised features
_PENALTY = 0.01

#: orientations that are compared, the image as it is first
ORIENTATIONS = (
    "as it is",
    "mirrored left to right",
    "upside down",
    "rotated by 180°",
    "transposed (x and y swapped)",
    "rotated by 90° clockwise",
    "rotated by 90° counter-clockwise",
    "mirrored across its other diagonal",
)


@dataclass(frozen=True, slots=True)
class Alignment:
    """Result of the checks.

    Parameters
    ----------
    on_image, on_tissue
        Share of the spots on the image, and on tissue.
    margin
        By how much the image fits better as it is than in the best other orientation (score: share of spots on tissue,
        plus twice the cross-validated share of variance of expression explained by colour). ``None`` where
        orientations were not compared.
    alternative
        The best other orientation, one of :data:`ORIENTATIONS`.
    problem
        A sentence, where image and coordinates do not belong together.
    """

    on_image: float
    on_tissue: float
    margin: float | None = None
    alternative: str | None = None
    problem: str | None = None

    @property
    def is_clear(self) -> bool:
        """Whether the image fits clearly better as it is; false also where orientations were not compared."""
        return self.margin is not None and self.margin >= _CLEAR_MARGIN

    @property
    def summary(self) -> str:
        """The result in one line."""
        text = f"{self.on_image:.0%} of the spots lie on the image, {self.on_tissue:.0%} on tissue"
        if self.margin is None:
            return f"{text}; its orientation was not checked: that needs {_MIN_SPOTS} spots"
        comparison = "fits better" if self.margin >= 0 else "fits worse"
        text = f"{text}; as it is the image {comparison} than {self.alternative} (by {abs(self.margin):.2f})"
        if self.is_clear:
            return text
        if self.margin <= -_CLEAR_MARGIN:
            return f"{text}: it is probably turned or mirrored; compare it in a viewer"
        return f"{text}, too little to be sure of its orientation: compare it in a viewer"


def check_alignment(section: Section) -> Alignment:
    """Compare a section's image and coordinates; takes about a second.

    Raises
    ------
    DataError
        For a section without image.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> check_alignment(synthetic().section).problem is None
    True
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
    margin, alternative = _compared_orientations(section, slide, mask)
    needed = _MARGIN if on_tissue < _NEARLY_ALL else _MARGIN_ON_TISSUE
    if margin is not None and margin < -needed:
        problem = (
            f"The image seems to be {alternative}: in that orientation {section.name}'s spots fit tissue and "
            f"expression better (by {-margin:.2f}). Turn it back, or give the image that the coordinates were made "
            f"on. If it is correct as it is, set `trust_alignment`.{_smaller_copy(section, slide)}"
        )
    elif on_tissue < _MIN_ON_TISSUE:
        problem = (
            f"Only {on_tissue:.0%} of the spots lie on tissue in the image. Image and coordinates do not belong "
            "together: check `image` and `mpp`, and inspect the section with `histosge doctor`. If they belong "
            f"together, set `trust_alignment`.{_smaller_copy(section, slide)}"
        )
    return Alignment(on_image, on_tissue, margin=margin, alternative=alternative, problem=problem)


def refuse_misaligned(section: Section, alignment: Alignment | None = None) -> Section:
    """Return the section, with a warning where some spots lie off the image or off tissue.

    A section without image is returned as it is; of a section without counts only the size of the image is checked.

    Parameters
    ----------
    section
        With or without image.
    alignment
        As :func:`check_alignment` returned it, where it is known already.

    Raises
    ------
    DataError
        When image and coordinates do not belong together.
    """
    slide = section.slide
    if slide is None:
        return section
    if not section.has_counts:
        if (problem := _impossible_size(slide)) is not None:
            raise DataError(problem)
        return section
    alignment = check_alignment(section) if alignment is None else alignment
    if alignment.problem is not None:
        raise DataError(alignment.problem)
    if alignment.on_tissue < _WARN_ON_TISSUE:
        text = f"Only {alignment.on_tissue:.0%} of the spots lie on tissue in the image. Inspect it: `histosge doctor`."
        section = section.with_messages(Message("warning", text))
    if alignment.on_image < 1:
        text = f"{1 - alignment.on_image:.1%} of the spots lie outside of the image."
        section = section.with_messages(Message("warning", text))
    if corner := _smaller_copy(section, slide):
        section = section.with_messages(Message("warning", corner.strip()))
    return section


def _impossible_size(slide: SlideImage) -> str | None:
    short, long = sorted(slide.size_um)
    if short <= _SLIDE_UM[0] and long <= _SLIDE_UM[1]:
        return None
    return (
        f"At {slide.mpp:.3g} µm per pixel the image would be {slide.size_um[0] / 1000:.0f} × "
        f"{slide.size_um[1] / 1000:.0f} mm large; a glass slide is 25 × 75 mm. The full-resolution image was given "
        "instead of the hires or lowres image, or `mpp` is wrong. Give it as `image`, or correct `mpp`."
    )


def _outside(section: Section, slide: SlideImage, on_image: float) -> str | None:
    """Return a sentence where too many spots lie outside of the image, with the probable cause."""
    if 1 - on_image <= _MAX_OUTSIDE:
        return None
    reach = section.spots.xy.max(0) / np.array(slide.size_um)
    width, height = (size / slide.mpp for size in slide.size_um)
    text = f"{1 - on_image:.0%} of the spots lie outside of the image ({width:.0f} × {height:.0f} px). "
    if (section.spots.xy[:, ::-1] < np.array(slide.size_um)).all() and section.spots.xy.min() >= 0:
        return (
            f"{text}With x and y swapped all of them would lie on it: the image is rotated by 90°, or the columns of "
            "the positions are swapped. Turn it back, or give the image that the coordinates were made on."
        )
    extent = np.ptp(section.spots.xy, axis=0) / np.array(slide.size_um)
    if extent.max() > 1 and section.spots.xy.min() >= 0:
        return (
            f"{text}They reach {reach.max():.1f} times as far: this is a smaller copy (hires or lowres) of the image "
            "that the coordinates were made on. Give the full-resolution image as `image`, or leave `image` out."
        )
    return f"{text}Image and coordinates do not belong together; check `image` and `mpp`."


def _smaller_copy(section: Section, slide: SlideImage) -> str:
    """Return a sentence where the spots fill only a corner of the image, as with coordinates of a smaller copy."""
    reach = float((section.spots.xy.max(0) / np.array(slide.size_um)).max())
    if reach > _CORNER:
        return ""
    return (
        f" The coordinates may count the pixels of a smaller copy: the spots fill only the upper left {reach:.0%} of "
        "the image."
    )


def _blank(slide: SlideImage) -> str | None:
    """Return a sentence where the image has no contrast."""
    thumbnail = slide.thumbnail(max(_MPP, slide.mpp)).astype(np.float32)
    darkest, brightest = np.percentile(thumbnail, (0.5, 99.5))
    if brightest - darkest >= _MIN_CONTRAST:
        return None
    return (
        f"The image is of one colour (pixels from {darkest:.0f} to {brightest:.0f} of 255). "
        "Check `image`; 16-bit pixels that use a part of their range must be stretched to 8 bits first."
    )


def _compared_orientations(
    section: Section, slide: SlideImage, mask: TissueMask
) -> tuple[float | None, str | None]:
    """Return by how much the image fits better as it is than in the best other orientation, and that orientation."""
    rows = np.arange(len(section))
    # a sample keeps the check at about a second for any section
    if len(rows) > _SAMPLE:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:_SAMPLE])
    if len(rows) < _MIN_SPOTS:
        return None, None
    components = _expression_components(section.take(rows))
    colours, mpp = _colours(slide)
    folds = np.random.default_rng(0).integers(0, _FOLDS, len(rows))
    oriented = _oriented(section.spots.xy[rows], slide.size_um)
    on_tissue = np.array([float(mask.contains(xy_um).mean()) for xy_um in oriented])
    explained = np.array(
        [_explained_variance(_sampled(colours, xy_um / mpp - 0.5), components, folds) for xy_um in oriented]
    )
    # counts that follow the image in no orientation carry no information on it: the tissue alone is compared
    scores = on_tissue + (2 * explained if explained.max() > _LEAST_EXPLAINED else 0.0)
    best = int(np.argmax(scores[1:])) + 1
    return float(scores[0] - scores[best]), ORIENTATIONS[best]


def _oriented(xy_um: Array, size_um: tuple[float, float]) -> list[Array]:
    """Return the positions of the spots on the image in each of :data:`ORIENTATIONS`."""
    # the eight symmetries of a rectangle (dihedral group D4)
    (x, y), (width, height) = xy_um.T, size_um
    pairs = [(x, y), (width - x, y), (x, height - y), (width - x, height - y)]
    pairs += [(y, x), (width - y, x), (y, height - x), (width - y, height - x)]
    return [np.column_stack(pair) for pair in pairs]


def _expression_components(section: Section) -> Float[np.ndarray, "n k"]:
    """Return the first principal components of expression and the log depth, standardised."""
    counts = section.counts
    mean = np.asarray(counts.mean(axis=0)).ravel()
    variance = np.asarray(counts.multiply(counts).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-variance, kind="stable")[:_GENES])
    expression = log_cp10k(counts, columns=genes).toarray()
    left, _, _ = np.linalg.svd(expression - expression.mean(axis=0), full_matrices=False)
    components = np.column_stack([left[:, :_COMPONENTS], np.log(depth(counts))])
    return np.asarray((components - components.mean(axis=0)) / np.maximum(components.std(axis=0), 1e-9))


def _colours(slide: SlideImage) -> tuple[Float[np.ndarray, "h w c"], float]:
    """Return optical densities and their local standard deviation, blurred to spots and to their surroundings."""
    from scipy.ndimage import gaussian_filter

    mpp = max(_MPP, slide.mpp)
    # optical density is linear in the amount of stain (Beer–Lambert law)
    density = -np.log10(np.clip(slide.thumbnail(mpp).astype(np.float32) / 255, 1 / 255, 1))
    grey = density.mean(axis=2)
    planes = []
    for blur_um in _BLURS_UM:
        sigma = blur_um / mpp
        planes += [gaussian_filter(density[..., channel], sigma) for channel in range(3)]
        # local variance = mean of squares − square of the mean
        variance = gaussian_filter(grey**2, sigma) - gaussian_filter(grey, sigma) ** 2
        planes.append(np.sqrt(np.maximum(variance, 0)))
    return np.stack(planes, axis=2), mpp


def _sampled(planes: Array, xy_px: Array) -> Array:
    """Return the values of the planes at positions, with their squares, standardised."""
    height, width = planes.shape[:2]
    column = np.clip(np.rint(xy_px[:, 0]).astype(int), 0, width - 1)
    row = np.clip(np.rint(xy_px[:, 1]).astype(int), 0, height - 1)
    values = planes[row, column].astype(np.float64)
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)
    # squares let ridge regression follow components that peak at a medium stain
    values = np.column_stack([values, values**2])
    return np.asarray((values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6))


def _explained_variance(features: Array, components: Array, folds: Array) -> float:
    """Return the cross-validated share of variance that ridge regression on the features explains."""
    predicted = np.zeros_like(components)
    for fold in range(_FOLDS):
        training, test = folds != fold, folds == fold
        mean = components[training].mean(axis=0)
        normal = features[training].T @ features[training]
        normal += _PENALTY * training.sum() * np.eye(features.shape[1])
        weights = np.linalg.solve(normal, features[training].T @ (components[training] - mean))
        predicted[test] = features[test] @ weights + mean
    return float(1 - ((components - predicted) ** 2).sum() / max(float((components**2).sum()), 1e-12))
