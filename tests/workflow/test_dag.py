"""What Snakemake would do, read off its dry runs."""

import json
import re
from pathlib import Path

import pytest
from conftest import Checkout

EXPERIMENT = "workflow/experiments/micro.yaml"


def jobs(checkout: Checkout, *arguments: str) -> dict[str, int]:
    """The jobs of a dry run by rule."""
    run = checkout.snakemake("--dry-run", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    output = run.stdout + run.stderr
    if "Nothing to be done" in output:
        return {}
    table = re.search(r"Job stats:\njob +count\n-+ +-+\n(.*?)\ntotal", output, re.DOTALL)
    assert table, output
    return {line.split()[0]: int(line.split()[1]) for line in table[1].splitlines()}


def runs(checkout: Checkout, *arguments: str) -> str:
    run = checkout.snakemake("--dry-run", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.fixture
def finished(checkout: Checkout) -> Checkout:
    """A checkout whose outputs all exist and are recorded as made by its rules."""
    summary = checkout.snakemake("--detailed-summary", "results/table1.md")
    assert summary.returncode == 0, summary.stderr
    for line in summary.stdout.splitlines():
        output = checkout.folder / line.split("\t")[0]
        if not line.startswith("results/") or output.exists():
            continue
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch() if output.suffix else output.mkdir()
    touched = checkout.snakemake("--touch", "--cores", "1", "results/table1.md")
    assert touched.returncode == 0, touched.stderr
    return checkout


def test_table1_of_micro_is_two_models_by_three_runs(checkout: Checkout) -> None:
    found = jobs(checkout, "results/table1.md")
    assert found == {
        "generate": 1, "base": 2, "problems": 7, "subset": 1, "train": 4, "sample": 6, "grade": 6, "table": 1,
        "selected_table": 1,
    }  # fmt: skip


def test_the_paper_resolves(checkout: Checkout) -> None:
    found = jobs(checkout, "--config", "experiment=paper")
    assert found["base"] == 4
    # Shared runs are trained once: 4 models x (SFT, OTR), 2 x 3 further betas, 2 x 2 of appendix A.
    assert found["train"] == 4 * 2 + 2 * 3 + 2 * 2
    assert found["sample"] == found["train"] + 4


def test_a_second_call_does_nothing(finished: Checkout) -> None:
    assert jobs(finished, "results/table1.md") == {}


def test_a_new_beta_reruns_that_run_and_what_depends_on_it(finished: Checkout) -> None:
    finished.edit(EXPERIMENT, "beta: -0.1", "beta: -0.2")
    found = jobs(finished, "results/table1.md")
    assert found == {"train": 2, "sample": 2, "grade": 2, "table": 1, "selected_table": 1}
    shown = runs(finished, "results/table1.md")
    assert "training small with otr" in shown and "training large with otr" in shown
    assert "with sft" not in shown


def test_another_drawing_reruns_tables_alone(finished: Checkout) -> None:
    finished.edit(EXPERIMENT, "caption: ", "caption: New. ")
    assert jobs(finished, "results/table1.md") == {"table": 1, "selected_table": 1}


def test_new_drawing_code_reruns_tables_alone(finished: Checkout) -> None:
    with (finished.folder / "otr/tables/render.py").open("a") as file:
        file.write("\n# changed\n")
    assert jobs(finished, "results/table1.md") == {"table": 1, "selected_table": 1}


def test_new_grading_code_regrades_and_never_resamples(finished: Checkout) -> None:
    with (finished.folder / "otr/evaluation/grade.py").open("a") as file:
        file.write("\n# changed\n")
    assert jobs(finished, "results/table1.md") == {"grade": 6, "table": 1, "selected_table": 1}


def test_another_model_label_reruns_tables_alone(finished: Checkout) -> None:
    finished.edit(EXPERIMENT, "label: Qwen3-0", "label: Tiny-0")
    assert jobs(finished, "results/table1.md") == {"table": 1, "selected_table": 1}


def test_two_experiments_share_no_file(checkout: Checkout, real_rows: Path) -> None:
    def outputs(*arguments: str) -> set[str]:
        summary = checkout.snakemake("--summary", "results/table1.md", *arguments)
        assert summary.returncode == 0, summary.stderr
        return {line.split("\t")[0] for line in summary.stdout.splitlines() if line.startswith("results/")}

    micro = outputs()
    smollm2 = outputs("--config", "experiment=smollm2", f"data={real_rows}")
    assert micro & smollm2 == {"results/table1.md"}


def test_a_bad_row_is_reported_before_any_job(checkout: Checkout, real_rows: Path) -> None:
    data = checkout.folder / "data"
    data.mkdir()
    for file in real_rows.glob("*.jsonl"):
        (data / file.name).symlink_to(file)
    (data / "aime25.jsonl").unlink()
    row = json.dumps({"question": "What is 1 + 1?", "answer": "2"})
    (data / "aime25.jsonl").write_text(f"{row}\n{{not json\n")
    run = checkout.snakemake("--cores", "1", "results/table1.md", "--config", "experiment=smollm2")
    assert run.returncode != 0
    message = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(message) == 1
    assert "benchmarks.aime25.source: data/aime25.jsonl:2: not JSON" in message[0]
    (data / "aime25.jsonl").write_text(f"{row}\n" + json.dumps({"question": "What is 1 + 1?"}) + "\n")
    run = checkout.snakemake("--cores", "1", "results/table1.md", "--config", "experiment=smollm2")
    assert "data/aime25.jsonl:2: has no column 'answer'; found: question" in run.stderr
    assert not (checkout.folder / "results").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("beta: -0.1", "beta: 1.5", "methods.otr.beta: found 1.5: input should be less than 1"),
        ("kappa: 1.3", "kappa: 0", "methods.otr.kappa: found 0: input should be greater than 0"),
        ("samples: 256", "samples: 0", "methods.otr.samples: found 0: input should be greater than or equal to 1"),
        ("batch_size: 16", "batch_size: many", 'training.batch_size: found "many": input should be a valid integer'),
        ("batch_size: 16", "batch_sise: 16", "training.batch_sise: unknown key; allowed: dataset, epochs, batch_size"),
        ("models: [small, large]", "models: [small, huge]", "tables.table1.models: 'huge' is unknown; allowed: small"),
        ("[stories, fractions", "[stores, fractions", "tables.table1.columns: 'stores' is unknown; allowed: stories"),
        ("rows: [base, sft, otr]", "rows: [base, sft, orr]", "tables.table1.rows: 'orr' is unknown; allowed: base"),
        ("dataset: expert", "dataset: experts", "training.dataset: 'experts' is unknown; allowed: expert"),
        ("seed: 0", "seed: 0\nseed: 1", "the key 'seed' stands twice"),
        ("name: micro", "name: [micro", "not readable as YAML"),
    ],
)
def test_a_bad_experiment_is_one_line(checkout: Checkout, old: str, new: str, expected: str) -> None:
    checkout.edit(EXPERIMENT, old, new)
    run = checkout.snakemake("--dry-run", "results/table1.md")
    message = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode != 0
    assert len(message) == 1, run.stderr
    assert message[0].startswith(f"error: {EXPERIMENT}")
    assert expected in message[0]
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["experiment=nope"], "experiment: 'nope' is unknown; allowed: micro, paper, smollm2"),
        (["experiment=../micro"], "experiment: '../micro' is unknown"),
        (["engine=llama"], "engine: found \"llama\""),
        (["engin=vllm"], "engin: unknown key; allowed: experiment, engine, data, models, gpus"),
        (["gpus=-1"], "gpus: found -1"),
        (["experiment=smollm2", "data=/nowhere"], "no file matches '/nowhere/gsm8k_train*.jsonl'"),
    ],
)
def test_a_bad_machine_setting_is_one_line(checkout: Checkout, settings: list[str], expected: str) -> None:
    run = checkout.snakemake("--dry-run", "results/table1.md", "--config", *settings)
    message = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert run.returncode != 0
    assert len(message) == 1, run.stderr
    assert expected in message[0]


def test_a_model_folder_without_weights_is_reported(checkout: Checkout) -> None:
    folder = checkout.folder / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    text = (checkout.folder / EXPERIMENT).read_text()
    start = text.index("    pretrain: {hidden_size: 128")
    end = text.index("\n", start)
    (checkout.folder / EXPERIMENT).write_text(text[:start] + "    path: mine" + text[end:])
    run = checkout.snakemake("--dry-run", "results/table1.md")
    assert run.returncode != 0
    assert f"error: {EXPERIMENT}: models.large: path: 'models/mine' has no weights: model.safetensors" in run.stderr
