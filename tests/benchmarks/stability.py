"""Whether the default experiment says the same from other bases: what another machine, another number of threads and
another pre-training seed would change.

    python tests/benchmarks/stability.py --folder /tmp/stability

Runs the default experiment, whole and through Snakemake, with five base models instead of one, each pre-trained anew:

    reference       as shipped
    rounding        initial weights times 1 + normal(0, 1e-6): what other rounding leads to, as another processor does
    one-thread      pre-trained with another number of threads
    seed-1, seed-2  other initial weights; --bases takes seed-3 and so on as well

Out: a table of OTR - SFT with half of its 95 % interval (otr.tables.paired) and one of every method's averages, a line
a base; then how far averages and columns moved from the first base's, and whether the signs agree.
Started again, it goes on. --bases takes only some, --training-seeds 1 makes a third of the trainings.

Another processor's code path is a matter of the environment, with a folder of its own:

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python tests/benchmarks/stability.py --folder F --bases reference
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from otr import config  # noqa: E402
from otr.config.reading import YamlLoader  # noqa: E402
from otr.tables.accuracies import Training, read_trainings  # noqa: E402
from otr.tables.paired import compare  # noqa: E402

BASES: dict[str, dict[str, Any]] = {
    "reference": {},
    "rounding": {"initial_noise": 1e-6},
    "one-thread": {"threads": 1},
    "seed-1": {"seed": 1},
    "seed-2": {"seed": 2},
}
SEED = re.compile(r"seed-[1-9][0-9]?")
TABLES = ("table1", "table2", "table5")
METHODS = {"table1": ("sft", "otr"), "table2": ("sft", "otr"), "table5": ("sft-clean", "otr-clean")}


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


def average(trainings: list[Training]) -> float:
    """The mean over benchmarks of their columns."""
    return statistics.fmean(column(trainings, name) for name in trainings[0])


def column(trainings: list[Training], benchmark: str) -> float:
    """The mean over trainings and problems."""
    return statistics.fmean(statistics.fmean(training[benchmark].values()) for training in trainings)


def report(results: Path, made: config.Experiment) -> str:
    bases, groups = list(made.models), {}
    found: dict[tuple[str, str, str], list[Training]] = {}
    for table in TABLES:
        layout = made.tables[table]
        read = read_trainings(results, made.name, layout, made.runs)
        for group in layout.columns:
            title = f"{group.group}, {table}"
            groups[title] = METHODS[table]
            found |= {(base, row, title): read[base, row, group.benchmarks] for base in bases for row in layout.rows}

    signs: dict[str, set[str]] = {}
    differences = []
    for base in bases:
        differences.append([base])
        for title, (one, other) in groups.items():
            paired = compare(found[base, other, title], found[base, one, title])
            assert paired is not None and paired.half is not None
            sign = "+" if paired.difference > 0 else "-"
            signs.setdefault(title, set()).add(sign if paired.is_told_apart else "tie")
            differences[-1].append(f"{paired.difference:+.1f} ± {paired.half:.1f}")
    rows = list(dict.fromkeys((row, title) for _, row, title in found))
    averages = {key: average(trainings) for key, trainings in found.items()}
    columns = {(*key, name): column(trainings, name) for key, trainings in found.items() for name in trainings[0]}
    return "\n\n".join(
        [
            aligned(["OTR - SFT", *groups], differences),
            aligned(
                ["base", *(f"{row}, {title}" for row, title in rows)],
                [[base, *(f"{averages[base, *key]:.1f}" for key in rows)] for base in bases],
            ),
            farthest("averages", averages, bases[0], 4),
            farthest("columns", columns, bases[0], 10),
            *(f"{title}: {' and '.join(sorted(seen))} (tie: zero is within)" for title, seen in signs.items()),
        ]
    )


def aligned(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def farthest(what: str, values: dict[Any, float], reference: str, aim: int) -> str:
    """How far values, by base and place, moved from the reference's, and which are past the aim."""
    moves = {(base, *place): abs(value - values[reference, *place]) for (base, *place), value in values.items()}
    moves = {place: moved for place, moved in moves.items() if place[0] != reference}
    text = f"{len(moves)} {what} moved from {reference}'s by at most {max(moves.values(), default=0):.1f} (aim: {aim})"
    past = sorted(((moved, ", ".join(place)) for place, moved in moves.items() if moved > aim), reverse=True)
    named = "; ".join(f"{moved:.1f} {place}" for moved, place in past)
    return f"{text}; {len(past)} by more: {named}" if past else text


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
