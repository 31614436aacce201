"""One command line for all stages."""

import subprocess
import sys
import tomllib
from importlib.util import find_spec

import pytest
from checkouts import ROOT

from otr.__main__ import modules


def otr(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "otr", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_list_names_every_stage() -> None:
    run = otr()
    assert run.returncode == 0
    assert all(f"  {name} " in run.stdout for name in modules())
    assert all(find_spec(module) for module in modules().values())


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert otr("--version").stdout == f"otr {project['version']}\n"


def test_every_stage_of_the_workflow_is_listed() -> None:
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    called = {word.strip("\"'") for line in rules.splitlines() for word in line.partition("python -m ")[2].split()[:1]}
    plain = {name for name in called if "{" not in name}
    assert "otr.train" in plain
    assert plain <= set(modules().values())


@pytest.mark.parametrize("name", modules())
def test_help_explains_every_option(name: str) -> None:
    run = otr(name, "--help")
    assert run.returncode == 0, run.stderr
    options = run.stdout.partition("options:\n")[2].splitlines()
    assert options
    for line, following in zip(options, [*options[1:], ""], strict=True):
        words = line.split("  ")
        if line.startswith("  -"):
            explained = len([word for word in words if word.strip()]) > 1 or following.startswith(" " * 10)
            assert explained, f"{name}: {line.strip()} has no help"


def test_a_stage_that_is_none_is_a_users_error() -> None:
    run = otr("tarin")
    assert run.returncode == 2
    assert run.stderr.startswith("error: 'tarin' is not a stage; allowed: generate, ")


def test_a_stages_own_status_comes_through() -> None:
    assert otr("train").returncode == 2
    run = otr("report", "--experiment", "nowhere.yaml", "--out", "x.html")
    assert run.returncode == 2
    assert run.stderr == "error: nowhere.yaml: no such file\n"


def test_a_default_is_told_once() -> None:
    help_text = " ".join(otr("subset", "--help").stdout.split())
    assert "folder of relative `path` sources (default: data)" in help_text
    assert help_text.count("default: data") == 1
    assert "folder of the generator's files (default: generated)" in help_text
