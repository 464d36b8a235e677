"""Bridges to other packages: outside the core, each loaded when it is asked for."""
