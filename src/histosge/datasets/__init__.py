"""Data sets: a synthetic section whose truth is known, and the public sections of the HisToSGE paper."""

from __future__ import annotations

from .synthetic import Synthetic, synthetic

__all__ = ["Synthetic", "synthetic"]
