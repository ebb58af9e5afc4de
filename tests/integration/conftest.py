"""Fixtures of several modules."""

from __future__ import annotations

from rendered_chart import helm, objects, options, packages, render

__all__ = ["helm", "objects", "options", "packages", "render"]
