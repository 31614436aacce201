"""Benchmark rows to problems: one JSON object a line, one form for every benchmark of a kind. For example

    {"id": "0", "problem": "Natalia sold ...", "gold": {"answers": ["72"], ...}}

The problem is what is asked, options and all. What grading needs stands beside it.

`otr problems` writes problems.jsonl and, beside it, demonstrations.jsonl: the worked examples
that the base protocol puts in front ({"problem", "solution"}; no lines for a 0-shot benchmark), and unread.jsonl: the
gold answers that cannot be read to their end ({"id", "gold"}), for which only the same text is right. summary.json
holds the digests of the first two.
"""

from pathlib import Path
from string import ascii_uppercase

from otr import config
from otr.command.progress import say
from otr.command.stage import Stage
from otr.data.response import worked_solution
from otr.data.rows import boolean, column, letter, options, text, unseen
from otr.data.sources import Folders, load_rows, needed_columns
from otr.errors import UserError
from otr.evaluation.math import verdicts
from otr.evaluation.math.gold import Gold, read_gold
from otr.files import Row, replacing, write_jsonl, write_record
from otr.results.integrity import hashes


def problems(benchmark: config.Benchmark, folders: Folders) -> list[Row]:
    """The problems of a benchmark with what grading needs, in the order of the source.

    UserError names the row that cannot be read.
    """
    rows = load_rows(benchmark.source, folders, needed_columns(benchmark), benchmark.limit)
    found: list[Row] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        try:
            problem = _READERS[benchmark.kind](row, benchmark)
            own = text(row, benchmark.id) if benchmark.id else problem["id"] or str(number)
            found.append(problem | {"id": unseen(own, number, seen)})
        except UserError as error:
            raise UserError(f"benchmark '{benchmark.label}', row {number}: {error}") from None
    return found


def _mathematical(row: Row, benchmark: config.Benchmark) -> Row:
    """{"id": "0", "problem": "Natalia sold ...", "gold": {"answers": ["72"], ...}}"""
    assert benchmark.gold is not None
    whole = row | {benchmark.gold.column: column(row, benchmark.gold.column)}  # a dotted path becomes a column
    gold = read_gold(whole, {"answer": benchmark.gold.column}, benchmark.gold.style)
    return {"id": "", "problem": text(row, benchmark.problem).strip(), "gold": gold.to_dict()}


def _programming(row: Row, benchmark: config.Benchmark) -> Row:
    """{"id": "HumanEval/2", "problem": "def truncate_number(...", "row": {...}}: evalplus takes its rows whole, and a
    prompt's last line break matters where the model continues it."""
    return {"id": text(row, "task_id"), "problem": text(row, benchmark.problem), "row": row}


def _general(row: Row, benchmark: config.Benchmark) -> Row:
    """{"id": "0", "problem": "Which ...?\\nOptions:\\nA. ...", "gold": "D", "options": 10, "category": "law"}"""
    assert benchmark.gold is not None
    found: Row = {"id": "", "problem": text(row, benchmark.problem).strip()}
    if benchmark.options is not None:
        labelled = options(row, benchmark.options)
        listed = "\n".join(
            f"{name}. {option}" for name, option in zip(ascii_uppercase, labelled.values(), strict=False)
        )
        found["problem"] += f"\nOptions:\n{listed}"
        found["gold"] = letter(row, benchmark.gold.column, list(labelled))
        found["options"] = len(labelled)
    else:
        found["gold"] = text(row, benchmark.gold.column).strip()
    if benchmark.category is not None:
        found["category"] = text(row, benchmark.category)
    if benchmark.mini is not None:
        found["mini"] = boolean(row, benchmark.mini)
    return found


_READERS = {"math": _mathematical, "code": _programming, "general": _general}


def demonstrations(few_shot: config.FewShot | None, folders: Folders) -> list[Row]:
    """The first `count` worked examples of a few-shot set, {"problem", "solution"}; none without a set."""
    if few_shot is None:
        return []
    rows = load_rows(few_shot.source, folders, [few_shot.problem, few_shot.solution], few_shot.count)
    if len(rows) < few_shot.count:
        raise UserError(f"few-shot set: {few_shot.count} demonstrations are asked for, the source has {len(rows)}")
    return [
        {
            "problem": text(row, few_shot.problem).strip(),
            "solution": worked_solution(text(row, few_shot.solution), few_shot.style),
        }
        for row in rows
    ]


def unread_golds(found: list[Row]) -> list[Row]:
    """The mathematical problems whose gold answers cannot be read to their end: {"id": "7", "gold": "..."}."""
    golds = [Gold.from_dict(row["gold"]) for row in found]
    return [{"id": found[place]["id"], "gold": golds[place].raw} for place in verdicts.unread_golds(golds)]


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr problems", __doc__)
    stage.add("--benchmark", required=True, help="a benchmark of the experiment")
    stage.add_folders()
    stage.add("--out", required=True, type=Path, help="folder for problems.jsonl and demonstrations.jsonl")
    with stage.run(arguments) as (experiment, options):
        benchmark = experiment.benchmarks[options.benchmark]
        folders = Folders(options.data, options.generated)
        found = problems(benchmark, folders)
        shots = demonstrations(benchmark.few_shot, folders)
        unread = unread_golds(found) if benchmark.kind == "math" else []
        with replacing(options.out) as folder:
            write_jsonl(folder / "problems.jsonl", found)
            write_jsonl(folder / "demonstrations.jsonl", shots)
            write_jsonl(folder / "unread.jsonl", unread)
            counts = {"problems": len(found), "demonstrations": len(shots)}
            digests = hashes(folder / "problems.jsonl", folder / "demonstrations.jsonl")
            write_record(folder / "summary.json", {"benchmark": options.benchmark} | counts | digests)
        for row in unread:
            say(f"problem {row['id']}: gold answer not read to its end, only its text is right: {row['gold'][:100]}")
        stage.done(f"problems {options.benchmark}: {len(found)} problems, {len(shots)} demonstrations")


if __name__ == "__main__":
    main()
