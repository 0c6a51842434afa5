"""The images of a SpatialData store that show the spots of a region, and their scales."""

from __future__ import annotations

from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.images.backends.array import ArrayBackend, as_rgb

from .image_choice import ImageCandidate

__all__ = ["images_of", "matrix_of"]

# an image with more pixels than this is read at a coarser scale, to fit into memory
_MAX_PIXELS = 120_000_000
# relative difference of sizes, and of scales, within which two images may be one; sizes are rounded
_SAME_SIZE, _SAME_SCALE = 0.03, 0.01


def images_of(store: Any, region: str, system: str, *, chosen: bool) -> tuple[ImageCandidate, ...]:
    """Return the images that are scaled against the coordinate system, not rotated.

    An image need not be in the system itself: where it shares another one with the spots, that gives its scale. Where
    the user has ``chosen`` an image, several of the store are left out.

    Raises
    ------
    UsageError
        When several images could be that of the spots: of the same scale, or of different parts of the slide.
    """
    images: dict[str, ImageCandidate] = {}
    for name, image in _of_region(store, region).items():
        matrix = _to_spots(image, store.shapes[region], system)
        if matrix is None:
            continue
        scales = _scales(image)
        fitting = (item for item in scales if int(item.sizes["y"]) * int(item.sizes["x"]) <= _MAX_PIXELS)
        sharpest = next(fitting, None)
        candidate = None if sharpest is None else _candidate(sharpest, matrix, scales[0])
        if candidate is not None:
            images[name] = candidate
    if _may_differ(images):
        if chosen:
            return ()
        raise UsageError(
            f"Several images of the store could be that of '{region}': {', '.join(sorted(images))}. Give the right one "
            "as a file with `image`, or remove the others from the store."
        )
    return tuple(images.values())


def matrix_of(transformation: Any) -> Array:
    """Return a transformation of SpatialData as a 3 × 3 matrix of (x, y, 1)."""
    return np.asarray(transformation.to_affine_matrix(("x", "y"), ("x", "y")), dtype=np.float64)


def _of_region(store: Any, region: str) -> dict[str, Any]:
    """Return the images of a region: in colour, where some are; named after its sample, where some are.

    The reader of Space Ranger calls the regions and the images of a sample ``A``, ``A_square_008um`` and
    ``A_hires_image``. The picture of the CytAssist is of another camera.
    """
    images = {str(name): image for name, image in store.images.items()}
    images = {name: image for name, image in images.items() if "cytassist" not in name.lower()} or images
    images = {
        name: image for name, image in images.items() if _scales(image)[0].sizes["c"] in (3, 4)
    } or images
    sample = region.partition("_square_")[0]
    others = {str(name).partition("_square_")[0] for name in store.shapes} - {sample}
    own = {name: image for name, image in images.items() if name.startswith(f"{sample}_")}
    # a region "spots" gives its name to no image, and another sample's image is none of this one
    foreign = {name for name in images if any(name.startswith(f"{other}_") for other in others)}
    return own or {name: image for name, image in images.items() if name not in foreign}


def _to_spots(image: Any, shapes: Any, system: str) -> Array | None:
    """Return the map of pixels of an image to the system of the spots; ``None`` where they share no system."""
    from spatialdata.transformations import get_transformation

    of_spots = {str(name): matrix_of(step) for name, step in get_transformation(shapes, get_all=True).items()}
    of_image = get_transformation(image, get_all=True)
    shared = [name for name in (system, *of_spots) if name in of_image]
    if not shared:
        return None
    # pixels of the image to the shared system, back to the spots as stored, and on to the chosen system
    back = np.linalg.inv(of_spots[shared[0]])
    return np.asarray(of_spots[system] @ back @ matrix_of(of_image[shared[0]]))


def _may_differ(images: dict[str, ImageCandidate]) -> bool:
    """Return whether images are of the same scale, so that they are different ones, or of other parts of the slide."""
    if len(images) < 2:
        return False
    scales = np.sort([image.scale for image in images.values()])
    sizes = np.array([np.array(image.open().shapes[0]) / image.scale for image in images.values()])
    same_scale = bool((scales[1:] / scales[:-1] - 1 < _SAME_SCALE).any())
    return same_scale or bool((sizes.max(axis=0) / sizes.min(axis=0) - 1).max() > _SAME_SIZE)


def _scales(image: Any) -> list[Any]:
    """Return the arrays of an image, sharpest first."""
    if hasattr(image, "children") and image.children:
        levels = [list(child.ds.values()) for child in image.children.values()]
        if not all(levels):
            raise DataError(
                "An image of the SpatialData store has a level without pixels. Write the store again."
            )
        return [arrays[0] for arrays in levels]
    return [image]


def _candidate(image: Any, matrix: Array, sharpest: Any) -> ImageCandidate | None:
    rotated = abs(matrix[0, 1]) + abs(matrix[1, 0]) > 1e-6 * abs(matrix[0, 0])
    stretched = matrix[0, 0] <= 0 or abs(matrix[1, 1] / matrix[0, 0] - 1) > _SAME_SCALE
    if rotated or stretched or np.abs(matrix[:2, 2]).max() > 1:
        return None
    shrunk = sharpest.sizes["x"] / image.sizes["x"]
    scale = float(1 / (matrix[0, 0] * round(shrunk, 3)))
    pixels = _channels_last(image)
    kind = "full" if abs(scale - 1) < 0.01 else "hires"
    return ImageCandidate(kind, scale, source=ArrayBackend(as_rgb(pixels, "the SpatialData image")))  # type: ignore[arg-type]


def _channels_last(image: Any) -> Array:
    pixels = np.asarray(image.transpose("y", "x", "c").values)
    if pixels.dtype.kind == "f":
        pixels = np.rint(np.clip(pixels * (255 if pixels.max() <= 1 else 1), 0, 255)).astype(np.uint8)
    return pixels[..., :3] if pixels.shape[2] > 4 else pixels
