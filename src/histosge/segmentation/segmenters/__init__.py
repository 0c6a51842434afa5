"""Segmenters: what finds nuclei in an image tile.

A segmenter is a :class:`Segmenter` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.segmenters`` of another package. Tiling, joining, growth to cells and µm are the same for all of them.
"""

from __future__ import annotations

from histosge._runtime.registry import Registry

from .base import Segment, Segmenter, SegmenterCard

__all__ = ["SEGMENTERS", "Segment", "Segmenter", "SegmenterCard"]

SEGMENTERS: Registry[Segmenter] = Registry("segmenter", SegmenterCard, [__name__])
