"""Objectives that an experiment file brings along: a Python file beside it, which calls `otr.register(...)`.

    objectives: my_objectives.py        # in workflow/experiments/, beside the experiment file that names it

The file runs with the permissions of whoever runs the experiment, as soon as the experiment is read. Therefore it must
lie in the experiment file's own folder, where its owner put it: neither data nor a model folder can name code.
"""

import hashlib
import importlib.util
import re
from pathlib import Path

from otr.errors import UserError
from otr.loss.objective import FORMULAS

NAME = r"^[A-Za-z_][A-Za-z0-9_]*\.py$"
_read: dict[tuple[Path, str], None] = {}
_code: dict[str, str] = {}


def load(folder: Path, name: str, where: str) -> None:
    """Run folder/name once for each content of it. UserError: no such file there, or what went wrong in which line."""
    path = folder.resolve() / name
    if not re.fullmatch(NAME, name) or not path.is_file() or path.is_symlink():
        raise UserError(f"{where}: objectives: found {name!r}; a Python file in this file's own folder is needed")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if (path, digest) in _read:
        return
    before = set(FORMULAS)
    spec = importlib.util.spec_from_file_location(f"otr_objectives_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as error:  # whatever the user's code raises
        for added in set(FORMULAS) - before:
            del FORMULAS[added]
        raise UserError(f"{where}: objectives: {name}{_line(error, path)}: {type(error).__name__}: {error}") from error
    _read[path, digest] = None
    _code.update(dict.fromkeys(set(FORMULAS) - before, digest))


def code(objective: str) -> str | None:
    """SHA-256 of the file that an objective came from; None for those of the project."""
    return _code.get(objective)


def _line(error: BaseException, path: Path) -> str:
    """`:12` where the user's file failed."""
    found, trace = "", error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(path):
            found = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return found or (f":{error.lineno}" if isinstance(error, SyntaxError) else "")
