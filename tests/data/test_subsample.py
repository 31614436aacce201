"""Which rows of a source are trained on."""

import random
import tracemalloc
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import yaml
from data.tokenizers_by_template import CHATML, byte_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from otr.config import Dataset, Lengths
from otr.data.chat import text_ids
from otr.data.sources import Folders
from otr.data.subsample import examples, lacking, length_uniform, main, subset, token_counter, usable, with_tokens
from otr.errors import UserError
from otr.files import read_json, write_jsonl

IDS = list(range(1000))


def count(ids: list[int]) -> list[int]:
    return [1 + id % 100 for id in ids]


def dataset(**changes: Any) -> Dataset:
    settings = {"source": {"path": "rows.jsonl"}, "problem": "problem", "solution": "solution", "tokenizer": "tiny"}
    return Dataset.model_validate(settings | changes)


@given(st.integers(1, 9), st.integers(1, 120), st.integers(0, 3))
@settings(max_examples=50)
def test_intervals_give_equally_many(intervals: int, size: int, seed: int) -> None:
    lengths = Lengths(minimum=10, maximum=91, intervals=intervals)
    chosen = length_uniform(IDS, count, lengths, size, seed)
    assert len(chosen) == len(set(chosen)) == size
    found = [1 + id % 100 for id in chosen]
    assert all(10 < tokens <= 91 for tokens in found)
    counts = Counter(bisect_left(lengths.edges, tokens) - 1 for tokens in found)
    share, rest = divmod(size, intervals)
    assert [counts[number] for number in range(intervals)] == [share + (number < rest) for number in range(intervals)]


def test_a_length_at_an_edge_is_in_the_interval_below() -> None:
    lengths = Lengths(minimum=0, maximum=20, intervals=2)
    tokens = {5: 10, 6: 11, 7: 20, 8: 21}
    ids = list(tokens)

    def count(wanted: list[int]) -> list[int]:
        return [tokens[id] for id in wanted]

    assert {id for seed in range(9) for id in length_uniform(ids, count, lengths, 2, seed)} == {5, 6, 7}
    with pytest.raises(UserError, match="1-10: 1 of 2, 11-20: 2 of 2"):
        length_uniform(ids, count, lengths, 4, seed=0)


def test_too_few_in_an_interval_is_one_line_with_the_counts() -> None:
    with pytest.raises(UserError) as caught:
        length_uniform(IDS, count, Lengths(minimum=0, maximum=200, intervals=2), 40, seed=0)
    assert str(caught.value) == (
        "too few examples in an interval of lengths in tokens (1-100: 1000 of 20, 101-200: 0 of 20); "
        "lower size or intervals"
    )


@pytest.mark.parametrize("lengths", [None, Lengths(minimum=0, maximum=100, intervals=4)])
def test_a_seed_decides_and_source_order_is_kept(lengths: Lengths | None) -> None:
    wanted = dataset(size=60, lengths=lengths and lengths.model_dump())
    first, again, other = (subset(IDS, count, wanted, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first == sorted(first)


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match="1001 examples are asked for, the source has 1000 usable ones"):
        subset(IDS, count, dataset(size=1001), seed=0)
    assert subset(IDS, count, dataset(), seed=0) == IDS


def test_only_verified_rows_are_used(tmp_path: Path) -> None:
    verified = [True, False, None, False, True]
    rows = [{"problem": f"p{n}", "solution": f" s{n} ", "verified": flag} for n, flag in enumerate(verified)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    folders = Folders(tmp_path, tmp_path)
    assert list(examples(dataset(only_if="verified"), folders)) == [
        {"id": 0, "problem": "p0", "response": "s0"},
        {"id": 4, "problem": "p4", "response": "s4"},
    ]
    assert len(list(examples(dataset(), folders))) == 5
    for flag in ("true", 1):
        write_jsonl(tmp_path / "rows.jsonl", [*rows, {"problem": "p", "solution": "s", "verified": flag}])
        with pytest.raises(UserError, match="row 5 of the source: column 'verified' holds .* true or false is needed"):
            list(examples(dataset(only_if="verified"), folders))


def test_a_list_of_solutions_is_not_trained_on_as_its_python_form(tmp_path: Path) -> None:
    """`solution: generations` where generations.0 was meant."""
    write_jsonl(tmp_path / "rows.jsonl", [{"problem": "p", "solution": ["one", "two"]}])
    with pytest.raises(UserError, match="row 0 of the source: column 'solution' holds a list of 2, a text is needed"):
        list(examples(dataset(), Folders(tmp_path, tmp_path)))


def test_the_sources_own_ids_are_kept_and_differ(tmp_path: Path) -> None:
    rows = [{"problem": "p", "solution": "s", "uuid": own} for own in ("x/1", "x/2", "x/1")]
    write_jsonl(tmp_path / "rows.jsonl", rows[:2])
    found = examples(dataset(id="uuid"), Folders(tmp_path, tmp_path))
    assert [(row["id"], row["source_id"]) for row in found] == [(0, "x/1"), (1, "x/2")]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError, match="row 2 of the source: the id 'x/1' is also that of row 0"):
        list(examples(dataset(id="uuid"), Folders(tmp_path, tmp_path)))


def test_openr1_rows_without_a_verified_trace_are_left_out(tmp_path: Path) -> None:
    """The columns of OpenR1-Math-220k, in parquet; the paper's experiment reads generations.0 where it was verified."""
    rows = [
        {"problem": "p0", "generations": ["<think>a</think>\n\nb"], "correctness_math_verify": [True, False]},
        {"problem": "p1", "generations": ["c"], "correctness_math_verify": [False]},
        {"problem": "p2", "generations": [], "correctness_math_verify": []},
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    verified = dataset(source={"path": "rows.parquet"}, solution="generations.0", only_if="correctness_math_verify.0")
    found = examples(verified, Folders(tmp_path, tmp_path))
    assert [(row["id"], row["response"]) for row in found] == [(0, "<think>a</think>\n\nb")]
    with pytest.raises(UserError, match="row 2 of the source: column 'generations.0': no '0'; found: a list of 0"):
        list(examples(dataset(source={"path": "rows.parquet"}, solution="generations.0"), Folders(tmp_path, tmp_path)))
    with pytest.raises(
        UserError, match=r"rows.parquet:1: has no column 'answer'; found: problem, generations, correct"
    ):
        list(examples(dataset(source={"path": "rows.parquet"}, solution="answer"), Folders(tmp_path, tmp_path)))


def test_only_as_many_rows_are_tokenized_as_the_intervals_need() -> None:
    """And every row of an interval has the same chance: over 200 seeds each of 5,000 is chosen 4 times on average."""
    looked_at, chosen = [], Counter[int]()
    ids = list(range(40_000))

    def noting(wanted: list[int]) -> list[int]:
        looked_at.append(len(wanted))
        return [1 + id % 8 for id in wanted]

    for seed in range(200):
        chosen.update(length_uniform(ids, noting, Lengths(minimum=0, maximum=8, intervals=8), 800, seed))
    assert looked_at == [3200] * 200
    for interval in range(8):
        times = [chosen[id] for id in ids if id % 8 == interval]
        assert sum(times) == 200 * 100
        # Binomial(200, 100 / 5,000): variance 3.92.
        assert 3.5 < sum((count - 4) ** 2 for count in times) / 5000 < 4.4
        assert len([count for count in times if count == 0]) < 150  # 5,000 x 0.98^200 = 88


def test_texts_are_tokenized_in_batches() -> None:
    rows = [{"id": n, "response": "x" * (n % 7)} for n in range(600)]
    sizes: list[int] = []

    def lengths(texts: list[str]) -> list[int]:
        sizes.append(len(texts))
        return [len(text) for text in texts]

    found = [row for batch in with_tokens(iter(rows), set(range(0, 600, 2)), lengths) for row in batch]
    assert found == [rows[n] | {"tokens": n % 7} for n in range(0, 600, 2)]
    assert sum(sizes) == 300 and max(sizes) <= 256


def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    """4,000 rows of 50 kB, half in a column that nobody reads: 200 MB, in row groups of 100. What is read does not
    shrink when compressed: a reader that keeps pages keeps 50 MB."""
    draw = random.Random(0)
    schema = arrow.schema({"problem": arrow.string(), "solution": arrow.string(), "other": arrow.list_(arrow.string())})
    with parquet.ParquetWriter(tmp_path / "rows.parquet", schema) as writer:
        for number in range(40):
            rows = [
                {"problem": f"{number} {n}?", "solution": draw.randbytes(12_500).hex(), "other": ["y" * 25_000]}
                for n in range(100)
            ]
            writer.write_table(arrow.Table.from_pylist(rows, schema))
    wanted = dataset(source={"path": "rows.parquet"})
    folders = Folders(tmp_path, tmp_path)
    tracemalloc.start()
    before = arrow.total_allocated_bytes()
    ids = usable(wanted, folders, "subset")
    for _ in with_tokens(examples(wanted, folders), set(ids), lambda texts: [len(text) for text in texts]):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ids) == 4000
    assert peak < 20e6
    assert arrow.default_memory_pool().max_memory() - before < 40e6


def test_lengths_are_those_that_training_counts(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(CHATML)
    tokenizer.save_pretrained(tmp_path)
    texts = ["", "x", "naïve ∑ 中文", "<|im_end|> in a text"]
    usual = [len(text_ids(tokenizer, text)) for text in texts]
    assert token_counter(tmp_path)(texts) == usual


def experiment(folder: Path, **changes: Any) -> list[str]:
    """An experiment file, its rows and tokenizer; returns the command's options."""
    rows = [{"problem": f"{n}?", "solution": "x" * (1 + n % 40)} for n in range(200)]
    write_jsonl(folder / "rows.jsonl", rows)
    byte_tokenizer(CHATML).save_pretrained(folder / "tokenizer")
    protocol = {"prompt": "chat", "temperature": 0.0, "top_p": 1.0}
    content = {
        "name": "tiny", "description": "", "context": 64, "seed": 3, "models": {"tiny": {"label": "T", "path": "x"}},
        "datasets": {"lines": dataset(**changes).model_dump(mode="json")}, "training": {"dataset": "lines"},
        "methods": {}, "protocols": {"base": protocol, "tuned": protocol}, "benchmarks": {}, "tables": {},
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    places = {"experiment": "tiny.yaml", "data": "", "tokenizer": "tokenizer", "out": "out"}
    return ["--dataset", "lines", *(word for name, at in places.items() for word in (f"--{name}", str(folder / at)))]


def test_the_command_writes_rows_summary_and_histogram(tmp_path: Path) -> None:
    arguments = experiment(tmp_path, size=30, lengths={"minimum": 0, "maximum": 30, "intervals": 3})
    main(arguments)
    table = pd.read_parquet(tmp_path / "out" / "train.parquet")
    assert list(table.columns) == ["id", "problem", "response", "tokens"]
    assert (table["tokens"] == table["response"].str.len()).all()
    summary = read_json(tmp_path / "out" / "summary.json")
    assert summary["response_tokens"]["edges"] == [0, 10, 20, 30]
    assert summary["response_tokens"]["histogram"] == [10, 10, 10]
    fine = summary["response_tokens"]["fine"]
    # The source is looked at whole here: 200 rows; bins end before its longest hundredth.
    assert sum(fine["subset"]) == 30 and 190 <= sum(fine["source"]) <= 200
    assert len(fine["edges"]) == len(fine["subset"]) + 1 == len(fine["source"]) + 1
    assert summary["examples"] == 30
    assert summary["usable_rows_in_source"] == 200
    assert (tmp_path / "out" / "lengths.png").stat().st_size > 1000
    before = (tmp_path / "out" / "train.parquet").read_bytes()
    main(arguments)
    assert (tmp_path / "out" / "train.parquet").read_bytes() == before


def test_the_command_names_file_and_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = experiment(tmp_path, size=30, lengths={"minimum": 0, "maximum": 80, "intervals": 2})
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith(
        "tiny.yaml: datasets.lines: too few examples in an interval of lengths in tokens "
        "(1-40: 200 of 15, 41-80: 0 of 15); lower size or intervals"
    )
    assert not (tmp_path / "out").exists()


def test_the_workflow_gets_what_there_is_and_why_it_is_too_few(tmp_path: Path) -> None:
    """For `otr ready`, which lists it with all else that would fail; a training refuses it."""
    main([*experiment(tmp_path, size=30, lengths={"minimum": 0, "maximum": 80, "intervals": 2}), "--short"])
    train = tmp_path / "out" / "train.parquet"
    assert len(pd.read_parquet(train)) == 15
    assert read_json(tmp_path / "out" / "summary.json")["response_tokens"]["histogram"] == [15, 0]
    assert str(lacking(train)).endswith(
        "tiny.yaml: datasets.lines: too few examples in an interval of lengths in tokens "
        "(1-40: 200 of 15, 41-80: 0 of 15); lower size or intervals"
    )
    main([*experiment(tmp_path, size=201), "--short"])
    assert len(pd.read_parquet(train)) == 200
    assert "size: 201 examples are asked for, the source has 200 usable ones" in str(lacking(train))
    main([*experiment(tmp_path, size=200), "--short"])
    assert lacking(train) is None and "lacking" not in read_json(tmp_path / "out" / "summary.json")
