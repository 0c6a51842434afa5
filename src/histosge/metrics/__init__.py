"""Metrics: pure functions of arrays, one value a gene, each with a card.

Adding one is adding a file with ``ENTRIES`` and its name in ``_built_in``; other packages use the entry-point group
``histosge.metrics``.
"""

from __future__ import annotations

from collections.abc import Mapping

from histosge._runtime.registry import Registry

from .base import SETS, Case, Metric, MetricCard, ScoreSet

__all__ = ["METRICS", "SETS", "Case", "Metric", "MetricCard", "ScoreSet"]


def _built_in() -> Mapping[str, Metric]:
    from . import deviance, errors, intervals, morans, pearson, spearman, ssim

    modules = (pearson, spearman, errors, deviance, morans, ssim, intervals)
    return {metric.card.name: metric for module in modules for metric in module.ENTRIES}


METRICS: Registry[Metric] = Registry("metric", _built_in)
