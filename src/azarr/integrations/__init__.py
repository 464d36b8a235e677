"""Bridges to other packages, and to what Linux has for local files and sockets: outside the core, each loaded at its first use."""
