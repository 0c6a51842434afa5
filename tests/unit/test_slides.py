"""Windows of any image file are the pixels that lie there."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.images.slide import SlideImage, open_slide

RNG = np.random.default_rng(0)
COARSE = RNG.integers(0, 255, (24, 30, 3), dtype=np.uint8)
IMAGE = np.asarray(Image.fromarray(COARSE).resize((600, 480), Image.Resampling.BICUBIC))
GRAY = np.ascontiguousarray(IMAGE[..., 0])
MEMORY = SlideImage.from_array(IMAGE, 0.5)


def pyramid(path: Path, image: Array, **options: Any) -> None:
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tif.write(image, subifds=2, tile=(128, 128), photometric="rgb", **options)
        for step in (2, 4):
            small = Image.fromarray(image).reduce(step)
            tif.write(np.asarray(small), subfiletype=1, tile=(128, 128), photometric="rgb", **options)


def ome(path: Path, image: Array) -> None:
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25}
    tifffile.imwrite(path, image, photometric="rgb", tile=(128, 128), metadata=metadata, ome=True)


WRITERS = {
    "stripped.tif": lambda p: tifffile.imwrite(p, IMAGE, photometric="rgb"),
    "rows.tif": lambda p: tifffile.imwrite(p, IMAGE, photometric="rgb", rowsperstrip=16, compression="zlib"),
    "tiled.tif": lambda p: tifffile.imwrite(p, IMAGE, photometric="rgb", tile=(128, 128), compression="zlib"),
    "lzw.tif": lambda p: tifffile.imwrite(p, IMAGE, photometric="rgb", tile=(64, 64), compression="lzw"),
    "pyramid.tif": lambda p: pyramid(p, IMAGE, compression="zlib"),
    "picture.ome.tif": lambda p: ome(p, IMAGE),
    "planar.tif": lambda p: tifffile.imwrite(
        p, np.moveaxis(IMAGE, 2, 0), photometric="rgb", planarconfig="separate"
    ),
    "deep.tif": lambda p: tifffile.imwrite(
        p, IMAGE.astype(np.uint16) * 257, photometric="rgb", tile=(128, 128)
    ),
    "alpha.tif": lambda p: tifffile.imwrite(
        p, np.dstack([IMAGE, np.full_like(GRAY, 255)]), photometric="rgb", extrasamples=["unassalpha"]
    ),
    "picture.png": lambda p: Image.fromarray(IMAGE).save(p),
    "alpha.png": lambda p: Image.fromarray(np.dstack([IMAGE, np.full_like(GRAY, 255)])).save(p),
}
GRAYS = {
    "gray.tif": lambda p: tifffile.imwrite(p, GRAY, photometric="minisblack", tile=(128, 128)),
    "gray16.tif": lambda p: tifffile.imwrite(p, GRAY.astype(np.uint16) * 257, photometric="minisblack"),
    "gray.png": lambda p: Image.fromarray(GRAY).save(p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_patch_has_the_pixels_of_its_position(tmp_path: Path, name: str) -> None:
    """Tiled or stripped, flat or pyramidal, 8 or 16 bits, with alpha or planar: the same pixels."""
    WRITERS[name](tmp_path / name)
    slide = open_slide(tmp_path / name, mpp=0.5)
    assert slide.size_um == (300.0, 240.0)
    patch = slide.read(np.array([100.0, 80.0]), 32.0, 64)
    assert np.array_equal(patch, IMAGE[128:192, 168:232])


@pytest.mark.parametrize("name", GRAYS)
def test_gray_becomes_rgb(tmp_path: Path, name: str) -> None:
    """Every file is read as RGB."""
    GRAYS[name](tmp_path / name)
    patch = open_slide(tmp_path / name, mpp=0.5).read(np.array([100.0, 80.0]), 32.0, 64)
    assert np.array_equal(patch, np.repeat(GRAY[128:192, 168:232, None], 3, axis=2))


@pytest.mark.parametrize("name", ["lossy.jpg", "lossy.tif"])
def test_lossy_files_are_nearly_the_pixels(tmp_path: Path, name: str) -> None:
    """JPEG, alone or inside TIFF."""
    if name.endswith("jpg"):
        Image.fromarray(IMAGE).save(tmp_path / name, quality=95)
    else:
        tifffile.imwrite(tmp_path / name, IMAGE, photometric="rgb", tile=(128, 128), compression="jpeg")
    patch = open_slide(tmp_path / name, mpp=0.5).read(np.array([100.0, 80.0]), 32.0, 64).astype(int)
    assert np.abs(patch - IMAGE[128:192, 168:232]).mean() < 6


def test_the_scale_in_the_file_is_used(tmp_path: Path) -> None:
    """OME's physical size is the scale unless another one is passed."""
    ome(tmp_path / "p.ome.tif", IMAGE)
    assert open_slide(tmp_path / "p.ome.tif").mpp == pytest.approx(0.25)
    assert open_slide(tmp_path / "p.ome.tif", mpp=0.4).mpp == 0.4


def test_finer_pixels_are_averaged() -> None:
    """At half the scale each pixel is the mean of the four it covers."""
    patch = MEMORY.read(np.array([100.0, 80.0]), 64.0, 64).astype(float)
    covered = IMAGE[96:224, 136:264].reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(patch - covered).max() <= 1.0


@pytest.mark.parametrize("centre", [(0.0, 0.0), (300.0, 240.0), (3.0, 120.0), (150.0, 239.0)])
def test_the_image_continues_as_its_mirror_image(centre: tuple[float, float]) -> None:
    """Beyond the edge a patch equals that of the padded image."""
    padded = np.pad(IMAGE, ((64, 64), (64, 64), (0, 0)), mode="symmetric")
    patch = MEMORY.read(np.array(centre), 32.0, 64)
    left, top = (round(2 * side) - 32 + 64 for side in centre)
    assert np.array_equal(patch, padded[top : top + 64, left : left + 64])


def test_a_pyramid_reads_what_the_flat_image_reads(tmp_path: Path) -> None:
    """Coarse patches are read from coarse levels, and are the same."""
    pyramid(tmp_path / "p.tif", IMAGE)
    tifffile.imwrite(tmp_path / "f.tif", IMAGE, photometric="rgb")
    for size_um in (64.0, 130.0):
        patches = [
            open_slide(tmp_path / name, mpp=0.5).read(np.array([150.0, 120.0]), size_um, 32).astype(int)
            for name in ("p.tif", "f.tif")
        ]
        # boxes that cut pixels are only nearly the area mean
        assert np.abs(patches[0] - patches[1]).mean() < 8


def planes(path: Path, image: Array) -> None:
    """Three pages of one colour each."""
    planes = np.moveaxis(image, 2, 0)
    tifffile.imwrite(
        path, planes, photometric="minisblack", metadata={"axes": "CYX", "Channel": {"Name": list("RGB")}}
    )


CONTAINERS = {
    "strips.tif": lambda p, rgb: tifffile.imwrite(p, rgb, photometric="rgb"),
    "rows.tif": lambda p, rgb: tifffile.imwrite(
        p, rgb, photometric="rgb", rowsperstrip=7, compression="zlib"
    ),
    "tiles.tif": lambda p, rgb: tifffile.imwrite(
        p, rgb, photometric="rgb", tile=(128, 128), compression="lzw"
    ),
    "planar.tif": lambda p, rgb: tifffile.imwrite(
        p, np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate", compression="zlib"
    ),
    "planes.ome.tif": planes,
    "deep.tif": lambda p, rgb: tifffile.imwrite(p, rgb.astype(np.uint16) * 257, photometric="rgb"),
    "small_copy.tif": lambda p, rgb: with_small_copy(p, rgb),
}


def with_small_copy(path: Path, image: Array) -> None:
    """A flat image, and a thumbnail far smaller than any level that is read here."""
    with tifffile.TiffWriter(path) as tif:
        tif.write(image, photometric="rgb", tile=(128, 128))
        small = Image.fromarray(image).resize((image.shape[1] // 32, image.shape[0] // 32))
        tif.write(np.asarray(small), photometric="rgb", subfiletype=1)


@pytest.mark.parametrize("name", CONTAINERS)
def test_equal_pixels_give_equal_patches_in_any_container(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JPEG, its pixels as a PNG and as a TIFF without levels are read the same at every scale, also in blocks."""
    from histosge.images.backends import halved

    Image.fromarray(IMAGE).resize((1117, 1093), Image.Resampling.BICUBIC).save(tmp_path / "picture.jpg")
    pixels = np.asarray(Image.open(tmp_path / "picture.jpg"))
    Image.fromarray(pixels).save(tmp_path / "picture.png", compress_level=1)
    CONTAINERS[name](tmp_path / name, pixels)
    # patches and the whole image then need several blocks
    monkeypatch.setattr(halved, "_BLOCK_PX", 128)
    slides = [open_slide(tmp_path / file, mpp=0.5) for file in ("picture.jpg", "picture.png", name)]
    width, height = slides[0].size_um
    centres = np.array([[200.3, 300.7], [417.0, 201.5], [3.0, height - 1], [width, 0.0]])
    # just finer than a level, a level, just coarser, and between levels
    for mpp in (0.3, 0.5, 0.999, 1.0, 1.0015, 1.375, 2.003, 9.0):
        patches = [slide.read_many(centres, 61 * mpp, 61) for slide in slides]
        assert np.array_equal(patches[0], patches[1]), mpp
        assert np.array_equal(patches[0], patches[2]), mpp
    for read in (
        lambda s: s.thumbnail(2.9),
        lambda s: s.read_region(np.array([-20.0, 31.3]), 2.2, (230, 203)),
    ):
        assert np.array_equal(read(slides[0]), read(slides[2]))


def test_levels_that_a_program_made_are_read_as_they_are(tmp_path: Path) -> None:
    """Between the levels of a file, and below them, there are halves; its own are not computed again."""
    image = np.asarray(Image.fromarray(IMAGE).resize((2400, 2050), Image.Resampling.BICUBIC))
    quarter = np.full((513, 600, 3), 77, dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "p.tif") as tif:
        tif.write(image, subifds=1, tile=(128, 128), photometric="rgb")
        tif.write(quarter, subfiletype=1, tile=(128, 128), photometric="rgb")
    backend = open_slide(tmp_path / "p.tif", mpp=0.5).backend
    assert backend.shapes == ((2050, 2400), (1025, 1200), (513, 600), (256, 300))
    memory = SlideImage.from_array(image, 0.5).backend
    assert np.array_equal(backend.read(1, (3, 5), (600, 700)), memory.read(1, (3, 5), (600, 700)))
    assert (backend.read(2, (0, 0), (600, 513)) == 77).all()
    assert (backend.read(3, (0, 0), (300, 256)) == 77).all()


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-50, 350),
    y=st.floats(-50, 290),
    size_um=st.floats(0.6, 200),
    px=st.integers(1, 70),
)
def test_any_patch_can_be_read(x: float, y: float, size_um: float, px: int) -> None:
    """At any position, width and sampling: px × px RGB; many at once equal one by one."""
    centres = np.array([[x, y], [150.0, 120.0]])
    patches = MEMORY.read_many(centres, size_um, px)
    assert patches.shape == (2, px, px, 3)
    assert patches.dtype == np.uint8
    assert np.array_equal(patches[0], MEMORY.read(centres[0], size_um, px))


def test_a_thumbnail_has_its_size_and_the_same_mean() -> None:
    """Averaging keeps the mean colour; a thumbnail is never sharper than the image."""
    small = MEMORY.thumbnail(5.0)
    assert small.shape == (48, 60, 3)
    assert np.allclose(small.mean((0, 1)), IMAGE.mean((0, 1)), atol=1.0)
    assert MEMORY.thumbnail(0.1).shape == IMAGE.shape


def test_a_patch_of_a_large_tiled_file_needs_little_memory(tmp_path: Path) -> None:
    """Opening and reading a 300-megapixel file needs a small part of its size, also a coarse patch of much of it."""
    tile = RNG.integers(0, 255, (512, 512, 3), dtype=np.uint8)
    side = 34
    # compressed once: tifffile writes bytes as they are
    compressed = zlib.compress(tile.tobytes())
    tifffile.imwrite(
        tmp_path / "large.tif",
        (compressed for _ in range(side * side)),
        shape=(512 * side, 512 * side, 3),
        dtype=np.uint8,
        tile=(512, 512),
        photometric="rgb",
        compression="zlib",
    )
    tracemalloc.start()
    slide = open_slide(tmp_path / "large.tif", mpp=1.0)
    patch = slide.read(np.array([5120.0 + 256, 5120.0 + 256]), 256.0, 256)
    coarse = slide.read(np.array([8192.0, 8192.0]), 8192.0, 512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(coarse, np.tile(coarse[:32, :32], (16, 16, 1)))
    assert np.array_equal(patch, tile[128:384, 128:384])
    assert peak < 300e6 < 3 * (512 * side) ** 2


def test_openslide_reads_the_same_pixels(tmp_path: Path) -> None:
    """Scanner formats (SVS, NDPI, MRXS) are read through the same protocol."""
    from histosge.images.backends.openslide import OpenSlideBackend

    pyramid(tmp_path / "p.tif", IMAGE, compression="zlib")
    slide = SlideImage(OpenSlideBackend.open(tmp_path / "p.tif"), 0.5)
    assert slide.size_um == (300.0, 240.0)
    assert np.array_equal(slide.read(np.array([100.0, 80.0]), 32.0, 64), IMAGE[128:192, 168:232])
    (tmp_path / "bad.svs").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.svs"):
        open_slide(tmp_path / "bad.svs", mpp=0.5)


def corrupt(path: Path) -> None:
    tifffile.imwrite(path, IMAGE, photometric="rgb", tile=(128, 128), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset, size = tif.pages[0].dataoffsets[6], tif.pages[0].databytecounts[6]  # type: ignore[union-attr]
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = bytes(size)
    path.write_bytes(content)


def test_a_corrupt_tile_is_refused_where_it_is_read(tmp_path: Path) -> None:
    """Other parts of the image can still be read; the bad tile is refused, never black."""
    corrupt(tmp_path / "c.tif")
    slide = open_slide(tmp_path / "c.tif", mpp=0.5)
    assert np.array_equal(slide.read(np.array([16.0, 16.0]), 16.0, 32), IMAGE[16:48, 16:48])
    with pytest.raises(DataError, match=r"c\.tif"):
        slide.read(np.array([96.0, 96.0]), 16.0, 32)


BAD = {
    "truncated.tif": lambda p: (tifffile.imwrite(p, IMAGE), p.write_bytes(p.read_bytes()[: IMAGE.size // 2])),
    "truncated.png": lambda p: (Image.fromarray(IMAGE).save(p), p.write_bytes(p.read_bytes()[:3000])),
    "text.tif": lambda p: p.write_text("not an image"),
    "cmyk.jpg": lambda p: Image.fromarray(IMAGE).convert("CMYK").save(p),
    "cmyk.tif": lambda p: tifffile.imwrite(p, np.dstack([IMAGE, GRAY]), photometric="separated"),
    "bits.png": lambda p: Image.fromarray(GRAY > 99).save(p),
    "bits.tif": lambda p: Image.fromarray(GRAY > 99).save(p),
    "floats.tif": lambda p: tifffile.imwrite(p, IMAGE.astype(np.float32), photometric="rgb"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_without_an_rgb_image_are_refused(tmp_path: Path, name: str) -> None:
    """Truncated, CMYK, 1-bit, floating-point or not an image at all."""
    BAD[name](tmp_path / name)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        open_slide(tmp_path / name, mpp=0.5).read(np.array([150.0, 200.0]), 150.0, 64)


def test_missing_files_and_scales_are_usage_errors(tmp_path: Path) -> None:
    """No file, no scale, an impossible scale: exit code 2."""
    with pytest.raises(UsageError, match="nothing"):
        open_slide(tmp_path / "nothing.tif", mpp=0.5)
    Image.fromarray(IMAGE).save(tmp_path / "p.png")
    with pytest.raises(UsageError, match="`mpp`"):
        open_slide(tmp_path / "p.png")
    with pytest.raises(UsageError, match="positive"):
        open_slide(tmp_path / "p.png", mpp=-1.0)


def test_equal_images_have_equal_fingerprints() -> None:
    """Content and scale count; one changed pixel changes the fingerprint."""
    changed = IMAGE.copy()
    changed[200, 300, 1] ^= 1
    same, other = SlideImage.from_array(IMAGE.copy(), 0.5), SlideImage.from_array(changed, 0.5)
    assert same.fingerprint == MEMORY.fingerprint
    assert other.fingerprint != MEMORY.fingerprint
    assert SlideImage.from_array(IMAGE, 0.6).fingerprint != MEMORY.fingerprint


def test_channels_of_fluorescence_are_refused(tmp_path: Path) -> None:
    """Three or four channels of gray with names of stains are no RGB; three named by colours are."""
    planes = np.moveaxis(np.dstack([IMAGE, GRAY]), 2, 0)
    path = tmp_path / "channels.ome.tif"
    for names in (["DAPI", "NeuN", "GFAP", "OLIG2"], ["DAPI", "NeuN", "GFAP"], ["1", "2", "3", "4"]):
        metadata = {"axes": "CYX", "Channel": {"Name": names}}
        pixels = np.ascontiguousarray(planes[: len(names)])
        tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata=metadata)
        with pytest.raises(DataError, match=f"{len(names)} channels of gray.*{names[0]}.*fluorescence"):
            open_slide(path, mpp=0.5)
    metadata = {"axes": "CYX", "Channel": {"Name": ["Red", "Green", "Blue"]}}
    pixels = np.ascontiguousarray(planes[:3])
    tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata=metadata)
    assert np.array_equal(
        open_slide(path, mpp=0.5).read(np.array([100.0, 80.0]), 32.0, 64), IMAGE[128:192, 168:232]
    )


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_sixteen_bits_that_hold_fewer_are_refused(tmp_path: Path, bits: int) -> None:
    """Pixels of a 10-, 12- or 14-bit camera use a small part of 16 bits: in a TIFF, a PNG and in memory."""
    deep = (IMAGE.astype(np.uint16) * 257) >> (16 - bits)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb", tile=(128, 128))
    Image.fromarray(np.ascontiguousarray(deep[..., 0])).save(tmp_path / "deep.png")
    for name in ("deep.tif", "deep.png"):
        with pytest.raises(DataError, match=f"{bits}-bit camera"):
            open_slide(tmp_path / name, mpp=0.5)
    with pytest.raises(DataError, match="small part"):
        SlideImage.from_array(deep, 0.5)


def test_resolutions_of_printers_and_slips_are_not_taken(tmp_path: Path) -> None:
    """Whole dots per inch, and pixels that no scanner makes, leave the scale to the user; 2540 dots are 10 µm."""
    path = tmp_path / "tagged.tif"
    for resolution, unit in (
        (600, "INCH"),
        (1200, "INCH"),
        (236.22, "CENTIMETER"),
        (1e4 / 0.065, "CENTIMETER"),
    ):
        tifffile.imwrite(
            path, IMAGE, photometric="rgb", resolution=(resolution, resolution), resolutionunit=unit
        )
        with pytest.raises(UsageError, match="mpp"):
            open_slide(path)
    for resolution, unit, mpp in (
        (2540, "INCH", 10.0),
        (50800, "INCH", 0.5),
        (1e4 / 0.65, "CENTIMETER", 0.65),
    ):
        tifffile.imwrite(
            path, IMAGE, photometric="rgb", resolution=(resolution, resolution), resolutionunit=unit
        )
        assert open_slide(path).mpp == pytest.approx(mpp, rel=1e-4)


def test_the_largest_image_of_a_file_is_the_slide(tmp_path: Path) -> None:
    """A label or an overview before the scan is passed over, and the scale is that of the scan."""
    path = tmp_path / "label_first.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(IMAGE[:100, :120], photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 8.0})
        tif.write(IMAGE, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.5})
    slide = open_slide(path)
    assert slide.mpp == 0.5
    assert np.array_equal(slide.read(np.array([100.0, 80.0]), 32.0, 64), IMAGE[128:192, 168:232])


def test_colours_that_are_no_rgb_are_refused(tmp_path: Path) -> None:
    """CIELAB pixels, and YCbCr pixels that no JPEG decoder converts, are refused."""
    for photometric in ("cielab", "ycbcr"):
        path = tmp_path / f"{photometric}.tif"
        tifffile.imwrite(path, IMAGE, photometric=photometric)
        with pytest.raises(DataError, match="Convert it to 8-bit RGB"):
            open_slide(path, mpp=0.5)


def test_images_too_large_to_decode_at_once_are_refused(tmp_path: Path) -> None:
    """A PNG whose header promises more pixels than memory holds is refused before it is decoded."""
    path = tmp_path / "bomb.png"
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(DataError, match="tiled TIFF"):
        open_slide(path, mpp=0.5)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"keep_rgb": True}])
def test_jpegs_have_the_pixels_that_pillow_reads(tmp_path: Path, options: dict[str, Any]) -> None:
    """Whole JPEGs are decoded by another library, to the same bits; others are left to Pillow, which refuses some."""
    path = tmp_path / "slide.jpg"
    Image.fromarray(IMAGE).save(path, quality=90, **options)
    slide = open_slide(path, mpp=1.0)
    assert np.array_equal(slide.backend.read(0, (0, 0), IMAGE.shape[1::-1]), np.asarray(Image.open(path)))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match="damaged or cut short"):
        open_slide(path, mpp=1.0)


@pytest.mark.parametrize("shape", [(1024, 1026), (1033, 777), (513, 2048)])
def test_coarser_levels_are_means_of_four_pixels(shape: tuple[int, int]) -> None:
    """Rounded half up; an odd last row or column is left out."""
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    even = rgb[: shape[0] // 2 * 2, : shape[1] // 2 * 2].astype(int)
    means = even.reshape(shape[0] // 2, 2, shape[1] // 2, 2, 3).sum(axis=(1, 3))
    slide = SlideImage.from_array(rgb, mpp=1.0)
    assert np.array_equal(slide.backend.read(1, (0, 0), means.shape[1::-1]), (means + 2) // 4)
