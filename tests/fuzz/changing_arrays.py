"""Structured changes of HDF5 files, Parquet tables and images."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from changing_bytes import Numbers, Operation
from changing_text import NUMBERS, WORDS

__all__ = ["HDF5", "IMAGE", "PARQUET"]

_DTYPES = (
    "float64",
    "float32",
    "float16",
    "int8",
    "uint8",
    "int64",
    "uint64",
    "S3",
    "bool",
    "complex64",
    "O",
)


# --- HDF5 -----------------------------------------------------------------------------------------------------


def _on_item(change: Callable[[Any, str, Numbers], None], *, datasets: bool = True) -> Operation:
    """Change an item of a file; by default a dataset."""

    def apply(path: Path, numbers: Numbers) -> None:
        import h5py

        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            chosen = [name for name in names if isinstance(file[name], h5py.Dataset) or not datasets]
            if chosen:
                change(file, numbers.pick(chosen), numbers)

    return apply


def _put(file: Any, name: str, values: Any) -> None:
    """Write other values under a name, and keep its attributes."""
    attributes = dict(file[name].attrs)
    del file[name]
    if getattr(values, "dtype", None) is not None and values.dtype.kind == "U":
        values = values.astype("S")
    file[name] = values
    for key, value in attributes.items():
        file[name].attrs[key] = value


def _converted(file: Any, name: str, numbers: Numbers) -> None:
    values, dtype = np.asarray(file[name][()]), numbers.pick(_DTYPES)
    try:
        other = np.array([str(value) for value in values.ravel()]) if dtype == "O" else values.astype(dtype)
    except (ValueError, TypeError):
        other = np.arange(values.size).reshape(values.shape).astype("f8")
    _put(file, name, other)


def _shaped(file: Any, name: str, numbers: Numbers) -> None:
    values = np.asarray(file[name][()])
    shapes = (
        values[None],
        values.ravel(),
        values.T,
        values.ravel()[: values.size // 2],
        values[..., None],
        values[:0],
    )
    _put(file, name, numbers.pick(shapes if values.ndim else (values[None], np.zeros(0))))


def _valued(file: Any, name: str, numbers: Numbers) -> None:
    """Set one value."""
    values = np.array(file[name][()])
    flat = values.reshape(-1)
    if not flat.size:
        return
    at = numbers.below(flat.size)
    if values.dtype.kind in "OSU":
        flat = flat.astype(object)
        flat[at] = numbers.pick(WORDS).replace("\0", "").encode()
        _put_text(file, name, flat.reshape(values.shape))
        return
    value = numbers.pick(NUMBERS)
    wide = np.float64 if isinstance(value, float) or abs(value) >= 2**63 else np.int64
    keeps = numbers.below(2)
    with np.errstate(all="ignore"):
        flat = flat.copy() if keeps else flat.astype(wide)
        try:
            flat[at] = value
        except (OverflowError, ValueError):
            flat[at] = 7
    _put(file, name, flat.reshape(values.shape))


def _put_text(file: Any, name: str, values: Any) -> None:
    import h5py

    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values, dtype=h5py.string_dtype())
    for key, value in attributes.items():
        file[name].attrs[key] = value


def _scaled(file: Any, name: str, numbers: Numbers) -> None:
    values = np.asarray(file[name][()])
    if values.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            _put(
                file,
                name,
                values * numbers.pick((0, -1, 0.5, 1e-3, 1e6, np.nan, 2, 1.0000001)),
            )


def _permuted(file: Any, name: str, numbers: Numbers) -> None:
    values = np.asarray(file[name][()])
    if values.ndim:
        _put(
            file,
            name,
            values[np.random.default_rng(numbers.next()).permutation(len(values))],
        )


def _repeated(file: Any, name: str, numbers: Numbers) -> None:
    values = np.array(file[name][()])
    if values.ndim and len(values):
        values[numbers.below(len(values))] = values[numbers.below(len(values))]
        _put(file, name, values)


def _cut(file: Any, name: str, numbers: Numbers) -> None:
    values = np.asarray(file[name][()])
    if values.ndim:
        size = numbers.below(len(values) + 1)
        _put(
            file,
            name,
            numbers.pick((values[:size], values[size:], np.concatenate([values, values[:size]]))),
        )


def _delete(file: Any, name: str, numbers: Numbers) -> None:
    del file[name]


def _rename(file: Any, name: str, numbers: Numbers) -> None:
    file.move(name, f"{name}_")


def _swap(file: Any, name: str, numbers: Numbers) -> None:
    import h5py

    names: list[str] = []
    file.visit(names.append)
    other = numbers.pick([item for item in names if isinstance(file[item], h5py.Dataset)])
    if other != name and isinstance(file[name], h5py.Dataset):
        file.move(name, "swapping")
        file.move(other, name)
        file.move("swapping", other)


def _group(file: Any, name: str, numbers: Numbers) -> None:
    del file[name]
    file.create_group(name)


def _attribute(file: Any, name: str, numbers: Numbers) -> None:
    keys = sorted(file[name].attrs)
    if not keys:
        file[name].attrs["encoding-type"] = numbers.pick(
            ("array", "csr_matrix", "csc_matrix", "dataframe", "null")
        )
        return
    key = numbers.pick(keys)
    if numbers.below(3) == 0:
        del file[name].attrs[key]
    else:
        plain = (
            "array",
            "csr_matrix",
            "csc_matrix",
            "dataframe",
            "categorical",
            "dict",
            "9.9.9",
            "",
            3,
            -1,
        )
        file[name].attrs[key] = numbers.pick(
            (*plain, np.array([0, 0]), np.array([10**9, 10**9]), np.array(["x"], "S"))
        )


HDF5: dict[str, Operation] = {
    "another dtype": _on_item(_converted),
    "another shape": _on_item(_shaped),
    "set a value": _on_item(_valued),
    "scale": _on_item(_scaled),
    "permute": _on_item(_permuted),
    "repeat a value": _on_item(_repeated),
    "cut or lengthen": _on_item(_cut),
    "delete": _on_item(_delete, datasets=False),
    "rename": _on_item(_rename, datasets=False),
    "swap two datasets": _on_item(_swap),
    "a group in its place": _on_item(_group),
    "an attribute": _on_item(_attribute, datasets=False),
}


# --- Parquet --------------------------------------------------------------------------------------------------


def _on_frame(change: Callable[[Any, Numbers], Any]) -> Operation:
    def apply(path: Path, numbers: Numbers) -> None:
        import pandas as pd

        change(pd.read_parquet(path), numbers).to_parquet(path)

    return apply


def _frame_value(frame: Any, numbers: Numbers) -> Any:
    column = numbers.pick(list(frame.columns))
    values = frame[column].tolist()
    values[numbers.below(len(values))] = numbers.pick((float("nan"), -1, 1e308, 0, 2**40))
    try:
        return frame.assign(**{column: np.array(values, dtype=float)})
    except (ValueError, TypeError):
        return frame.assign(**{column: [str(value) for value in values]})


def _frame_exchange(frame: Any, numbers: Numbers) -> Any:
    one, two = numbers.pick(list(frame.columns)), numbers.pick(list(frame.columns))
    return frame.assign(**{one: frame[two].to_numpy(), two: frame[one].to_numpy()})


PARQUET: dict[str, Operation] = {
    "drop a column": _on_frame(lambda frame, n: frame.drop(columns=n.pick(list(frame.columns)))),
    "add a column": _on_frame(lambda frame, n: frame.assign(extra=n.pick(WORDS).replace("\0", ""))),
    "permute rows": _on_frame(lambda frame, n: frame.sample(frac=1, random_state=n.next() % 2**31)),
    "permute columns": _on_frame(
        lambda frame, n: frame.sample(frac=1, axis=1, random_state=n.next() % 2**31)
    ),
    "no rows": _on_frame(lambda frame, n: frame.iloc[:0]),
    "drop rows": _on_frame(lambda frame, n: frame.iloc[n.below(len(frame)) :]),
    "repeat rows": _on_frame(lambda frame, n: frame.iloc[[n.below(len(frame)), *range(len(frame))]]),
    "words for numbers": _on_frame(lambda frame, n: frame.astype({n.pick(list(frame.columns)): str})),
    "set a value": _on_frame(_frame_value),
    "exchange two columns": _on_frame(_frame_exchange),
    "another index": _on_frame(lambda frame, n: frame.set_index(n.pick(list(frame.columns)))),
}


# --- images ---------------------------------------------------------------------------------------------------


def _on_image(change: Callable[[Any, Numbers], Any]) -> Operation:
    def apply(path: Path, numbers: Numbers) -> None:
        from PIL import Image

        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
            changed = change(image.convert("RGB"), numbers)
        kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(path.suffix, "TIFF")
        if kind == "JPEG" and changed.mode not in ("L", "RGB", "CMYK"):
            changed = changed.convert("L")
        if kind == "PNG" and changed.mode in ("CMYK", "LAB", "YCbCr", "F"):
            changed = changed.convert("I;16") if changed.mode == "F" else changed.convert("RGB")
        changed.save(path, format=kind)

    return apply


def _cropped(image: Any, numbers: Numbers) -> Any:
    width, height = image.size
    left, top = numbers.below(width), numbers.below(height)
    return image.crop(
        (
            left,
            top,
            max(left + 1, width - numbers.below(9)),
            max(top + 1, height - numbers.below(9)),
        )
    )


def _other_format(path: Path, numbers: Numbers) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.convert("RGB").save(path, format=numbers.pick(("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")))


def _other_tiff(path: Path, numbers: Numbers) -> None:
    """Write the pixels as an unusual TIFF under the same name."""
    import tifffile
    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes())) as image:
        pixels = np.asarray(image.convert("RGB"))
    kinds: tuple[dict[str, Any], ...] = (
        {"data": pixels.astype(np.uint16) * 257, "photometric": "rgb"},
        {"data": pixels.astype(np.float32) / 255, "photometric": "rgb"},
        {"data": pixels.astype(np.int16), "photometric": "rgb"},
        {
            "data": np.moveaxis(pixels, 2, 0),
            "photometric": "rgb",
            "planarconfig": "separate",
        },
        {"data": pixels[..., 0], "photometric": "minisblack"},
        {"data": pixels[..., 0], "photometric": "miniswhite"},
        {"data": np.stack([pixels, pixels]), "photometric": "rgb"},
        {"data": pixels, "photometric": "rgb", "bigtiff": True, "tile": (16, 16)},
        {"data": pixels, "photometric": "rgb", "resolution": (0, 0)},
        {
            "data": pixels,
            "photometric": "rgb",
            "resolution": (2**31, 1),
            "resolutionunit": 3,
        },
        {"data": pixels.astype(np.uint8)[:1, :1], "photometric": "rgb"},
        {"data": pixels.astype(np.complex64)[..., 0]},
    )
    tifffile.imwrite(path, **numbers.pick(kinds))


IMAGE: dict[str, Operation] = {
    "another mode": _on_image(
        lambda image, n: image.convert(n.pick(("L", "1", "CMYK", "LAB", "YCbCr", "RGBA", "P", "F")))
    ),
    "crop": _on_image(_cropped),
    "resize": _on_image(lambda image, n: image.resize((1 + n.below(300), 1 + n.below(300)))),
    "turn": _on_image(lambda image, n: image.transpose(n.below(7))),
    "one colour": _on_image(lambda image, n: image.point(lambda value: n.numbers[0] % 256)),
    "invert": _on_image(lambda image, n: image.point(lambda value: 255 - value)),
    "another format under this name": _other_format,
    "an unusual TIFF under this name": _other_tiff,
}
