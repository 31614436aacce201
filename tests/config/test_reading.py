"""Experiment files: what is accepted, and the one line that says what is wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkouts import MICRO, ROOT

from otr import config
from otr.errors import UserError


@pytest.mark.parametrize("name", ["micro", "methods", "qwen", "paper"])
def test_shipped_experiments_load(name: str) -> None:
    assert config.load(config.experiment_file(name)).name == name


def test_a_method_changes_only_the_keys_it_names() -> None:
    paper = config.load(config.experiment_file("paper"))
    assert paper.recipe("otr") == paper.training
    numina = paper.recipe("otr-numina")
    assert (numina.dataset, numina.batch_size, numina.learning_rate) == ("numina", 256, 5e-5)
    assert numina.clip == paper.training.clip


def test_the_paper_keeps_its_numbers() -> None:
    """Section 4.1, 4.2 and appendix A of the paper."""
    paper = config.load(config.experiment_file("paper"))
    recipe, method = paper.training, paper.methods["otr"]
    assert (recipe.learning_rate, recipe.minimum_learning_rate, recipe.warmup) == (5e-6, 1e-6, 0.03)
    assert (recipe.batch_size, recipe.max_length, recipe.epochs) == (64, 10240, 2)
    assert (method.kappa, method.samples, method.beta) == (1.3, 256, -0.1)
    assert paper.datasets["openr1"].size == 5000
    assert {name: benchmark.samples for name, benchmark in paper.benchmarks.items()} == {
        "gsm8k": 4, "math500": 4, "olympiadbench": 4, "minerva": 4, "aime24": 16, "aime25": 16, "amc23": 16,
        "humanevalplus": 10, "mbppplus": 10, "bbeh": 1, "supergpqa": 1, "mmlu_pro": 1,
    }  # fmt: skip
    tuned = paper.protocols.tuned
    assert (tuned.temperature, tuned.top_p, tuned.max_tokens) == (0.7, 0.8, 8192)


def message(text: str, folder: Path) -> str:
    """What loading this text as micro.yaml says."""
    file = folder / "micro.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        config.load(file)
    found = str(caught.value)
    assert found.startswith(str(file))
    assert "\n" not in found
    return found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("beta: -0.1", "beta: 1.5", "methods.otr.beta: found 1.5: input should be less than 1"),
        ("kappa: 1.3", "kappa: 0", "methods.otr.kappa: found 0: input should be greater than 0"),
        ("samples: 256", "samples: 0", "methods.otr.samples: found 0: input should be greater than or equal to 1"),
        ("batch_size: 32", "batch_size: many", 'training.batch_size: found "many": input should be a valid integer'),
        ("batch_size: 32", "batch_sise: 16", "training.batch_sise: unknown key; allowed: dataset, epochs, batch_size"),
        ("regression: base", "regresion: base", "tables.table1.regresion: unknown key; allowed: caption, models"),
        ("average: Average", "averag: Mean", "tables.table1.columns.0.averag: unknown key; allowed: group, benchmarks"),
        (
            "objective: otr",
            "objective: ort",
            "methods.otr.objective: found \"ort\": input should be 'sft', 'dft', 'otr'",
        ),
        ("models: [small]", "models: [small, huge]", "tables.table1.models: 'huge' is unknown; allowed: small"),
        ("[stories, fractions", "[stores, fractions", "tables.table1.columns: 'stores' is unknown; allowed: stories"),
        (
            "rows: [base, base-tuned, sft, otr]",
            "rows: [base, base-tuned, sft, otr, x]",
            "tables.table1.rows: 'x' is unknown; allowed: base, base-tuned",
        ),
        (
            "rows: [base, base-tuned, sft, otr]",
            "rows: [base-tuned, sft, otr]",
            "tables.table1: regression: 'base' is not a row; allowed: base-tuned",
        ),
        ("dataset: slips", "dataset: slip", "training.dataset: 'slip' is unknown; allowed: slips, clean"),
        ("tokenizer: small", "tokenizer: tiny", "datasets.slips.tokenizer: 'tiny' is unknown; allowed: small"),
        ("temperature: 0.7", "temperature: .nan", "protocols.tuned.temperature: found NaN: input should be a finite"),
        ("generator: micro", "generator: null", "generator: null makes no files"),
        ("name: micro", "name: macro", "name: 'macro' must be the file's name, 'micro'"),
        ("  sft: {", "  base: {", "methods.base: this name is the untrained model's; choose another"),
        ("seed: 0", "seed: 0\nseed: 1", "the key 'seed' stands twice"),
        ("name: micro", "name: [micro", "not readable as YAML"),
        (
            "  sft: {label: SFT, ",
            "  sft: {label: SFT, beta: 0.5, ",
            "the objective 'sft' does not read beta",
        ),
        ("epochs: 4", "epochs: 1000000000", "training.epochs: found 1000000000: input should be less than or equal to"),
        ("seed: 0", "seed: -1", "seed: found -1: input should be greater than or equal to 0"),
        ("threads: 1", "threads: 100000", "threads: found 100000: input should be less than or equal to 1024"),
        (
            "minimum_learning_rate:",
            "betas: [0.9, 1.0]\n  minimum_learning_rate:",
            "training.betas.1: found 1.0: input should be less than 1",
        ),
        (
            "  learning_rate:",
            "  minimum_learning_rate: 0.9\n  unused:",
            "the key 'minimum_learning_rate' stands twice",
        ),
        ("name: micro", "name: &again {a: *again}", "an anchor that contains itself"),
        ("{generated: tuning.jsonl}", "{path: a, hub: b}", "datasets.slips.source: name exactly one of path, hub"),
    ],
)
def test_a_mistake_is_one_line_with_its_key(old: str, new: str, expected: str, tmp_path: Path) -> None:
    text = (ROOT / MICRO).read_text()
    assert old in text
    assert expected in message(text.replace(old, new, 1), tmp_path)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "1: 2\n", "a: !!python/object:os.system {}\n"])
def test_a_file_that_is_no_experiment(text: str, tmp_path: Path) -> None:
    message(text, tmp_path)


def test_scientific_notation_without_a_point_is_a_number(tmp_path: Path) -> None:
    text = (ROOT / MICRO).read_text()
    (tmp_path / "micro.yaml").write_text(re.sub(r"\blearning_rate: \S+", "learning_rate: 5e-2", text, count=1))
    assert config.load(tmp_path / "micro.yaml").training.learning_rate == 5e-2


def test_machine_settings_are_checked() -> None:
    assert config.machine({"experiment": "micro", "gpus": 2}).gpus == 2
    with pytest.raises(UserError, match='engine: found "llama"'):
        config.machine({"experiment": "micro", "engine": "llama"})
    with pytest.raises(UserError, match="experiment: '../micro' is unknown; allowed: methods, micro, paper, qwen"):
        config.experiment_file("../micro")


MICRO_TEXT = (ROOT / MICRO).read_text()
FIRST = next(iter(yaml.safe_load(MICRO_TEXT)["datasets"]))


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """What loading the default experiment says after a change of its values."""
    values = yaml.safe_load(MICRO_TEXT)
    change(values)
    return message(yaml.safe_dump(values), folder)


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (["training", "minimum_learning_rate"], 0.5, "minimum_learning_rate (0.5) must not exceed learning_rate"),
        (["training", "batch_size"], 50_000, "training.batch_size: 50000 is more than the"),
        (["protocols", "tuned", "max_tokens"], 10**6, "protocols.tuned.max_tokens: 1000000 leave no room for a prompt"),
        (["protocols", "tuned", "max_tokens"], 10**9, "protocols.tuned.max_tokens: found 1000000000"),
        (["context"], 10**6, "are fewer than the context of 1000000; raise positions or lower context"),
        (["datasets", FIRST, "lengths"], {"maximum": 9000, "intervals": 900}, f"datasets.{FIRST}.size: "),
        (["training", "batch_size"], 40_000, "training.batch_size: 40000 is more than the"),
    ],
)
def test_numbers_of_different_blocks_fit_each_other(keys: list[str], value: Any, expected: str, tmp_path: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        place = values
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        if "lengths" in keys:
            values["datasets"][FIRST]["size"] = 100

    assert expected in changed(tmp_path, change)


@pytest.mark.parametrize("name", ["comparison", "Report", "paper_audit", "figure2", "README", "x" * 65, "a/b", "ä"])
def test_a_table_with_the_name_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["tables"][name] = values["tables"].pop("table1")

    assert f"tables.{name}" in changed(tmp_path, change)


@pytest.mark.parametrize("group", ["models", "methods", "benchmarks", "datasets", "tables"])
def test_names_that_differ_in_case_alone_are_refused(group: str, tmp_path: Path) -> None:
    """They are one folder on some file systems."""
    names: list[str] = []

    def change(values: dict[str, Any]) -> None:
        names.append(next(iter(values[group])))
        values[group][names[0].upper()] = values[group][names[0]]

    found = changed(tmp_path, change)
    assert f"{group}.{names[0]}: differs from {names[0].upper()} in case alone" in found


def test_merge_keys_work(tmp_path: Path) -> None:
    text = MICRO_TEXT.replace("  sft: {label: SFT,", "  sft: &sft {label: SFT,")
    end = text.index("\nprotocols:")
    text = f"{text[:end]}\n  again: {{<<: *sft, label: Again}}\n{text[end:]}"
    (tmp_path / "micro.yaml").write_text(text)
    again = config.load(tmp_path / "micro.yaml").methods["again"]
    assert (again.label, again.objective) == ("Again", "sft")


def test_a_few_lines_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "more than 100000 values" in message("\n".join(lines), tmp_path)
    assert "nested too deeply" in message("[" * 100_000, tmp_path)
