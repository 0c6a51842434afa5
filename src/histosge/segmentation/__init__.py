"""Cells: their outlines, ids and classes, in µm of the section."""

from __future__ import annotations

from .cells import Cells

__all__ = ["Cells"]
