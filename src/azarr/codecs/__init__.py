"""Codecs: one per file, imported at first use, and the chain that a chunk goes through."""

from azarr.codecs.pipeline import Pipeline as Pipeline
from azarr.codecs.registry import KNOWN as KNOWN
