"""The paper's experiment from hub to Tables 1-5, at toy size: everything but sizes is as shipped.

    python tests/rehearsal/run.py                 the short form: one model, the main methods, all tables
    python tests/rehearsal/run.py --full          all models and methods

A hub on loopback (hub.py) serves invented rows and random models under the real names and revisions (repositories.py).
paper.yaml is taken as it is but for the numbers of SIZES, and in the short form fewer rows of tables (SHORT). First
everything is made from an empty cache; then, with the hub gone and HF_HUB_OFFLINE=1, what comes from the hub is made
again in another checkout and compared byte for byte. Prints what it made and how long it took; ends with an error
status when anything is missing.
"""

import argparse
import csv
import filecmp
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from checkouts import Checkout, copy_of_tree  # noqa: E402
from rehearsal.hub import Hub, client_environment  # noqa: E402
from rehearsal.repositories import SOLUTIONS, evalplus, make  # noqa: E402

from otr import config  # noqa: E402

PAPER = "workflow/experiments/paper.yaml"
Changes = dict[str, Any]
"""Dotted key -> value."""

SIZES: Changes = {
    "context": 4096,  # tokens of the toy models' tokenizer are bytes
    "datasets.openr1.size": 64,
    "datasets.openr1.lengths.maximum": 512,
    "datasets.numina.size": SOLUTIONS,
    "training.batch_size": 16,
    "training.max_length": 768,
    "protocols.base.max_tokens": 8,
    "protocols.tuned.max_tokens": 8,
    **{f"methods.{run}.training.batch_size": 32 for run in ("sft-numina", "otr-numina")},
    **{f"methods.{run}.training.max_length": 768 for run in ("sft-numina", "otr-numina")},
    **{f"benchmarks.{name}.samples": 1 for name in ("gsm8k", "math500", "olympiadbench", "minerva")},
    **{f"benchmarks.{name}.samples": 2 for name in ("aime24", "aime25", "amc23", "humanevalplus", "mbppplus")},
}
SHORT: Changes = {
    **{f"tables.{table}.models": ["qwen2.5-3b"] for table in ("table1", "table2", "table3", "table4", "table5")},
    **{f"tables.{table}.rows": ["sft", "otr"] for table in ("table3", "table4")},
    "figure2.a": {"model": "qwen2.5-3b", "runs": ["sft", "otr"]},
    "figure2.b.models": ["qwen2.5-3b"],
}


def changed(file: Path, changes: Changes) -> str:
    """An experiment with other values at these keys, each of which must be there; as JSON, which is YAML too."""
    content = config.load(file).model_dump(mode="json", exclude_unset=True)
    for key, value in changes.items():
        inside, *way = content, *key.split(".")
        for name in way[:-1]:
            inside = inside[name]
        if way[-1] not in inside:
            raise KeyError(key)
        inside[way[-1]] = value
    return json.dumps(content, indent=1)


class Rehearsal:
    def __init__(self, folder: Path, changes: Changes, engine: str, cores: int) -> None:
        self.folder, self.changes, self.engine, self.cores = folder, changes, engine, cores

    def run(self) -> None:
        first, second = self._checkout("online"), self._checkout("offline")
        make(self.folder / "hub", config.load(first.folder / PAPER))
        cache, rows = self.folder / "cache", evalplus(self.folder)
        with Hub(self.folder / "hub") as hub:
            self._snakemake(first, client_environment(hub.address, cache) | rows)
        check(first.folder / "results", config.load(first.folder / PAPER))
        offline = client_environment(hub.address, cache, offline=True) | rows
        self._snakemake(second, offline, "--until", "overlap", "ready")
        compare(first.folder / "results/paper", second.folder / "results/paper")

    def _checkout(self, name: str) -> Checkout:
        checkout = copy_of_tree(self.folder / name)
        file = checkout.folder / PAPER
        file.write_text(changed(file, self.changes))
        return checkout

    def _snakemake(self, checkout: Checkout, environment: dict[str, str], *arguments: str) -> None:
        command = [sys.executable, "-m", "snakemake", "--cores", str(self.cores), *arguments]
        command += ["--config", "experiment=paper", f"engine={self.engine}"]
        started = time.monotonic()
        subprocess.run(command, cwd=checkout.folder, env=environment, check=True)
        print(f"{checkout.folder.name}: {time.monotonic() - started:.0f} s", flush=True)


def check(results: Path, experiment: config.Experiment) -> None:
    """Every cell of every table has a score, and whatever a reader opens is there."""
    for name in experiment.tables:
        with (results / "paper" / "tables" / f"{name}.csv").open() as file:
            empty = [row for row in csv.DictReader(file) if not row["value"]]
        if empty:
            raise SystemExit(f"{name}: no score in {empty}")
    with (results / "paper" / "tables" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    compared = [row for row in rows if row["published"]]
    print(f"{len(rows)} cells of ours, {len(compared)} beside published ones")
    names = [*(f"{table}.md" for table in experiment.tables), "comparison.md", "figure2.png", "report.html"]
    missing = [name for name in names if not (results / name).is_file()]
    if missing or not compared:
        raise SystemExit(f"not made: {', '.join(missing) or 'a comparison'}")


def compare(online: Path, offline: Path) -> None:
    """What comes from the hub is the same from its cache."""
    names = [
        str(file.relative_to(offline))
        for pattern in ("data/*/train.parquet", "problems/*/*.jsonl", "train/*/base/checkpoint/*.safetensors")
        for file in offline.glob(pattern)
    ]
    _, different, missing = filecmp.cmpfiles(online, offline, names, shallow=False)
    if different or missing or not names:
        raise SystemExit(f"not the same offline: {[*different, *missing]}")
    print(f"{len(names)} files are the same offline")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all models and methods")
    parser.add_argument("--engine", default="auto", help="auto (vLLM where it is installed), vllm, transformers")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder to keep everything in (default: a temporary one)")
    options = parser.parse_args()
    changes = SIZES if options.full else SIZES | SHORT
    if options.out:
        Rehearsal(options.out.resolve(), changes, options.engine, options.cores).run()
    else:
        with tempfile.TemporaryDirectory() as folder:
            Rehearsal(Path(folder), changes, options.engine, options.cores).run()


if __name__ == "__main__":
    main()
