"""Image features: one vector for every location on a slide, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from .dense import DenseEncoder, ahead, encoded_tiles
from .feature_store import FeatureStore
from .joined import JoinedEncoder, JoinedRows
from .known_vectors import KnownVectors
from .sharded import ShardedEncoder
from .tile_features import TileFeatures, rows_of
from .tile_folder import TileFolder
from .windowed import WindowedEncoder

__all__ = ["embed"]

Progress: TypeAlias = "Callable[[int, int, str], None]"
Rows: TypeAlias = "slice | Array"

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
    known: KnownVectors | None = None,
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
    known
        Vectors that need not be computed again, of an encoder whose vectors no other location changes.

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
    if isinstance(encoder, WindowedEncoder):
        windows = (
            embed(slide, xy_um + offset, part, store=store, channel_order=channel_order, progress=report)
            for (part, offset), report in zip(
                encoder.parts, _in_turn(progress, len(encoder.parts)), strict=True
            )
        )
        return JoinedRows(tuple(windows))
    if isinstance(encoder, JoinedEncoder):
        parts = (
            embed(slide, xy_um, part, store=store, channel_order=channel_order, progress=progress)
            for part in encoder.parts
        )
        return JoinedRows(tuple(parts))
    if isinstance(encoder, TileFolder):
        encoder = encoder.of(slide)
    if isinstance(encoder, TileFeatures):
        # they are in a file already
        return rows_of(encoder, slide, xy_um)
    sources = [Patches(slide, xy_um, size.size_um, size.px, channel_order) for size in encoder.card.patches]
    chunk_rows = _ROWS_BUILT_IN if encoder.card.source is None else _ROWS_NETWORK
    if store is None:
        features = np.empty((len(xy_um), encoder.card.dim), dtype=np.float32)
        chunks = [slice(start, start + chunk_rows) for start in range(0, len(xy_um), chunk_rows)]
        for rows, vectors in _encoded(sources, encoder, chunks, progress, known):
            features[rows] = vectors
        return features
    key = fingerprint(encoder.fingerprint, [source.fingerprint for source in sources])
    shelf = store.shelf(
        key, (len(xy_um), encoder.card.dim), chunk_rows=chunk_rows, summary=_metadata(encoder, slide)
    )
    missing = [shelf.rows_of(chunk) for chunk in shelf.missing()]
    for rows, vectors in in_chunks(_encoded(sources, encoder, missing, progress, known), missing):
        shelf.put(rows.start // shelf.chunk_rows, vectors)
    return shelf.rows()


def _in_turn(progress: Progress | None, number: int) -> list[Progress | None]:
    """Return the progress of each of several passes over the same locations, as one."""
    if progress is None:
        return [None] * number

    def of_pass(index: int) -> Progress:
        return lambda done, total, text: progress(index * total + done, number * total, text)

    return [of_pass(index) for index in range(number)]


def _metadata(encoder: Encoder, slide: SlideImage) -> dict[str, object]:
    """Return what is kept beside the features."""
    return {"encoder": asdict(encoder.card), "slide": slide.fingerprint, "image_mpp": slide.mpp}


def in_chunks(pieces: Iterable[tuple[Rows, Array]], chunks: Sequence[slice]) -> Iterator[tuple[slice, Array]]:
    """Collect vectors of rows in any order, and yield each chunk as soon as it is whole."""
    pending: dict[int, tuple[Array, int]] = {}
    starts = np.array([chunk.start for chunk in chunks])
    for rows, vectors in pieces:
        if isinstance(rows, slice):
            yield rows, vectors
            continue
        number = np.searchsorted(starts, rows, side="right") - 1
        for index in np.unique(number).tolist():
            chunk, inside = chunks[index], number == index
            length = chunk.stop - chunk.start
            values, done = pending.pop(index, (np.empty((length, vectors.shape[1]), dtype=np.float32), 0))
            values[rows[inside] - chunk.start] = vectors[inside]
            if (done := done + int(inside.sum())) == length:
                yield chunk, values
            else:
                pending[index] = values, done


def _encoded(
    sources: list[Patches],
    encoder: Encoder,
    chunks: list[slice],
    progress: Progress | None,
    known: KnownVectors | None = None,
) -> Iterator[tuple[Rows, Float32[np.ndarray, "m d"]]]:
    """Encode the rows of chunks, and report progress; dense encoders give them tile by tile."""
    total = sum(len(range(*rows.indices(len(sources[0])))) for rows in chunks)
    done = 0
    pieces = _of_tiles(sources[0], encoder, chunks) if isinstance(encoder, DenseEncoder) else None
    for rows, vectors in pieces or _of_patches(sources, encoder, chunks, known):
        done += len(vectors)
        if progress is not None:
            progress(done, total, f"image features · {encoder.card.name}")
        yield rows, vectors


def _of_tiles(source: Patches, encoder: DenseEncoder, chunks: list[slice]) -> Iterator[tuple[Rows, Array]]:
    """Encode the rows of chunks tile by tile."""
    rows = np.concatenate([np.arange(len(source))[chunk] for chunk in chunks] or [np.empty(0, dtype=np.intp)])
    tiles = encoded_tiles(
        source.slide,
        source.xy_um,
        encoder,
        rows=rows,
        channel_order=source.channel_order,
        shards=_shards(encoder),
    )
    for members, vectors in tiles:
        yield members, _checked(encoder, vectors, len(members))


def _of_patches(
    sources: list[Patches], encoder: Encoder, chunks: list[slice], known: KnownVectors | None
) -> Iterator[tuple[Rows, Array]]:
    """Encode chunk after chunk; the patches of the next one are read meanwhile. Several devices take a chunk each."""
    if (shards := _shards(encoder)) > 1:
        made = ahead(lambda rows: encoder.encode(_read(sources, rows)), chunks, shards)
        for rows, vectors in zip(chunks, made, strict=True):
            yield rows, _checked(encoder, vectors, len(range(*rows.indices(len(sources[0])))))
        return
    at = None if known is None else known.at(sources[0].xy_um)

    def read(rows: slice) -> list[Array]:
        return _read(sources, rows if at is None else np.arange(len(at))[rows][at[rows] < 0])

    with ThreadPoolExecutor(1) as reader:
        # one chunk ahead, not more: memory stays bounded
        following_patches = None
        for rows, following in zip(chunks, [*chunks[1:], None], strict=False):
            patches = (following_patches or reader.submit(read, rows)).result()
            following_patches = None if following is None else reader.submit(read, following)
            vectors = _checked(encoder, encoder.encode(patches), len(patches[0]))
            yield rows, vectors if known is None or at is None else known.filled(at[rows], vectors)


def _shards(encoder: Encoder | DenseEncoder) -> int:
    """Return how many devices an encoder has."""
    return len(encoder.parts) if isinstance(encoder, ShardedEncoder) else 1


def _read(sources: list[Patches], rows: Rows) -> list[Array]:
    return [source[rows] for source in sources]


def _checked(encoder: Encoder | DenseEncoder, vectors: Array, n: int) -> Array:
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
