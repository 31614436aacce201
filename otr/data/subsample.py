"""The training subset: which rows of a source are trained on.

In: rows with a problem and a worked solution. Out: train.parquet (id, problem, response, tokens), summary.json and
lengths.png. The paper (section 4.1) takes 5,000 examples whose reasoning traces are shorter than 8,192 tokens and
"approximately uniformly distributed across different intervals" of length: here the lengths (minimum, maximum] are cut
into equal intervals and each gives the same number of examples, drawn without replacement.

    {"id": 17, "problem": "Solve x + 3 = 5.", "response": "... \\boxed{2}.", "tokens": 41}

`id` is the row's number in the source, so an example can be found again; `source_id` is the source's own, where the
experiment names its column.
"""

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from otr.command.stage import Stage
from otr.config import Dataset, Lengths
from otr.data.chat import load_tokenizer, text_ids
from otr.data.response import worked_solution
from otr.data.rows import boolean, column, text, unseen
from otr.data.sources import Folders, load_rows
from otr.errors import UserError
from otr.files import Row, replacing, sha256, write_json


def examples(dataset: Dataset, folders: Folders, count_tokens: Callable[[list[str]], list[int]]) -> list[Row]:
    """All usable rows of a source as examples; `count_tokens` maps texts to their lengths in tokens."""
    found = list(usable_rows(dataset, folders))
    lengths = count_tokens([row["response"] for row in found])
    return [row | {"tokens": tokens} for row, tokens in zip(found, lengths, strict=True)]


def usable_rows(dataset: Dataset, folders: Folders) -> Iterator[Row]:
    """The examples of a source without their lengths. UserError names the row that is to be kept and lacks a text."""
    seen: dict[str, int] = {}
    for number, row in enumerate(load_rows(dataset.source, folders, needs=[])):
        try:
            if dataset.only_if is not None and not _holds(row, dataset.only_if):
                continue
            example: Row = {
                "id": number,
                "problem": text(row, dataset.problem).strip(),
                "response": worked_solution(text(row, dataset.solution), dataset.style),
            }
            if dataset.id is not None:
                example["source_id"] = unseen(text(row, dataset.id), number, seen)
        except UserError as error:
            raise UserError(f"row {number} of the source: {error}") from None
        yield example


def _holds(row: Row, path: str) -> bool:
    """Whether a row has this mark. A row without the column has it not; a mark that is no truth value is an error."""
    try:
        value = column(row, path)
    except UserError:
        return False
    return value is not None and boolean(row, path)


def length_uniform(rows: list[Row], lengths: Lengths, size: int, seed: int) -> list[Row]:
    """`size` rows, equally many from each interval of response length, in the order of the source.

    When `size` is not a multiple of the number of intervals, the first ones give one more. UserError shows the counts
    when an interval has too few.
    """
    edges = lengths.edges
    intervals: list[list[Row]] = [[] for _ in range(lengths.intervals)]
    for row in rows:
        if lengths.minimum < row["tokens"] <= lengths.maximum:
            intervals[bisect_left(edges, row["tokens"]) - 1].append(row)
    share, rest = divmod(size, lengths.intervals)
    wanted = [share + (number < rest) for number in range(lengths.intervals)]
    if any(len(have) < want for have, want in zip(intervals, wanted, strict=True)):
        counts = ", ".join(
            f"{low + 1}-{high}: {len(have)} of {want}"
            for low, high, have, want in zip(edges, edges[1:], intervals, wanted, strict=False)
        )
        raise UserError(f"too few examples in an interval of lengths in tokens ({counts}); lower size or intervals")
    generator = random.Random(f"{seed} length-uniform")
    chosen = [row for have, want in zip(intervals, wanted, strict=True) for row in generator.sample(have, want)]
    return sorted(chosen, key=lambda row: row["id"])


def subset(rows: list[Row], dataset: Dataset, seed: int) -> list[Row]:
    """The examples that are trained on, in the order of the source."""
    size = dataset.size if dataset.size is not None else len(rows)
    if size > len(rows):
        raise UserError(f"size: {size} examples are asked for, the source has {len(rows)} usable ones")
    if dataset.lengths is not None:
        return length_uniform(rows, dataset.lengths, size, seed)
    chosen = random.Random(f"{seed} uniform").sample(rows, size)
    return sorted(chosen, key=lambda row: row["id"])


def token_counter(checkpoint: Path) -> Callable[[list[str]], list[int]]:
    """Counts tokens of texts with a checkpoint's tokenizer."""
    tokenizer = load_tokenizer(checkpoint)
    return lambda texts: [len(text_ids(tokenizer, text)) for text in texts]


def _summary(dataset: Dataset, available: int, chosen: list[Row], seed: int) -> Row:
    tokens = sorted(row["tokens"] for row in chosen)
    whole = Lengths(maximum=max(tokens[-1], 16), intervals=16)
    edges = (dataset.lengths or whole).edges
    counts = Counter(bisect_left(edges, length) for length in tokens)
    return {
        "examples": len(chosen),
        "usable_rows_in_source": available,
        "seed": seed,
        "response_tokens": {
            "minimum": tokens[0],
            "median": tokens[len(tokens) // 2],
            "maximum": tokens[-1],
            "total": sum(tokens),
            "edges": edges,
            "histogram": [counts[number] for number in range(1, len(edges))],
        },
        "settings": dataset.model_dump(mode="json"),
    }


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.data.subsample", __doc__)
    stage.add("--dataset", required=True, help="a data set of the experiment")
    stage.add_folders()
    stage.add("--tokenizer", required=True, type=Path, help="checkpoint whose tokenizer counts lengths")
    stage.add("--out", required=True, type=Path, help="folder for train.parquet, summary.json and lengths.png")
    with stage.run(arguments) as (experiment, options):
        dataset = experiment.datasets[options.dataset]
        rows = examples(dataset, Folders(options.data, options.generated), token_counter(options.tokenizer))
        try:
            chosen = subset(rows, dataset, experiment.seed)
        except UserError as error:
            raise UserError(f"{options.experiment}: datasets.{options.dataset}: {error}") from None
        with replacing(options.out) as folder:
            _write(folder, chosen, _summary(dataset, len(rows), chosen, experiment.seed), options.dataset)
        stage.done(f"subset {options.dataset}: {len(chosen)} of {len(rows)} examples")


def _write(folder: Path, chosen: list[Row], summary: dict[str, Any], title: str) -> None:
    import pandas as pd

    from otr.figures.plots import length_histogram

    folder.mkdir()
    own_ids = ["source_id"] if "source_id" in chosen[0] else []
    pd.DataFrame(chosen, columns=["id", *own_ids, "problem", "response", "tokens"]).to_parquet(folder / "train.parquet")
    write_json(folder / "summary.json", summary | {"sha256": sha256(folder / "train.parquet")})
    length_histogram(summary, title, folder / "lengths.png")


if __name__ == "__main__":
    main()
