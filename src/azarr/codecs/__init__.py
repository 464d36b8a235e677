"""Codecs: one per file, imported at first use, and the chain that a chunk goes through."""

from __future__ import annotations

from azarr.codecs.base import Array, ChunkSpec
from azarr.codecs.pipeline import Pipeline
from azarr.codecs.registry import KNOWN, build

__all__ = ["KNOWN", "Array", "ChunkSpec", "Pipeline", "build"]
