"""Checks for authors of encoders, models, readers and writers: what the package's own are held to.

Each raises a :class:`PropertyError` that says which property fails, and with what. They need no pytest; in a test one
line is enough.

>>> from histosge.testing import check_model
>>> check_model("idw")
"""

from __future__ import annotations

from .encoder_properties import check_encoder
from .model_properties import check_model
from .property_error import PropertyError
from .reader_properties import check_reader
from .writer_properties import check_writer

__all__ = ["PropertyError", "check_encoder", "check_model", "check_reader", "check_writer"]


def __dir__() -> list[str]:
    return sorted(__all__)
