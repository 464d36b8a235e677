"""The only place that runs things concurrently: plan -> fetch -> decode -> place.

`read` chooses: a store that blocks is read by worker threads that own whole chunks (`blocking`), one that waits on the network by a
bounded set of fetch loops (`waiting`). What is done with one object after the other (`write`, for one)
is a generator of steps, which `objects` makes.
"""

from __future__ import annotations

from azarr._engine.decoding import IndexCache, Target
from azarr._engine.documents import change_document, fetch_documents, gone
from azarr._engine.objects import Get, Put, Steps, Work, perform
from azarr._engine.progress import Progress, Tell
from azarr._engine.reading import Block, all_of, read
from azarr._engine.turns import place_of, turn
from azarr._engine.writing import delete_objects, write

# fmt: off
__all__ = [
    "Block", "Get", "IndexCache", "Progress", "Put", "Steps", "Target", "Tell", "Work", "all_of", "change_document", "delete_objects",
    "fetch_documents", "gone", "perform", "place_of", "read", "turn", "write",
]
