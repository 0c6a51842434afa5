"""How values present themselves: one line of text, and a small table for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from .types import UInt8

__all__ = ["as_html", "as_text", "plural", "png_uri"]


def as_text(kind: str, values: Mapping[str, object]) -> str:
    """Return one line: the kind of value, and what is in its summary; empty parts are left out.

    Examples
    --------
    >>> as_text("Points", {"points": "3 points", "diameter": "55 µm wide", "nothing": ""})
    'Points(3 points, 55 µm wide)'
    """
    return f"{kind}({', '.join(str(value) for value in values.values() if value != '')})"


def as_html(kind: str, values: Mapping[str, object], *, image: str = "") -> str:
    """Return a table of a summary, with an image (a data URI) beside it where there is one.

    Examples
    --------
    >>> as_html("Points", {"points": "<3>"})
    '<div><table><caption>Points</caption><tr><th>points</th><td>&lt;3&gt;</td></tr></table></div>'
    """
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in values.items()
        if value != ""
    )
    picture = f'<img src="{escape(image)}" alt="the image of the section">' if image else ""
    return f"<div><table><caption>{escape(kind)}</caption>{rows}</table>{picture}</div>"


def png_uri(rgb: UInt8[np.ndarray, "h w 3"]) -> str:
    """Return a picture as a data URI.

    Examples
    --------
    >>> png_uri(np.zeros((2, 2, 3), dtype=np.uint8))[:22]
    'data:image/png;base64,'
    """
    from base64 import b64encode
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return f"data:image/png;base64,{b64encode(stream.getvalue()).decode('ascii')}"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> plural(1, "spot"), plural(1200, "spot")
    ('1 spot', '1200 spots')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
