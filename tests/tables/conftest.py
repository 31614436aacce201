"""A folder of score files like those the evaluation writes: two models, three runs, two benchmarks."""

from pathlib import Path
from typing import Any

import pytest

from otr.config.tables import ColumnGroup, TableLayout
from otr.files import write_record
from otr.tables.footnotes import provenance
from otr.tables.scores import read_scores
from otr.tables.table import Table, build

VALUES = {
    ("small", "base"): (40.0, 20.0),
    ("small", "sft"): (39.996, 25.0),  # 40.00 as shown: not below the base
    ("small", "otr"): (39.99, 30.0),
    ("large", "base"): (60.0, 50.0),
    ("large", "sft"): (62.5, 45.0),
    ("large", "otr"): (62.5, 44.0),
}
PROVENANCE: dict[str, Any] = {
    "commit": "95a5834",
    "python": "3.11.2",
    "machine": "x86_64",
    "versions": {"vllm": "0.32.0", "math-verify": "0.9.0"},
    "seed": 7,
}
NATURAL = {
    "prompt": "natural",
    "temperature": 0,
    "exact_prompt": "Question: 1 + 1\nAnswer:",
    "few_shot": None,
    "instruction": "",
}
CHAT = {"prompt": "chat", "temperature": 0.7, "top_p": 0.8, "template": "/home/someone/template.jinja"}


LABELS = {"small": "Small", "large": "Large", "base": "Base", "sft": "SFT", "otr": "OTR", "sums": "Sums"}


class Example:
    """The score files under `results`, and the table of them."""

    layout = TableLayout(
        caption="Sums and products",
        models=("small", "large"),
        rows=("base", "sft", "otr"),
        columns=(ColumnGroup(group="Mathematics", benchmarks=("sums", "products"), average="Average"),),
        regression="base",
        best_of=("sft", "otr"),
    )

    def __init__(self, results: Path) -> None:
        self.results = results
        for (model, run), values in VALUES.items():
            for benchmark, value in zip(("sums", "products"), values, strict=True):
                self.write(model, run, benchmark, score=value)

    def path(self, model: str, run: str, benchmark: str) -> Path:
        return self.results / "tiny" / "eval" / model / run / benchmark / "score.json"

    def write(self, model: str, run: str, benchmark: str, **changes: Any) -> None:
        """One score file; `provenance` changes keys of the usual one."""
        usual = {
            "experiment": "tiny",
            "model": model,
            "run": run,
            "benchmark": benchmark,
            "metric": "mean@1" if run == "base" else "mean@4",
            "score": 10.0,
            "standard_error": 3.0 if benchmark == "sums" else 4.0,
            "problems": 50,
            "samples": 200,
            "protocol": NATURAL if run == "base" else CHAT,
        }
        whole = PROVENANCE | changes.pop("provenance", {})
        write_record(self.path(model, run, benchmark), usual | {"provenance": whole} | changes)

    def write_all(self, **changes: Any) -> None:
        for model, run in VALUES:
            for benchmark in ("sums", "products"):
                self.write(model, run, benchmark, **changes)

    def table(self) -> Table:
        return build("table1", self.layout, read_scores(self.results, "tiny", self.layout), LABELS)

    def provenance(self) -> list[str]:
        return list(provenance("tiny", read_scores(self.results, "tiny", self.layout)))


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example(tmp_path / "results")
