"""What Snakemake would do, read off its dry runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkouts import MICRO, ROOT, Checkout, copy_of_tree, counted

from otr.config import load
from otr.config.reading import YamlLoader


def test_table1_of_micro_is_a_base_and_two_methods_by_three_seeds(checkout: Checkout) -> None:
    found = checkout.planned("results/table1.md")
    assert found == {
        "generate": 1, "base": 1, "ready": 1, "problems": 12, "subset": 1, "train": 6, "sample_all": 8,
        "grade_math_all": 8, "table": 1, "selected_table": 1,
    }  # fmt: skip


def test_the_paper_resolves_and_says_what_its_jobs_need(checkout: Checkout) -> None:
    run = checkout.snakemake("--dry-run", "--config", "experiment=paper")
    assert run.returncode == 0, run.stderr
    output = run.stdout + run.stderr
    found = counted(output)
    assert found["base"] == 4
    # Shared runs are trained once: 4 models x (SFT, OTR), 2 x 3 further betas, 2 x 2 of appendix A, one for Figure 2.
    assert found["train"] == 4 * 2 + 2 * 3 + 2 * 2 + 1
    # All but Figure 2's are asked mathematics, and so is each base in both protocols; appendix A's are asked no more.
    assert found["sample_mathematics"] == found["train"] - 1 + 4 * 2
    assert found["sample_code"] == found["sample_general"] == found["sample_mathematics"] - 2 * 2
    assert found["table"] == 5 and found["figure2"] == found["comparison"] == found["audit"] == found["report"] == 1
    # Devices and memory are the settings' (3B takes 48 GB to train, 8B 144; two engines of 24 GB), times the plan's.
    (train,) = [line for line in output.splitlines() if re.match("train .*GPU", line)]
    (general,) = [line for line in output.splitlines() if re.match("sample_general .*GPU", line)]
    assert re.search(r"19 jobs +1-2 GPUs +4-8 cores +48-144 GB +[\d.]+-[\d.]+ h each, [\d.]+ GPU-hours$", train)
    assert re.search(r"22 jobs +2 GPUs +8 cores +32-48 GB +[\d.]+-[\d.]+ h each, [\d.]+ GPU-hours$", general)
    assert "context 32768: 24576 tokens for a prompt beside the longest completion of 8192" in output
    assert "openr1: 5000 examples, 625 from each of 8 intervals up to 8191 tokens; 156 steps of 64" in output


def test_only_what_a_table_names_is_built(checkout: Checkout) -> None:
    """Other benchmarks of the suite are neither read nor sampled."""
    kept = load(checkout.folder / MICRO).tables["table1"].columns[0].benchmarks[:2]
    content = yaml.load((checkout.folder / MICRO).read_text(), YamlLoader)
    content["tables"] = {"table1": content["tables"]["table1"]}
    content["tables"]["table1"]["columns"] = [{"group": "G", "benchmarks": list(kept), "average": "A"}]
    del content["figure2"]
    (checkout.folder / MICRO).write_text(yaml.safe_dump(content))
    assert checkout.planned("results/table1.md")["problems"] == 2


def test_a_variant_touches_nothing_of_the_original(checkout: Checkout) -> None:
    arguments = ("--config", "set=training.epochs=1 seed=3")
    assert checkout.planned("results/table1.md", *arguments) == checkout.planned("results/table1.md")
    summary = checkout.snakemake("--summary", "results/table1.md", *arguments).stdout
    outputs = [line.split("\t")[0] for line in summary.splitlines() if line.startswith("results/")]
    assert len(outputs) > 10
    folders = {output.split("/")[1] for output in outputs}
    assert folders == {"micro-training.epochs-1-seed-3", "table1.md"}


def test_an_unknown_table_is_one_line_with_those_there_are(checkout: Checkout) -> None:
    run = checkout.snakemake("--dry-run", "results/table9.md")
    assert run.returncode != 0
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: results/table9.md: micro has no such table; allowed: results/table1.md, ")


def test_two_experiments_share_no_file(checkout: Checkout, real_rows: Path) -> None:
    def outputs(*arguments: str) -> set[str]:
        summary = checkout.snakemake("--summary", "results/table1.md", *arguments)
        assert summary.returncode == 0, summary.stderr
        return {line.split("\t")[0] for line in summary.stdout.splitlines() if line.startswith("results/")}

    micro = outputs()
    qwen = outputs("--config", "experiment=qwen", f"data={real_rows}")
    assert micro & qwen == {"results/table1.md"}


def test_a_bad_row_is_reported_before_any_job(checkout: Checkout, real_rows: Path) -> None:
    data = checkout.folder / "data"
    data.mkdir()
    for file in real_rows.glob("*.jsonl"):
        (data / file.name).symlink_to(file)
    (data / "aime25.jsonl").unlink()
    row = json.dumps({"question": "What is 1 + 1?", "answer": "2"})
    (data / "aime25.jsonl").write_text(f"{row}\n{{not json\n")
    run = checkout.snakemake("--cores", "1", "results/table1.md", "--config", "experiment=qwen")
    assert run.returncode != 0
    message = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(message) == 1
    assert "benchmarks.aime25.source: data/aime25.jsonl:2: not JSON" in message[0]
    (data / "aime25.jsonl").write_text(f"{row}\n" + json.dumps({"question": "What is 1 + 1?"}) + "\n")
    run = checkout.snakemake("--cores", "1", "results/table1.md", "--config", "experiment=qwen")
    assert "data/aime25.jsonl:2: has no column 'answer'; found: question" in run.stderr
    (data / "gsm8k_test_200.jsonl").unlink()
    (data / "gsm8k_test_200.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "two"}) + "\n")
    (data / "aime25.jsonl").write_text(f"{row}\n")
    run = checkout.snakemake("--cores", "1", "results/table1.md", "--config", "experiment=qwen")
    assert "error: workflow/experiments/qwen.yaml: benchmarks.gsm8k: benchmark 'GSM8K', row 0: " in run.stderr
    assert not (checkout.folder / "results").exists()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["experiment=nope"], "experiment: 'nope' is unknown; allowed: methods, micro, paper, qwen"),
        (["engin=vllm"], "engin: unknown key; allowed: experiment, engine, data, models, weights, gpus, track"),
        (["set=trianing.epochs=1"], "set: micro.yaml has no block 'trianing'; allowed: name, description"),
        (["experiment=qwen", "data=/nowhere"], "no file matches '/nowhere/gsm8k_train*.jsonl'"),
    ],
)
def test_a_bad_machine_setting_is_one_line(checkout: Checkout, settings: list[str], expected: str) -> None:
    run = checkout.snakemake("--dry-run", "results/table1.md", "--config", *settings)
    message = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode != 0
    assert len(message) == 1, run.stderr
    assert expected in message[0]


def test_a_bad_experiment_is_one_line(checkout: Checkout) -> None:
    checkout.edit(MICRO, "beta: -0.1", "beta: 1.5")
    run = checkout.snakemake("--cores", "1", "results/table1.md")
    assert run.returncode != 0
    assert run.stderr.splitlines()[-1] == (f"error: {MICRO}: methods.otr.beta: found 1.5: input should be less than 1")
    assert "Traceback" not in run.stderr


def test_a_model_folder_without_weights_is_reported(checkout: Checkout) -> None:
    folder = checkout.folder / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    text = (checkout.folder / MICRO).read_text()
    start = text.index("    pretrain: {", text.index("  small:\n"))
    end = text.index("}\n", start) + 1
    (checkout.folder / MICRO).write_text(text[:start] + "    path: mine" + text[end:])
    run = checkout.snakemake("--dry-run", "results/table1.md")
    assert run.returncode != 0
    assert f"error: {MICRO}: models.small: path: 'models/mine' has no weights: model.safetensors" in run.stderr


def test_a_checkout_with_spaces_in_its_path_runs_from_elsewhere(tmp_path: Path) -> None:
    """Its own config.yaml and experiments are read, results lie in the working folder, and a command's words hold."""
    made = copy_of_tree(tmp_path / "a b" / "check out")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    benchmark = next(iter(load(ROOT / MICRO).benchmarks))
    target = f"results/micro/problems/{benchmark}/problems.jsonl"
    command = [sys.executable, "-m", "snakemake", "-s", str(made.folder / "Snakefile"), "--cores", "1", target]
    run = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (elsewhere / target).exists()
