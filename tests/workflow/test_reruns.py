"""What a change of settings or code reruns, read off dry runs in a checkout whose Table 1 was really built."""

import base64
import os
import shutil
from pathlib import Path

import pytest
from checkouts import MICRO, Checkout, copy_of_tree

pytestmark = pytest.mark.slow


def test_a_second_call_does_nothing(finished: Checkout) -> None:
    assert finished.planned("results/table1.md") == {}


def test_a_new_beta_reruns_that_run_and_what_depends_on_it(finished: Checkout) -> None:
    finished.edit(MICRO, "beta: -0.1", "beta: -0.2")
    found = finished.planned("results/table1.md")
    assert found == {"train": 1, "sample_all": 1, "grade_math_all": 1, "table": 1, "selected_table": 1}
    shown = finished.snakemake("--dry-run", "results/table1.md").stdout
    assert "training small with otr" in shown
    assert "with sft" not in shown


def test_another_drawing_reruns_tables_alone(finished: Checkout) -> None:
    finished.edit(MICRO, "caption: ", "caption: New. ")
    assert finished.planned("results/table1.md") == {"table": 1, "selected_table": 1}


def test_new_drawing_code_reruns_tables_alone(finished: Checkout) -> None:
    with (finished.folder / "otr/tables/render.py").open("a") as file:
        file.write("\n# changed\n")
    assert finished.planned("results/table1.md") == {"table": 1, "selected_table": 1}


def test_new_grading_code_regrades_and_never_resamples(finished: Checkout) -> None:
    with (finished.folder / "otr/evaluation/math/verdicts.py").open("a") as file:
        file.write("\n# changed\n")
    assert finished.planned("results/table1.md") == {"grade_math_all": 4, "table": 1, "selected_table": 1}


def test_another_model_label_reruns_tables_alone(finished: Checkout) -> None:
    finished.edit(MICRO, "label: Qwen3-0", "label: Tiny-0")
    assert finished.planned("results/table1.md") == {"table": 1, "selected_table": 1}


@pytest.mark.parametrize(
    "setting", ["data=/elsewhere", "models=/elsewhere", "engine=transformers", "gpus=0", "track=tensorboard"]
)
def test_a_machine_setting_redoes_nothing(finished: Checkout, setting: str) -> None:
    """Content decides, and no content changes by it."""
    assert finished.planned("results/table1.md", "results/figure2.png", "--config", setting) == {}


def test_other_prompts_are_checked_and_asked_in_one_call(finished: Checkout) -> None:
    """`ready` runs for them, and what it is an `ancient` input of has its own reason (snakemake/snakemake#4166)."""
    finished.edit(MICRO, "max_tokens: 128", "max_tokens: 120")  # of the base protocol, which stands first
    found = finished.planned("results/table1.md")
    assert found == {"ready": 1, "sample_all": 1, "grade_math_all": 1, "table": 1, "selected_table": 1}


def test_an_interrupted_check_hides_no_missing_job(finished: Checkout) -> None:
    """As after a kill while `ready` ran: its output lies there, marked incomplete, and nothing behind it was made."""
    for made in ("eval", "train/small/otr", "tables"):
        shutil.rmtree(finished.folder / "results/micro" / made)
    (finished.folder / "results/table1.md").unlink()
    name = base64.b64encode(b"results/micro/ready/small.json").decode()
    (finished.folder / ".snakemake/incomplete").mkdir(exist_ok=True)
    (finished.folder / ".snakemake/incomplete" / name).touch()
    found = finished.planned("results/table1.md")
    assert (found["ready"], found["train"], found["sample_all"]) == (1, 1, 4)


def test_what_decides_memory_and_speed_alone_redoes_nothing(finished: Checkout) -> None:
    finished.edit(MICRO, "tokens_per_microbatch: ", "compile: false\n  tokens_per_microbatch: 1")
    assert finished.planned("results/table1.md") == {}


def test_a_tree_copied_without_its_times_costs_no_training_and_no_sampling(finished: Checkout, tmp_path: Path) -> None:
    """Neither Snakemake's records nor times nor hard links come along, and every file looks newer than the next."""
    here = copy_of_tree(tmp_path / "elsewhere")
    shutil.copy(finished.folder / MICRO, here.folder / MICRO)
    names = sorted((finished.folder / "results").rglob("*"), reverse=True)
    for number, source in enumerate(path for path in names if path.is_file()):
        target = here.folder / source.relative_to(finished.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        os.utime(target, (1e9 + number, 1e9 + number))
    assert here.planned("results/table1.md")["train"] >= 2
    run = here.snakemake("--cores", "2", "results/table1.md")
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert said.count("is taken over") >= 2 and " steps, loss" not in said, said
    assert said.count("all completions are there already") >= 4 and "starting vllm" not in said, said
    weights = sorted((finished.folder / "results").glob("micro/train/*/*/checkpoint/model.safetensors"))
    assert weights
    for path in weights:
        assert (here.folder / path.relative_to(finished.folder)).read_bytes() == path.read_bytes()
    table = "results/micro/tables/table1.csv"
    assert (here.folder / table).read_bytes() == (finished.folder / table).read_bytes()
