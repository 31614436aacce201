"""The real benchmark rows that tests read where the folder named by OTR_DATA holds them."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from otr.files import read_jsonl

FOLDER = Path(os.environ.get("OTR_DATA") or Path(__file__).parents[2] / "shared" / "data")


class Benchmark(NamedTuple):
    file: str
    answer: str  # column of the gold answer
    style: str
    solution: str | None  # column of a worked solution that ends on the answer


BENCHMARKS = [
    Benchmark("gsm8k_test_200", "answer", "after-hashes", "answer"),
    Benchmark("math500_250", "answer", "plain", "solution"),
    Benchmark("olympiadbench_200", "final_answer", "list", None),
    Benchmark("minerva_math_136", "solution", "boxed", "solution"),
    Benchmark("aime24", "answer", "plain", "solution"),
    Benchmark("aime25", "answer", "plain", None),
    Benchmark("amc23", "answer", "plain", None),
]


def read_rows(name: str) -> list[dict[str, Any]]:
    path = FOLDER / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in {FOLDER}; OTR_DATA names the folder of the benchmark rows")
    return list(read_jsonl(path))
