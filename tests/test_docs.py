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
from otr.__main__ import modules
from otr.config.reading import YamlLoader
from otr.data import subsample
from otr.data.sources import Folders
from otr.evaluation import problems
from otr.files import read_json, read_jsonl, write_jsonl
from otr.launch import preflight

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
    for command in re.findall(r"`((?:otr|python -m otr[\w.]*|snakemake) [^`<]*--[^`<]*)`", page.read_text())
]


@pytest.mark.parametrize(("where", "text"), blocks("yaml"), ids=lambda value: value if len(value) < 30 else "")
def test_a_block_of_yaml_is_a_part_of_an_experiment(where: str, text: str, tmp_path: Path) -> None:
    """With the blocks before it on its page, which may define what it names."""
    whole = yaml.load((ROOT / MICRO).read_text(), YamlLoader)
    for earlier, block in blocks("yaml"):
        part = yaml.load(block, YamlLoader)
        assert set(part) <= set(config.Experiment.model_fields), earlier
        if earlier.partition("-")[0] == where.partition("-")[0]:
            for key, value in part.items():
                whole[key] = whole[key] | value
        if earlier == where:
            break
    (tmp_path / "micro.yaml").write_text(yaml.safe_dump(whole))
    loaded = config.load(tmp_path / "micro.yaml")
    for key, value in yaml.load(text, YamlLoader).items():
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
    if words[0] in ("rsync", "tar"):
        return
    if words[0] == "snakemake":
        command: tuple[str, ...] = ("snakemake",)
    elif words[0] == "otr":
        assert words[1] in modules(), line
        # A subcommand such as `otr table audit` has a help of its own.
        command = ("otr", *[word for word in words[1:3] if re.fullmatch(r"[a-z0-9-]+", word) and word[0] != "-"])
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


ROWS = [
    {"question": f"What is {n} + 7?", "answer": f"{n} + 7 = {n + 7}. It is \\boxed{{{n + 7}}}."} for n in range(200)
]
PROBLEMS = [{"question": f"What is {n} + 4?", "answer": str(n + 4)} for n in range(5)]
QUIZ = [{"question": "Which is even?", "choices": ["3", "4"], "letter": "B"}]


@pytest.mark.slow
def test_the_blocks_work_as_they_stand_on_ordinary_rows(tmp_path: Path, tiny_checkpoint: Path) -> None:
    """All blocks of extending.md in one experiment, with 200 rows such as the page shows."""
    whole = yaml.load((ROOT / MICRO).read_text(), YamlLoader)
    for where, text in blocks("yaml"):
        if where.startswith("extending.md"):
            for key, value in yaml.load(text, YamlLoader).items():
                whole[key] = whole[key] | value
    file = tmp_path / "micro.yaml"
    file.write_text(yaml.safe_dump(whole))
    data = tmp_path / "data"
    for name, rows in (("my-rows", ROWS), ("my-problems", PROBLEMS), ("my-quiz", QUIZ)):
        write_jsonl(data / f"{name}.jsonl", rows)
    preflight.check_local_sources(config.load(file), "micro.yaml", Folders(data, tmp_path / "generated"))
    own = ["--experiment", str(file), "--data", str(data), "--out"]
    subsample.main([*own, str(tmp_path / "mine"), "--dataset", "mine", "--tokenizer", str(tiny_checkpoint)])
    assert read_json(tmp_path / "mine" / "summary.json")["examples"] == 150
    for name, count in (("my-problems", 5), ("my-quiz", 1)):
        problems.main([*own, str(tmp_path / name), "--benchmark", name])
        assert len(list(read_jsonl(tmp_path / name / "problems.jsonl"))) == count


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "docs" / "README.md").read_text()
    linked = set(re.findall(r"\]\(([\w.]+\.md)\)", contents))
    assert linked == {page.name for page in PAGES} - {"README.md"}


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
