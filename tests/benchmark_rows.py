"""Where the real benchmark rows that tests read (fixture `real_rows`) have their answers."""

from pathlib import Path
from typing import NamedTuple

from otr.files import Row, read_jsonl


class Benchmark(NamedTuple):
    file: str
    answer: str  # column of the gold answer
    style: str
    solution: str | None  # column of a worked solution that ends on the answer

    def rows(self, folder: Path) -> list[Row]:
        return list(read_jsonl(folder / f"{self.file}.jsonl"))


BENCHMARKS = [
    Benchmark("gsm8k_test_200", "answer", "after-hashes", "answer"),
    Benchmark("math500_250", "answer", "plain", "solution"),
    Benchmark("olympiadbench_200", "final_answer", "list", None),
    Benchmark("minerva_math_136", "solution", "boxed", "solution"),
    Benchmark("aime24", "answer", "plain", None),
    Benchmark("aime25", "answer", "plain", None),
    Benchmark("amc23", "answer", "plain", None),
]
