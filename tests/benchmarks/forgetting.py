"""How much each objective forgets for what it learns, by learning rate, on a finished `methods` experiment.

    snakemake --cores all results/table1.md results/methods/tables/rates.md --config experiment=methods
    python tests/benchmarks/forgetting.py --results results --out docs/images/forgetting.png

Prints, for each objective and learning rate, the averages in and out of domain, and the KL divergence of the base model
from the tuned one, nats a token, on answers that are not mathematics (the experiment's own documents in chat form):
KL(base || tuned), the mean over training seeds, ± its standard error if there are several. Draws in domain against out
of domain, with the same errors.
"""

import argparse
import itertools
import statistics
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from otr import config  # noqa: E402
from otr.data.micro import mathematics  # noqa: E402
from otr.files import read_json, read_jsonl  # noqa: E402

OBJECTIVES = ("sft", "dft", "otr", "expected-otr")
RATES = ("1e-4", "2e-4", "6e-4", "2e-3")
Point = tuple[list[float], list[float]]
"""Out of domain and in domain, a value a training seed."""
IN_DOMAIN, OUT_OF_DOMAIN = ("Mathematics",), ("Code", "General reasoning")
DOCUMENTS = 200


def run_name(objective: str, rate: str) -> str:
    return objective if rate == "2e-4" else f"{objective}-{rate}"


def texts(results: Path) -> list[list[tuple[str, float]]]:
    """Chat documents of other skills than those tuned on, as segments with loss weights."""
    rows = read_jsonl(results / "methods/generated/documents.jsonl.gz")
    others = (row for row in rows if row["form"] == "chat" and row["skill"] not in mathematics.SKILLS)
    return [row["segments"] for row in itertools.islice(others, DOCUMENTS)]


@torch.inference_mode()
def log_probabilities(checkpoint: Path, documents: list[list[tuple[str, float]]]) -> list[torch.Tensor]:
    """Of each document, [answer tokens, vocabulary]."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    found = []
    for (prompt, _), (answer, _) in documents:
        ids = [tokenizer(text, add_special_tokens=False).input_ids for text in (prompt, answer)]
        logits = model(torch.tensor([ids[0] + ids[1]])).logits[0]
        found.append(logits[len(ids[0]) - 1 : -1].log_softmax(-1))
    return found


def divergence(base: list[torch.Tensor], tuned: list[torch.Tensor]) -> float:
    """KL(base || tuned), nats, mean over all answer tokens."""
    return float(torch.cat([(p.exp() * (p - q)).sum(-1) for p, q in zip(base, tuned, strict=True)]).mean())


def score(results: Path, run: str, benchmarks: list[str]) -> float:
    folder = results / "methods/eval/small" / run
    return statistics.fmean(read_json(folder / name / "score.json")["score"] for name in benchmarks)


def error(values: list[float]) -> float:
    """Standard error of the mean; 0 for one value, which tells nothing about it."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def shown(values: list[float], digits: int) -> str:
    """The mean ± its standard error."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {error(values):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, help="the figure's file")
    options = parser.parse_args()
    made = config.load(config.experiment_file("methods"))
    groups = {group.group: list(group.benchmarks) for group in made.tables["rates"].columns}
    inside, outside = ([name for group in part for name in groups[group]] for part in (IN_DOMAIN, OUT_OF_DOMAIN))
    documents = texts(options.results)
    base = log_probabilities(options.results / "methods/train/small/base/checkpoint", documents)
    points: dict[str, list[Point]] = {}
    print("| objective | learning rate | in domain | out of domain | KL(base ‖ tuned) |\n|---|---|---:|---:|---:|")
    for objective, rate in itertools.product(OBJECTIVES, RATES):
        runs = made.runs(run_name(objective, rate))
        folders = [options.results / "methods/train/small" / run / "checkpoint" for run in runs]
        learnt, kept = ([score(options.results, run, names) for run in runs] for names in (inside, outside))
        kl = [divergence(base, log_probabilities(folder, documents)) for folder in folders]
        points.setdefault(objective, []).append((kept, learnt))
        print(f"| {objective} | {rate} | {shown(learnt, 1)} | {shown(kept, 1)} | {shown(kl, 4)} |", flush=True)
    if options.out:
        draw(points, score(options.results, "base-tuned", outside), options.out)


def draw(points: dict[str, list[Point]], before: float, out: Path) -> None:
    """Means with their standard errors over training seeds. before: what the base model has out of domain in the tuned
    protocol; in domain it is far below."""
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(6, 4), layout="constrained")).subplots()
    axes.axvline(before, color="0.6", linestyle="--", label="base model, out of domain")
    for objective, found in points.items():
        places = [(statistics.fmean(kept), statistics.fmean(learnt)) for kept, learnt in found]
        errors = [(error(kept), error(learnt)) for kept, learnt in found]
        (xs, ys), (x_errors, y_errors) = zip(*places, strict=True), zip(*errors, strict=True)
        axes.errorbar(xs, ys, xerr=x_errors, yerr=y_errors, marker="o", markersize=4, capsize=2, label=objective)
        for place, rate in zip(places, RATES, strict=True):
            # Where little is forgotten all weighted losses lie on each other: one of them carries their rates.
            if objective == "sft" or rate == RATES[-1] or (objective == "otr" and rate != RATES[1]):
                aside = (-26, -9) if objective == "sft" else (-4, 6)
                axes.annotate(rate, place, textcoords="offset points", xytext=aside, fontsize=7)
    axes.set(xlabel="out of domain (code and general), %", ylabel="in domain (mathematics), %")
    axes.margins(y=0.15)
    axes.legend(fontsize=8, loc="best")
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    main()
