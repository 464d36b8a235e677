"""All ways of all libraries: those that read files and those that read over HTTP. A table, and nothing else."""

from bench.readers import LOCAL
from bench.remote import REMOTE

LIBRARIES = LOCAL | REMOTE
