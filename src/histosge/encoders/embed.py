"""Image features: one vector for every location on a slide, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Literal, TypeAlias

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.types import Array, Float, Float32
from histosge.errors import DataError
from histosge.images.patches import Patches
from histosge.images.slide import SlideImage
from histosge.section.inputs import FeatureRows

from .base import Encoder
from .feature_store import FeatureStore
from .joined import JoinedEncoder, JoinedRows

__all__ = ["embed"]

Progress: TypeAlias = "Callable[[int, int, str], None]"

# rows encoded, and stored, at once. Networks take about a second a patch on a laptop: a kill costs a minute
_ROWS_BUILT_IN, _ROWS_NETWORK = 512, 64


def embed(
    slide: SlideImage,
    xy_um: Float[np.ndarray, "n 2"],
    encoder: Encoder,
    *,
    store: FeatureStore | None = None,
    channel_order: Literal["rgb", "bgr"] = "rgb",
    progress: Progress | None = None,
) -> FeatureRows:
    """Return the image features of each location.

    Parameters
    ----------
    slide
        The image.
    xy_um
        Locations, µm.
    encoder
        Encoder with its weights loaded.
    store
        Where to keep the vectors; stored vectors are not computed again. ``None`` keeps them in memory. Joined encoders
        are stored one by one, so that each is computed once whatever it is joined with.
    channel_order
        ``"bgr"`` passes red as blue, as the published code of HisToSGE does.
    progress
        Called with (done, total, text) after each chunk.

    Returns
    -------
    n × ``encoder.card.dim``, float32; read from disk by rows where there is a store.

    Raises
    ------
    DataError
        For a damaged image, and for an encoder whose vectors differ from its card.
    OutputError
        When the store's disk is full; what was written stays, and the next call goes on from there.
    """
    if isinstance(encoder, JoinedEncoder):
        parts = (
            embed(slide, xy_um, part, store=store, channel_order=channel_order, progress=progress)
            for part in encoder.parts
        )
        return JoinedRows(tuple(parts))
    sources = [Patches(slide, xy_um, size.size_um, size.px, channel_order) for size in encoder.card.patches]
    chunk_rows = _ROWS_BUILT_IN if encoder.card.source is None else _ROWS_NETWORK
    if store is None:
        features = np.empty((len(xy_um), encoder.card.dim), dtype=np.float32)
        chunks = [slice(start, start + chunk_rows) for start in range(0, len(xy_um), chunk_rows)]
        for rows, vectors in _encoded(sources, encoder, chunks, progress):
            features[rows] = vectors
        return features
    key = fingerprint(encoder.fingerprint, [source.fingerprint for source in sources])
    shelf = store.shelf(
        key, (len(xy_um), encoder.card.dim), chunk_rows=chunk_rows, summary=_metadata(encoder, slide)
    )
    missing = shelf.missing()
    pieces = _encoded(sources, encoder, [shelf.rows_of(chunk) for chunk in missing], progress)
    for chunk, (_, vectors) in zip(missing, pieces, strict=True):
        shelf.put(chunk, vectors)
    return shelf.rows()


def _metadata(encoder: Encoder, slide: SlideImage) -> dict[str, object]:
    """Return what is kept beside the features."""
    return {"encoder": asdict(encoder.card), "slide": slide.fingerprint, "image_mpp": slide.mpp}


def _encoded(
    sources: list[Patches], encoder: Encoder, chunks: list[slice], progress: Progress | None
) -> Iterator[tuple[slice, Float32[np.ndarray, "m d"]]]:
    """Encode chunk after chunk; the patches of the next one are read meanwhile."""
    total = sum(len(range(*rows.indices(len(sources[0])))) for rows in chunks)
    done = 0
    with ThreadPoolExecutor(1) as reader:
        # one chunk ahead, not more: memory stays bounded
        ahead = None
        for rows, following in zip(chunks, [*chunks[1:], None], strict=False):
            patches = (ahead or reader.submit(_read, sources, rows)).result()
            ahead = None if following is None else reader.submit(_read, sources, following)
            vectors = _checked(encoder, encoder.encode(patches), len(patches[0]))
            done += len(vectors)
            if progress is not None:
                progress(done, total, f"image features · {encoder.card.name}")
            yield rows, vectors


def _read(sources: list[Patches], rows: slice) -> list[Array]:
    return [source[rows] for source in sources]


def _checked(encoder: Encoder, vectors: Array, n: int) -> Array:
    """Refuse vectors of another shape than the card's, and vectors that are not finite."""
    if vectors.shape != (n, encoder.card.dim):
        raise DataError(
            f"Encoder '{encoder.card.name}' must return an array of shape {(n, encoder.card.dim)}, "
            f"got {vectors.shape}. Correct the `dim` of its card."
        )
    if not np.isfinite(vectors).all():
        raise DataError(
            f"Encoder '{encoder.card.name}' returned NaN or infinity. Its weights may be damaged; with bf16, try "
            "`precision` fp32."
        )
    return vectors
