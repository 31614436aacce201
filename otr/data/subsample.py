"""The training subset: which rows of a source are trained on.

In: rows with a problem and a worked solution. Out: train.parquet (id, problem, response, tokens), summary.json and
lengths.png. The source is read several times and never held: a first pass finds which rows there are, the next ones
how long some of them are, the last one writes those that were chosen.

The paper (section 4.1) takes 5,000 examples whose reasoning traces are shorter than 8,192 tokens and "approximately
uniformly distributed across different intervals" of length: here the lengths (minimum, maximum] are cut into equal
intervals and each gives the same number of examples, drawn without replacement.

    {"id": 17, "problem": "Solve x + 3 = 5.", "response": "... \\boxed{2}.", "tokens": 41}

`id` is the row's number in the source, so an example can be found again; `source_id` is the source's own, where the
experiment names its column.
"""

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from otr.command.progress import Progress, say
from otr.command.stage import Stage
from otr.config import Dataset, Lengths
from otr.data.chat import load_tokenizer, text_ids
from otr.data.response import worked_solution
from otr.data.rows import boolean, column, text, unseen
from otr.data.sources import Folders, stream_rows
from otr.errors import UserError
from otr.files import Row, read_record, replacing, write_record
from otr.machine import memory
from otr.results.integrity import hashes

CountTokens = Callable[[list[str]], list[int]]
"""Maps texts to their lengths in tokens."""

BATCH = 256
"""Texts that are tokenized together."""


class TooFew(UserError):
    """The source has fewer examples than the settings ask for; `ids` are those that there are."""

    def __init__(self, message: str, ids: list[int]) -> None:
        super().__init__(message)
        self.ids = ids


def examples(dataset: Dataset, folders: Folders) -> Iterator[Row]:
    """The usable rows of a source as {"id", "problem", "response"}, one after another, with their "source_id" where the
    experiment names its column. UserError names the row that is to be kept and lacks a text."""
    seen: dict[str, int] = {}
    named = [dataset.problem, dataset.solution, dataset.only_if, dataset.id]
    columns = [path for path in named if path is not None]
    for number, row in enumerate(stream_rows(dataset.source, folders, columns)):
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


def usable(dataset: Dataset, folders: Folders, title: str) -> list[int]:
    """Ids of the usable rows. Their texts are read and let go."""
    ids = []
    with Progress(title, None, "rows read") as progress:
        for row in examples(dataset, folders):
            ids.append(row["id"])
            progress.update()
    return ids


def with_tokens(rows: Iterable[Row], chosen: set[int], count_tokens: CountTokens) -> Iterator[list[Row]]:
    """The chosen ones of rows, with their lengths in tokens, a batch at a time."""
    for batch in _batches((row for row in rows if row["id"] in chosen), BATCH):
        lengths = count_tokens([row["response"] for row in batch])
        yield [row | {"tokens": length} for row, length in zip(batch, lengths, strict=True)]


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch


def length_uniform(
    ids: list[int], count: Callable[[list[int]], list[int]], lengths: Lengths, size: int, seed: int
) -> list[int]:
    """Ids of `size` rows, equally many from each interval of response length, in the order of the source.

    count: gives the response lengths of the rows with these ids. Rows are looked at in a random order and only until
    each interval has enough: its first so many are a draw without replacement from all of it, and most of a large
    source need not be tokenized. When `size` is not a multiple of the number of intervals, the first ones give one
    more. TooFew shows the counts when an interval has too few.
    """
    order = random.Random(f"{seed} length-uniform").sample(ids, len(ids))
    edges = lengths.edges
    intervals: list[list[int]] = [[] for _ in range(lengths.intervals)]
    share, rest = divmod(size, lengths.intervals)
    wanted = [share + (number < rest) for number in range(lengths.intervals)]
    start, step = 0, max(4 * size, 1000)
    while start < len(order) and any(len(have) < want for have, want in zip(intervals, wanted, strict=True)):
        looked_at = order[start : start + step]
        for id, tokens in zip(looked_at, count(looked_at), strict=True):
            if lengths.minimum < tokens <= lengths.maximum:
                intervals[bisect_left(edges, tokens) - 1].append(id)
        start, step = start + step, 2 * step  # each round reads the whole source
    chosen = sorted(id for have, want in zip(intervals, wanted, strict=True) for id in have[:want])
    if len(chosen) < size:
        counts = ", ".join(
            f"{low + 1}-{high}: {len(have)} of {want}"
            for low, high, have, want in zip(edges, edges[1:], intervals, wanted, strict=False)
        )
        raise TooFew(
            f"too few examples in an interval of lengths in tokens ({counts}); lower size or intervals", chosen
        )
    return chosen


def subset(ids: list[int], count: Callable[[list[int]], list[int]], dataset: Dataset, seed: int) -> list[int]:
    """Ids of the examples that are trained on, in the order of the source. ids: of the usable rows; count: gives the
    response lengths of the rows with these ids. TooFew where the source has not what the settings ask for."""
    if not ids:
        raise UserError("the source has no usable rows; at least one is needed")
    size = dataset.size if dataset.size is not None else len(ids)
    if size > len(ids):
        raise TooFew(f"size: {size} examples are asked for, the source has {len(ids)} usable ones", ids)
    if dataset.lengths is not None:
        return length_uniform(ids, count, dataset.lengths, size, seed)
    return sorted(random.Random(f"{seed} uniform").sample(ids, size))


def lacking(train: Path) -> str | None:
    """What a subset has too few of, where `--short` wrote it; None for a whole one and for a file of the user's own."""
    record = train.parent / "summary.json"
    return read_record(record).get("lacking") if record.exists() else None


def token_counter(checkpoint: Path) -> CountTokens:
    """Counts tokens of texts with a checkpoint's tokenizer."""
    tokenizer = load_tokenizer(checkpoint)
    if not tokenizer.is_fast:
        return lambda texts: [len(text_ids(tokenizer, text)) for text in texts]
    # As text_ids counts, without the places of tokens in the text, which take longer than the tokens.
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True
    encode = backend.encode_batch_fast
    return lambda texts: [len(found.ids) for found in encode(texts, add_special_tokens=False)]


BINS = 32
"""Of the finer histogram, which shows the choice: a length-uniform subset fills its own intervals alike."""


def _summary(dataset: Dataset, available: int, lengths: list[int], counted: list[int], seed: int) -> Row:
    """lengths: of the chosen examples; counted: of the source's rows that they were chosen from by length."""
    tokens = sorted(lengths)
    whole = Lengths(maximum=max(tokens[-1], 16), intervals=16)
    edges = (dataset.lengths or whole).edges
    counts = Counter(bisect_left(edges, length) for length in tokens)
    return {
        "examples": len(tokens),
        "usable_rows_in_source": available,
        "seed": seed,
        "response_tokens": {
            "minimum": tokens[0],
            "median": tokens[len(tokens) // 2],
            "maximum": tokens[-1],
            "total": sum(tokens),
            "edges": edges,
            "histogram": [counts[number] for number in range(1, len(edges))],
            "fine": _fine(tokens, sorted(counted)),
        },
        "settings": dataset.model_dump(mode="json"),
    }


def _fine(subset: list[int], source: list[int]) -> Row:
    """Both histograms over the same bins, up to the longest example or all but a hundredth of the source."""
    highest = max(subset[-1], source[len(source) * 99 // 100] if source else 0, BINS)
    edges = [round(number * highest / BINS) for number in range(BINS + 1)]
    counts = [Counter(bisect_left(edges, length) for length in lengths) for lengths in (subset, source)]
    return {
        "edges": edges,
        **{
            name: [found[number] for number in range(1, BINS + 1)] if total else []
            for name, found, total in zip(("subset", "source"), counts, (subset, source), strict=True)
        },
    }


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr subset", __doc__)
    stage.add("--dataset", required=True, help="a data set of the experiment")
    stage.add_folders()
    stage.add("--tokenizer", required=True, type=Path, help="checkpoint whose tokenizer counts lengths")
    stage.add("--out", required=True, type=Path, help="folder for train.parquet, summary.json and lengths.png")
    stage.add(
        "--short",
        action="store_true",
        help="write what there is where that is too few, for otr ready to say",
    )
    with stage.run(arguments) as (experiment, options):
        dataset = experiment.datasets[options.dataset]
        folders = Folders(options.data, options.generated)
        count_tokens = token_counter(options.tokenizer)
        title = f"subset {options.dataset}"
        ids = usable(dataset, folders, title)

        counted: list[int] = []

        def count(wanted: list[int]) -> list[int]:
            found: dict[int, int] = {}
            with Progress(title, len(wanted), "rows tokenized") as progress:
                for batch in with_tokens(examples(dataset, folders), set(wanted), count_tokens):
                    found.update((row["id"], row["tokens"]) for row in batch)
                    progress.update(len(batch))
            counted.extend(found.values())
            return [found[id] for id in wanted]

        short = None
        try:
            chosen = set(subset(ids, count, dataset, experiment.seed))
        except UserError as error:
            short = f"{options.experiment}: datasets.{options.dataset}: {error}"
            if not (options.short and isinstance(error, TooFew) and error.ids):
                raise UserError(short) from None
            chosen = set(error.ids)
            say(f"{title}: {short}")
        with replacing(options.out) as folder:
            folder.mkdir()
            texts = with_tokens(examples(dataset, folders), chosen, count_tokens)
            lengths = _write(folder / "train.parquet", texts, dataset.id is not None)
            summary = _summary(dataset, len(ids), lengths, counted, experiment.seed)
            _describe(folder, summary | ({"lacking": short} if short else {}), options.dataset)
        stage.done(f"{title}: {len(chosen)} of {len(ids)} examples, at most {memory.peak() / 1e9:.1f} GB")


def _write(file: Path, batches: Iterable[list[Row]], source_ids: bool) -> list[int]:
    """Write the examples as they come; returns their lengths in tokens."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    words = arrow.large_string()
    own_ids = [("source_id", words)] if source_ids else []
    columns = [("id", arrow.int64()), *own_ids, ("problem", words), ("response", words), ("tokens", arrow.int64())]
    schema, lengths = arrow.schema(columns), []
    with parquet.ParquetWriter(file, schema) as writer:
        for batch in batches:
            writer.write_table(arrow.Table.from_pylist(batch, schema))
            lengths += [row["tokens"] for row in batch]
    return lengths


def _describe(folder: Path, summary: dict[str, Any], title: str) -> None:
    from otr.figures.plots import length_histogram

    write_record(folder / "summary.json", summary | hashes(folder / "train.parquet"))
    length_histogram(summary, title, folder / "lengths.png")


if __name__ == "__main__":
    main()
