"""The house: which module may know which, how large files may be, what is exported, and where threads, tasks and platforms may appear."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import azarr
import azarr.stores
import cpython

SOURCE = Path(azarr.__file__).parent
PROJECT = Path(__file__).parent.parent
OUTSIDE = ("cli/", "tools/", "transport/", "integrations/", "viewer/", "testing/",
           *(f"stores/{name}" for name in ("buckets", "foreign", "fsspec", "objects", "opfs", "reference", "zip")))  # fmt: skip
"""Beginnings of paths that are not the core: they may import anything of it, and nothing of it imports them when it is loaded."""
MOST_LINES, MOST_CORE_LINES = 400, 6000
"""Lines of one file, and of the core without blank ones."""

LAYERS = """
    errors
    limits
    scratch
    document
    dtypes
    fill_values
    grid
    metadata
    v2
    codecs.base  codecs.native  codecs.registry
    codecs.bytes  codecs.transpose  codecs.vlen  codecs.streams  codecs.blosc  codecs.crc32c
    codecs.pipeline  codecs.sharding  codecs
    selection
    layout
    plan
    context
    _platform.cpython  _platform.pyodide  _platform
    stores.base  stores.memory  stores.staging  stores.local  stores.http  stores
    access
    _engine.budget  _engine.turns  _engine.progress  _engine.chunk_cache  _engine.decoding  _engine.requests  _engine.blocking  _engine.waiting  _engine.documents  _engine.reading  _engine.objects  _engine.writing  _engine
    _nodes
    array
    ref
    group
    _open
""".split()  # noqa: SIM905  # a table
"""All modules of the core in order: each imports only from those before it."""
LATER = {
    "stores": [f"stores.{name}" for name in ("buckets", "fsspec", "objects", "opfs", "references", "zip")],
    "array": ["tools.plans"],
}
"""What a module names for type checkers, and loads when it is asked for."""
PURE = LAYERS[: LAYERS.index("context") + 1]
"""No I/O, no asyncio, no clock, no platform."""
IMPURE = {
    "asyncio",
    "threading",
    "concurrent",
    "multiprocessing",
    "socket",
    "ssl",
    "subprocess",
    "time",
    "tempfile",
    "shutil",
    "random",
    "os",
    "io",
    "pathlib",
}
EXEMPT = {("codecs.native", "pathlib")}
"""It looks for the shared library that it loads."""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """`codecs.blosc` for src/azarr/codecs/blosc.py, `codecs` for src/azarr/codecs/__init__.py, "" for src/azarr/__init__.py."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def is_core(path: Path) -> bool:
    return not path.relative_to(SOURCE).as_posix().startswith(OUTSIDE)


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
CORE = {name: path for name, path in MODULES.items() if is_core(path)}


def imports_of(name: str) -> set[str]:
    """Modules of azarr that a module imports, by their names; inside functions, and for type checkers only, too."""
    found: set[str] = set()
    for node in ast.walk(parsed(MODULES[name])):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: imports are absolute"
            found |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}"[6:] in MODULES else str(node.module) for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {each.removeprefix("azarr").removeprefix(".") for each in found if each.split(".")[0] == "azarr"}


def others_of(name: str) -> set[str]:
    """Top-level names of what a module imports that is not azarr."""
    nodes = list(ast.walk(parsed(MODULES[name])))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {each.split(".")[0] for each in found} - {"azarr"}


def test_every_module_of_the_core_has_its_place_in_the_layers():
    assert sorted(LAYERS) == sorted(name for name in CORE if name)


@pytest.mark.parametrize("name", LAYERS)
def test_a_module_imports_only_from_above(name: str):
    above = LAYERS[: LAYERS.index(name)] + LATER.get(name, [])
    assert sorted(imports_of(name) - set(above)) == []


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_knows_no_clock_no_disk_no_loop_and_no_thread(name: str):
    assert sorted(other for other in others_of(name) & IMPURE if (name, other) not in EXEMPT) == []


@pytest.mark.parametrize("name", CORE)
def test_nothing_of_azarr_is_imported_inside_a_function(name: str):
    functions = [node for node in ast.walk(parsed(CORE[name])) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = [node for function in functions for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in inside] == []


@pytest.mark.parametrize("name", MODULES)
def test_no_file_is_above_400_lines(name: str):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_core_is_not_above_its_ceiling():
    lines = {name: sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line.strip()) for name, path in CORE.items()}
    del lines["_platform.pyodide"]  # of the platforms, one is loaded
    assert sum(lines.values()) <= MOST_CORE_LINES, sorted(lines.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("name", MODULES)
def test_every_module_opens_with_its_rules(name: str):
    text = ast.get_docstring(parsed(MODULES[name]))
    assert text
    assert len(text.splitlines()[0]) > 20


def test_azarr_exports_these_names():
    assert sorted(azarr.__all__) == [
        "Array",
        "Block",
        "Cached",
        "Context",
        "Counters",
        "Event",
        "Group",
        "Limits",
        "Plan",
        "Ref",
        "Report",
        "Retries",
        "Selection",
        "__version__",
        "consolidate",
        "copy",
        "create_array",
        "create_group",
        "delete",
        "errors",
        "load",
        "open",
        "open_array",
        "open_consolidated",
        "open_group",
        "progress",
        "read_many",
        "save",
        "stores",
        "verify",
    ]
    assert all(hasattr(azarr, name) for name in azarr.__all__)


def test_stores_exports_these_names():
    assert sorted(azarr.stores.__all__) == [
        "BlockingStore",
        "BucketStore",
        "ByteRange",
        "Cleaning",
        "ConditionalStore",
        "FsspecStore",
        "HTTPStore",
        "Holding",
        "Listing",
        "LocalStore",
        "MemoryStore",
        "OPFSStore",
        "ObjectStore",
        "PinningStore",
        "ReferenceStore",
        "Store",
        "Value",
        "WritableStore",
        "ZipStore",
        "store_from",
    ]
    assert all(hasattr(azarr.stores, name) for name in azarr.stores.__all__)


def lines_with(pattern: str, names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        for number, line in enumerate(MODULES[name].read_text(encoding="utf-8").splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def test_platforms_and_threads_are_named_in_platform_alone():
    words = r"sys\.platform|emscripten|pyodide|\bimport js\b|\bfrom js\b|PoolExecutor|threading\.Thread|to_thread|run_in_executor"
    assert lines_with(words, [name for name in CORE if not name.startswith("_platform")]) == []
    assert lines_with(words, ["_platform.cpython"])  # where the words do occur


def signatures(name: str) -> dict[str, str]:
    """The public functions of a module, with what they take and give."""
    functions = [node for node in parsed(MODULES[name]).body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    made = {node.name: f"{type(node).__name__} {ast.unparse(node.args)} {node.returns and ast.unparse(node.returns)}" for node in functions}
    return {name: text for name, text in made.items() if not name.startswith("_")}


def test_platforms_offer_the_same():
    assert signatures("_platform.cpython") == signatures("_platform.pyodide")
    assert sorted(signatures("_platform.cpython")) == sorted(azarr._platform.__all__)


def test_tasks_are_made_in_the_engine_alone():  # and below it, where each platform has its way to make them
    words = r"create_task|ensure_future|TaskGroup|asyncio\.(gather|run\(|wait_for|as_completed|Task\()|anyio|run_until_complete"
    assert lines_with(words, [name for name in CORE if not name.startswith(("_engine", "_platform"))]) == []


def test_no_pickle_anywhere():
    assert [name for name in MODULES if others_of(name) & {"pickle", "shelve", "dill", "cloudpickle"}] == []
    assert lines_with(r"\b(eval|exec)\(", list(CORE)) == []
    assert lines_with(r"marshal\.(?!dumps\()|from marshal", list(MODULES)) == []  # as a key it is fine; what it holds is not to be trusted


def test_what_needs_cpython_is_there():
    """An entry that nothing goes by would hide, one day, a test of that name."""
    for entry in cpython.NEEDS:
        path, _, name = entry.partition("[")[0].partition("::")
        assert (PROJECT / "tests" / path).exists(), entry
        assert not name or name.startswith("*") or f"def {name}(" in (PROJECT / "tests" / path).read_text(encoding="utf-8"), entry


def test_nothing_is_left_open():
    words = "TO-DO FIX-ME XX-X HA-CK".replace("-", "").replace(" ", "|")
    marks = re.compile(rf"\b({words})\b|pytest\.(skip|xfail|importorskip)\(|mark\.(skip|skipif|xfail)\b")
    folders = [PROJECT / name for name in ("src", "tests", "docs", "bench")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".md")]
    left = [f"{path.relative_to(PROJECT)}: {found[0]}" for path in files if (found := marks.search(path.read_text(encoding="utf-8")))]
    assert left == []


LOADED = """\
import sys, numpy, asyncio
before = set(sys.modules)
import azarr
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_import_loads_nothing_beyond_numpy_and_the_standard_library():
    done = subprocess.run([sys.executable, "-W", "error", "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "azarr" in loaded
    assert loaded - {"azarr", "numpy"} <= sys.stdlib_module_names, sorted(loaded - sys.stdlib_module_names)


CODECS = """\
import sys, azarr
print(*sorted(name for name in sys.modules if name.startswith("azarr.codecs.")))
"""


def test_codecs_are_imported_at_first_use():
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODECS], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("azarr.codecs.") for name in done.stdout.split()}
    assert loaded.isdisjoint({"streams", "blosc", "native", "crc32c", "vlen", "scale_offset"})
