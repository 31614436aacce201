"""What the documents say can be done can be done: their commands, blocks of YAML, paths and links."""

import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from checkouts import MICRO, ROOT

from otr import config
from otr.config.reading import YamlLoader

PAGES = sorted((ROOT / "docs").glob("*.md"))
EVERY_PAGE = [*PAGES, *sorted(ROOT.glob("*.md")), ROOT / "results" / "README.md"]


def blocks(kind: str) -> list[tuple[str, str]]:
    """(page and number, text) of the fenced blocks of a kind, unindented."""
    found = []
    for page in PAGES:
        texts = re.findall(rf"^( *)```{kind}\n(.*?)^ *```$", page.read_text(), re.DOTALL | re.MULTILINE)
        for number, (indent, text) in enumerate(texts):
            found.append((f"{page.name}-{number}", re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)))
    return found


COMMANDS = [(where, line) for where, text in blocks("sh") for line in text.splitlines() if not line.startswith("#")]
INLINE = [
    (page.name, command)
    for page in PAGES
    for command in re.findall(r"`((?:python -m otr|snakemake)\S* [^`<]*--[^`<]*)`", page.read_text())
]


@pytest.mark.parametrize(("where", "text"), blocks("yaml"), ids=lambda value: value if len(value) < 30 else "")
def test_a_block_of_yaml_is_a_part_of_an_experiment(where: str, text: str, tmp_path: Path) -> None:
    whole = yaml.load((ROOT / MICRO).read_text(), YamlLoader)
    part = yaml.load(text, YamlLoader)
    assert set(part) <= set(config.Experiment.model_fields), where
    for key, value in part.items():
        whole[key] = whole[key] | value
    (tmp_path / "micro.yaml").write_text(yaml.safe_dump(whole))
    loaded = config.load(tmp_path / "micro.yaml")
    for key, value in part.items():
        assert set(value) <= set(getattr(loaded, key))


@cache
def help_of(*command: str) -> str:
    return subprocess.run([sys.executable, "-m", *command, "--help"], capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.parametrize(("where", "line"), COMMANDS + INLINE)
def test_a_command_exists_with_its_options(where: str, line: str) -> None:
    words = shlex.split(line)
    if words[:2] == ["sh", "envs/install.sh"]:
        script = (ROOT / "envs" / "install.sh").read_text()
        assert all(f"{word}" in script for word in words[2:]), line
        return
    if words[0] == "snakemake":
        command: tuple[str, ...] = ("snakemake",)
    else:
        assert words[:2] == ["python", "-m"] and find_spec(words[2]), line
        # A subcommand such as `otr.tables audit` has a help of its own.
        command = tuple(words[2:4] if len(words) > 3 and not words[3].startswith("-") else words[2:3])
    known = help_of(*command)
    for option in (word for word in words if re.match(r"--?[a-z]", word)):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known), f"{where}: {option} in {line}"
    named = re.findall(r"experiment=(\S+)", line) + re.findall(r"workflow/experiments/(\w+)\.yaml", line)
    assert all((config.EXPERIMENTS / f"{name}.yaml").exists() for name in named), line
    assert all((ROOT / path).exists() for path in re.findall(r"--profile (\S+)", line)), line


def test_there_are_commands_and_blocks_to_check() -> None:
    assert len(COMMANDS) >= 8 and len(blocks("yaml")) >= 5


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_links_and_paths_resolve(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert link.startswith("https://") or (page.parent / link).exists(), link
    for path in re.findall(r"`((?:otr|workflow|tests|envs|docs)/[\w./-]*\w)`", text):
        assert (ROOT / path).exists(), path


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()
