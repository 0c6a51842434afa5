"""Metrics: pure functions of arrays that return one value per gene, each with a card.

A metric is a :class:`Metric` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.metrics`` of another package.
"""

from __future__ import annotations

from histosge._runtime.registry import Registry

from .base import SETS, Comparison, Metric, MetricCard, ScoreSet

__all__ = ["METRICS", "SETS", "Comparison", "Metric", "MetricCard", "ScoreSet"]

METRICS: Registry[Metric] = Registry("metric", MetricCard, [__name__])
