"""Sections to try things on."""

from __future__ import annotations

from .synthetic import Synthetic, synthetic

__all__ = ["Synthetic", "synthetic"]
