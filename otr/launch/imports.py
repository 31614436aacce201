"""Which files decide what a stage writes: its modules and all that they import, found by reading them.

    files("otr.evaluation.math")     otr/evaluation/math/__main__.py, .../gold.py, ..., otr/evaluation/shares.py

Nothing is imported for it. An import counts wherever it stands, in a function too, and so does a module whose name
stands in a string ("-m", "otr.evaluation.math.equality"), for that is how another process is started. What is only
imported for type checking does not count. Files beside a module that are no Python (a template, a table of published
numbers) count with it.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("otr.command", "otr.config", "otr.errors", "otr.files", "otr.machine", "otr.results")
"""Rooms that decide no number: the command line, messages, where files lie, how they are written and checked, what the
machine is. The settings' values decide much, and they reach a rule as its parameters, so the code that reads them need
not."""
_NAMED = re.compile(r"\b(otr(?:\.\w+)+)(?: import (\w+))?")


def files(*modules: str) -> list[Path]:
    """The files of these modules (of a package: what `python -m` runs of it) and of all that they import, sorted."""
    waiting = [f"{name}.__main__" if _file(f"{name}.__main__") else name for name in modules]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found and not _is_shared(name):
            found.add(name)
            waiting += _imports(name)
    paths = [path for name in found if (path := _file(name)) is not None]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    beside = {file for path in paths for file in _beside(path)}
    # The room of resources serves all stages: of its files those count that a module names.
    own = {file for file in beside if file.parent.name != "resources" or any(file.name in text for text in texts)}
    return sorted({*paths, *own})


def _is_shared(name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in SHARED)


def _file(name: str) -> Path | None:
    """The file of a module, or of a package's __init__; None where there is no such module."""
    path = ROOT / name.replace(".", "/")
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _beside(path: Path) -> list[Path]:
    others = (file for file in path.parent.iterdir() if file.is_file() and file.suffix not in (".py", ".pyc", ".typed"))
    return [file for file in others if not file.name.startswith(".")]


@cache
def _imports(name: str) -> tuple[str, ...]:
    """The modules of this project that a module names."""
    path = _file(name)
    if path is None:
        return ()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(dict.fromkeys(module for node in _nodes(tree) for module in _named(node, package)))


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but docstrings and what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _nodes(node)


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "otr")
    elif isinstance(node, ast.ImportFrom):
        above = package.rsplit(".", node.level - 1)[0] if node.level else ""
        source = ".".join(filter(None, [above, node.module]))
        if source.split(".")[0] == "otr":
            yield from (_module(source, alias.name) for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        for source, name in _NAMED.findall(node.value):
            if _file(source):
                yield _module(source, name) if name else _run(source)


def _module(source: str, name: str) -> str:
    """`from source import name`: the submodule of that name, or the module that defines it."""
    return f"{source}.{name}" if _file(f"{source}.{name}") else source


def _run(module: str) -> str:
    """What `python -m module` runs."""
    return f"{module}.__main__" if _file(f"{module}.__main__") else module
