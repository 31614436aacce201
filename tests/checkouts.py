"""Copies of this checkout that a test may run Snakemake in and change."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MICRO = "workflow/experiments/micro.yaml"


@dataclass(frozen=True)
class Checkout:
    """A copy of the tracked tree, without results, that a test may change."""

    folder: Path

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=1800)

    def planned(self, *arguments: str) -> dict[str, int]:
        """The jobs of a dry run by rule; an empty dict when there is nothing to do."""
        run = self.snakemake("--dry-run", *arguments)
        output = run.stdout + run.stderr
        assert run.returncode == 0, output
        return counted(output)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) >= 1, f"{file} does not contain {old!r}"
        path.write_text(text.replace(old, new, 1))


def counted(output: str) -> dict[str, int]:
    """The jobs by rule of a dry run's output; an empty dict when there was nothing to do."""
    table = re.search(r"Job stats:\njob +count\n-+ +-+\n(.*?)\ntotal", output, re.DOTALL)
    assert table or "Nothing to be done" in output, output
    return {line.split()[0]: int(line.split()[1]) for line in table[1].splitlines()} if table else {}


def reduced(micro: str) -> str:
    """The default experiment's file with less of everything: a training seed, few steps, few rows, Tables 1 and 2."""
    text = re.sub(r"steps: \d+", "steps: 40", micro).replace("training_seeds: 3", "training_seeds: 1")
    text = re.sub(r"^    size: \d+", "    size: 96", text, flags=re.MULTILINE)
    text = re.sub(r"^    samples: \d+$", "    samples: 2\n    limit: 6", text, flags=re.MULTILINE)
    cuts = {"  otr-beta-1.0:": "\nprotocols:", "  clean:": "\ntraining:", "  table3:": "\nfigure2:"}
    for first, after in cuts.items():
        text = text[: text.index(first)] + text[text.index(after) :]
    return re.sub(r"runs: \[sft, otr-beta[^]]*\]", "runs: [sft, otr]", text)


def copy_of_tree(folder: Path) -> Checkout:
    folder.mkdir(parents=True)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("otr", "workflow", "envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return Checkout(folder)
