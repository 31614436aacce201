"""What a change of settings or code reruns, read off dry runs in a checkout whose Table 1 was really built."""

import pytest
from checkouts import MICRO, Checkout

pytestmark = pytest.mark.slow


def test_a_second_call_does_nothing(finished: Checkout) -> None:
    assert finished.planned("results/table1.md") == {}


def test_a_new_beta_reruns_that_run_and_what_depends_on_it(finished: Checkout) -> None:
    finished.edit(MICRO, "beta: -0.1", "beta: -0.2")
    found = finished.planned("results/table1.md")
    assert found == {"train": 1, "sample_all": 1, "grade_all": 1, "table": 1, "selected_table": 1}
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
    assert finished.planned("results/table1.md") == {"grade_all": 4, "table": 1, "selected_table": 1}


def test_another_model_label_reruns_tables_alone(finished: Checkout) -> None:
    finished.edit(MICRO, "label: Qwen3-0", "label: Tiny-0")
    assert finished.planned("results/table1.md") == {"table": 1, "selected_table": 1}
