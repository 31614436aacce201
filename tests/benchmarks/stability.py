"""Whether the default experiment says the same from other bases: what another machine, another number of threads and
another pre-training seed would change.

    python tests/benchmarks/stability.py --folder /tmp/stability

Runs the default experiment, whole and through Snakemake, with five base models instead of one, each pre-trained anew:

    reference       as shipped
    rounding        initial weights times 1 + normal(0, 1e-6): what other rounding leads to, as another processor does
    one-thread      pre-trained with another number of threads
    seed-1, seed-2  other initial weights; --bases takes seed-3 and so on as well

Out: a table of OTR - SFT with its standard error (paired, over problems and training seeds) and of every method's
average, a line a base; then how far averages and columns moved from the reference's, and whether the signs agree.
Started again, it goes on. --bases takes only some, --training-seeds 1 makes a third of the trainings.

Another processor's code path is a matter of the environment, with a folder of its own:

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python tests/benchmarks/stability.py --folder F --bases reference
"""

import argparse
import itertools
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from otr import config  # noqa: E402
from otr.config.reading import YamlLoader  # noqa: E402
from otr.files import read_jsonl  # noqa: E402

BASES: dict[str, dict[str, Any]] = {
    "reference": {},
    "rounding": {"initial_noise": 1e-6},
    "one-thread": {"threads": 1},
    "seed-1": {"seed": 1},
    "seed-2": {"seed": 2},
}
SEED = re.compile(r"seed-[1-9][0-9]?")
TABLES = ("table1", "table2", "table5")
CLAIMS = (("sft", "otr", "table1"), ("sft", "otr", "table2"), ("sft-clean", "otr-clean", "table5"))
Accuracies = dict[str, list[float]]
"""By benchmark, the accuracy in percent of each problem, mean over samples and training seeds."""


def changes(base: str) -> dict[str, Any]:
    """What a base changes of the settings that are shipped."""
    return BASES[base] if base in BASES else {"seed": int(base.removeprefix("seed-"))}


def experiment(bases: list[str], training_seeds: int | None, folder: Path) -> config.Experiment:
    """The default experiment with these bases, written to a copy of the checkout's experiments."""
    whole = yaml.load((ROOT / "workflow/experiments/micro.yaml").read_text(), YamlLoader)
    [(name, shipped)] = whole["models"].items()
    whole |= {
        "name": "stability",
        "models": {base: {"label": base, "pretrain": shipped["pretrain"] | changes(base)} for base in bases},
        "tables": {name: whole["tables"][name] | {"models": bases} for name in TABLES},
        "figure2": None,
        "training_seeds": training_seeds or whole["training_seeds"],
    }
    for dataset in whole["datasets"].values():
        dataset["tokenizer"] = bases[0]  # documents, and so tokenizers, are the same
    used = {row for table in whole["tables"].values() for row in table["rows"]}
    whole["methods"] = {key: method for key, method in whole["methods"].items() if key in used}
    file = folder / "workflow/experiments/stability.yaml"
    file.write_text(yaml.safe_dump(whole, sort_keys=False))
    return config.load(file)


def checkout(folder: Path) -> None:
    """A copy of this checkout to run in; results of an earlier call stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("otr", "workflow", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)


def accuracies(results: Path, made: config.Experiment, model: str, row: str, benchmarks: Iterable[str]) -> Accuracies:
    found: Accuracies = {}
    for benchmark in benchmarks:
        by_problem: dict[str, list[float]] = {}
        for run in made.runs(row):
            for verdict in read_jsonl(results / made.name / "eval" / model / run / benchmark / "verdicts.jsonl.gz"):
                by_problem.setdefault(verdict["problem"], []).append(100.0 * verdict["correct"])
        found[benchmark] = [statistics.fmean(values) for _, values in sorted(by_problem.items())]
    return found


def average(found: Accuracies) -> float:
    return statistics.fmean(statistics.fmean(values) for values in found.values())


def difference(one: Accuracies, other: Accuracies) -> tuple[float, float]:
    """other - one, averaged over benchmarks, with its standard error over problems, paired."""
    pairs = {name: [y - x for x, y in zip(one[name], other[name], strict=True)] for name in one}
    variance = sum(statistics.variance(values) / len(values) for values in pairs.values()) / len(pairs) ** 2
    return average(other) - average(one), variance**0.5


def report(results: Path, made: config.Experiment) -> str:
    bases, lines = list(made.models), []
    cells = {
        (base, row, table): accuracies(results, made, base, row, made.tables[table].benchmarks)
        for base, table in itertools.product(bases, TABLES)
        for row in made.tables[table].rows
    }
    rows = list(dict.fromkeys((row, table) for _, row, table in cells))
    lines.append("| base | " + " | ".join(f"{other} - {one}, {table}" for one, other, table in CLAIMS) + " |")
    lines.append("|---|" + "---:|" * len(CLAIMS))
    signs: dict[str, set[str]] = {}
    for base in bases:
        shown = []
        for one, other, table in CLAIMS:
            value, error = difference(cells[base, one, table], cells[base, other, table])
            signs.setdefault(table, set()).add("tie" if abs(value) <= 1.96 * error else "+" if value > 0 else "-")
            shown.append(f"{value:+.2f} ± {error:.2f}")
        lines.append(f"| {base} | " + " | ".join(shown) + " |")
    lines += ["", "| base | " + " | ".join(f"{row}, {table}" for row, table in rows) + " |"]
    lines.append("|---|" + "---:|" * len(rows))
    for base in bases:
        lines.append(f"| {base} | " + " | ".join(f"{average(cells[base, *key]):.1f}" for key in rows) + " |")
    moved = [abs(average(cells[base, *key]) - average(cells[bases[0], *key])) for base in bases for key in rows]
    columns = {
        (base, *key, name): abs(statistics.fmean(values) - statistics.fmean(cells[bases[0], *key][name]))
        for base in bases
        for key in rows
        for name, values in cells[base, *key].items()
    }
    farthest = max(columns, key=lambda place: columns[place])
    lines += ["", f"Averages moved by at most {max(moved):.1f} points from {bases[0]}'s (aim: 4)."]
    lines.append(f"Columns by at most {columns[farthest]:.1f} ({', '.join(farthest)}; aim: 10).")
    lines += [
        f"{table}: {' and '.join(sorted(found))} (tie: zero within the 95 % interval)" for table, found in signs.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the copy of the checkout and its results go")
    parser.add_argument("--bases", nargs="+", default=list(BASES), help="seed-N, or of: " + ", ".join(BASES))
    parser.add_argument("--training-seeds", type=int, help="default: the experiment's")
    parser.add_argument("--cores", default="all")
    options = parser.parse_args()
    if unknown := [base for base in options.bases if base not in BASES and not SEED.fullmatch(base)]:
        parser.error(f"unknown bases: {', '.join(unknown)}")
    checkout(options.folder)
    made = experiment(options.bases, options.training_seeds, options.folder)
    targets = [f"results/{table}.md" for table in TABLES]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        options.cores,
        *targets,
        "--config",
        "experiment=stability",
    ]
    subprocess.run(command, cwd=options.folder, check=True)
    print(report(options.folder / "results", made))


if __name__ == "__main__":
    main()
