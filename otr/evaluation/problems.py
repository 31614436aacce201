"""Benchmark rows to problems: one JSON object a line, one form for every benchmark.

    {"id": "0", "problem": "Natalia sold ...", "gold": {"answers": ["72"], ...}}

`python -m otr.evaluation.problems` writes problems.jsonl and, beside it, demonstrations.jsonl: the worked examples
that the base protocol puts in front ({"problem", "solution"}; no lines for a 0-shot benchmark).
"""

from pathlib import Path

from otr import config
from otr.data.response import worked_solution
from otr.data.sources import Folders, column, load_rows
from otr.errors import UserError
from otr.evaluation.gold import read_gold
from otr.files import Row, replacing, write_jsonl
from otr.stage import Stage


def problems(benchmark: config.Benchmark, folders: Folders) -> list[Row]:
    """The problems of a benchmark with their gold answers, in the order of the source.

    UserError names the row whose answer cannot be read.
    """
    gold = benchmark.gold
    rows = load_rows(benchmark.source, folders, [benchmark.problem, gold.column], benchmark.limit)
    return [_problem(number, row, benchmark) for number, row in enumerate(rows)]


def _problem(number: int, row: Row, benchmark: config.Benchmark) -> Row:
    try:
        whole = row | {benchmark.gold.column: column(row, benchmark.gold.column)}  # a dotted path becomes a column
        gold = read_gold(whole, {"answer": benchmark.gold.column}, benchmark.gold.style)
    except UserError as error:
        raise UserError(f"benchmark '{benchmark.label}', row {number}: {error}") from None
    return {"id": str(number), "problem": str(column(row, benchmark.problem)).strip(), "gold": gold.to_dict()}


def demonstrations(few_shot: config.FewShot | None, folders: Folders) -> list[Row]:
    """The first `count` worked examples of a few-shot set, {"problem", "solution"}; none without a set."""
    if few_shot is None:
        return []
    rows = load_rows(few_shot.source, folders, [few_shot.problem, few_shot.solution], few_shot.count)
    if len(rows) < few_shot.count:
        raise UserError(f"few-shot set: {few_shot.count} demonstrations are asked for, the source has {len(rows)}")
    return [
        {
            "problem": str(column(row, few_shot.problem)).strip(),
            "solution": worked_solution(str(column(row, few_shot.solution)), few_shot.style),
        }
        for row in rows
    ]


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.evaluation.problems", __doc__)
    stage.add("--benchmark", required=True, help="a benchmark of the experiment")
    stage.add_folders()
    stage.add("--out", required=True, type=Path, help="folder for problems.jsonl and demonstrations.jsonl")
    with stage.run(arguments) as (experiment, options):
        benchmark = experiment.benchmarks[options.benchmark]
        folders = Folders(options.data, options.generated)
        found = problems(benchmark, folders)
        shots = demonstrations(benchmark.few_shot, folders)
        with replacing(options.out) as folder:
            write_jsonl(folder / "problems.jsonl", found)
            write_jsonl(folder / "demonstrations.jsonl", shots)
        stage.done(f"problems {options.benchmark}: {len(found)} problems, {len(shots)} demonstrations")


if __name__ == "__main__":
    main()
