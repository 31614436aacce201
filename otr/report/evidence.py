"""From a cell of a table to what was written: every verdict as a mark, every completion in a chunk.

In: samples.jsonl.gz and verdicts.jsonl.gz of every cell. Out: an index for the page,

    {"benchmarks": {"small/stories": {"problems": ["0", "1"], "runs": {"otr": ["10", "1t"]},
                                      "chunks": [{"from": 0, "to": 2, "at": "c0"}]}}, ...}

with a text a sample, a mark a problem (MARKS), and chunks with the completions of all runs for the same problems:

    {"problems": [{"gold": "49", "runs": {"otr": [{"p": 0, "t": ["Sue has 6*9=", ...], "ok": 1, "answer": "49"}]}}],
     "prompts": ["<|im_start|>user\\nSue has 6 boxes ..."], "math": [["$x$", ["mrow", ["mi", "x"]]]]}

A chunk travels as gzip in base64, a tenth of its size for a browser that unpacks it when it is opened. Chunks stand in
the page up to EMBEDDED bytes of all of them together; more than that go to a file each in `report/` beside the page.
"""

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from otr.config import Cell
from otr.files import Row, read_jsonl
from otr.report import latex
from otr.results import Tree

MARKS = {"right": "1", "wrong": "0", "truncated": "t", "no answer": "n", "undecided": "u"}
DIFFERS = {"1": "A", "0": "B", "n": "C", "t": "D", "u": "E"}
"""The mark of a verdict with which plain math-verify disagrees."""
EMBEDDED = 6_000_000
CHUNK = 3_000_000
"""Bytes of JSON, before packing, after which a chunk ends."""
FORMULAS = 200_000
"""Converted in one report, each once (0.3 ms each); later ones are shown as LaTeX."""
LONGEST = 60_000
"""Characters of a completion; the middle of a longer one is left out. None within 8,192 tokens is."""


@dataclass
class Chunk:
    """The completions of all runs of a model for neighbouring problems of a benchmark."""

    model: str
    benchmark: str
    first: int
    end: int
    number: int
    data: str
    """gzip, base64."""

    @property
    def file(self) -> str:
        return f"{self.model}/{self.benchmark}-{self.number}.html"


@dataclass
class Evidence:
    index: dict[str, Any] = field(default_factory=dict)
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def is_embedded(self) -> bool:
        return sum(len(chunk.data) for chunk in self.chunks) <= EMBEDDED


def collect(tree: Tree, cells: Iterable[Cell]) -> Evidence:
    """Of the cells whose samples and verdicts are there."""
    found = Evidence()
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if tree.samples(cell).exists() and tree.verdicts(cell).exists():
            groups.setdefault((cell.model, cell.benchmark), []).append(cell)
    formulas = _Formulas()
    for (model, benchmark), members in groups.items():
        strip = _Strip([cell.run for cell in members])
        for number, (first, rows) in enumerate(_chunked(tree, members, strip, formulas), start=1):
            data = base64.b64encode(gzip.compress(_json(rows), mtime=0)).decode()
            found.chunks.append(Chunk(model, benchmark, first, first + len(rows["problems"]), number, data))
        found.index[f"{model}/{benchmark}"] = {"problems": strip.problems, "runs": strip.texts}
    for place, chunk in enumerate(found.chunks):
        where = {"from": chunk.first, "to": chunk.end, "at": f"c{place}", "file": chunk.file}
        found.index[f"{chunk.model}/{chunk.benchmark}"].setdefault("chunks", []).append(where)
    return found


class _Formulas:
    """A chunk's formulas, each once; bounded over a whole report."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self.table: list[list[Any]] = []
        self._places: dict[str, int] = {}

    def start_chunk(self) -> None:
        self.table, self._places = [], {}

    def parts(self, text: str) -> list[str | int]:
        """The text's parts; a number stands for a formula of the table."""
        found: list[str | int] = []
        for part in latex.split(_shortened(text)):
            drawn = None if isinstance(part, str) else self._drawn(part)
            source = part if isinstance(part, str) else part.source
            if not isinstance(part, str) and drawn is not None:
                if source not in self._places:
                    self._places[source] = len(self.table)
                    self.table.append([source, drawn])
                found.append(self._places[source])
            elif found and isinstance(found[-1], str):
                found[-1] += source
            else:
                found.append(source)
        return found

    def _drawn(self, formula: latex.Formula) -> Any:
        if formula.latex not in self._seen:
            if len(self._seen) >= FORMULAS:
                return None
            self._seen.add(formula.latex)
        return latex.tree(formula.latex)


class _Strip:
    """The marks of a model's runs on a benchmark, a text a sample."""

    def __init__(self, runs: list[str]) -> None:
        self.problems: list[str] = []
        self._marks: dict[str, list[list[str]]] = {run: [] for run in runs}

    def add(self, problem: str, marks: dict[str, list[str]]) -> None:
        self.problems.append(problem)
        for run, texts in self._marks.items():
            own = marks.get(run, [])
            while len(texts) < len(own):
                texts.append(["-"] * (len(self.problems) - 1))
            for number, text in enumerate(texts):
                text.append(own[number] if number < len(own) else "-")

    @property
    def texts(self) -> dict[str, list[str]]:
        return {run: ["".join(text) for text in texts] for run, texts in self._marks.items()}


def _chunked(tree: Tree, cells: list[Cell], strip: _Strip, formulas: _Formulas) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the first problem, a chunk's content), read line by line: a benchmark may be larger than memory."""
    first, size, rows = 0, 0, _empty(formulas)
    prompts: dict[str, int] = {}
    for by_run in _by_problem(tree, cells):
        problem = next(str(sample["problem"]) for pairs in by_run.values() for sample, _ in pairs)
        golds = [_text(verdict.get("gold")) for pairs in by_run.values() for _, verdict in pairs]
        strip.add(problem, {run: [mark(*pair) for pair in pairs] for run, pairs in by_run.items()})
        runs = {run: [_completion(*pair, prompts, formulas) for pair in pairs] for run, pairs in by_run.items()}
        rows["problems"].append({"gold": golds[0], "runs": runs})
        size += len(_json(runs))
        if size >= CHUNK:
            yield first, rows | {"prompts": list(prompts), "math": formulas.table}
            first, size, rows, prompts = first + len(rows["problems"]), 0, _empty(formulas), {}
    if rows["problems"]:
        yield first, rows | {"prompts": list(prompts), "math": formulas.table}


def _empty(formulas: _Formulas) -> dict[str, Any]:
    formulas.start_chunk()
    return {"problems": []}


def _by_problem(tree: Tree, cells: list[Cell]) -> Iterator[dict[str, list[tuple[Row, Row]]]]:
    """For each problem the (sample, verdict) pairs of each run that has it. Files hold problem after problem, those of
    one benchmark in the same order; a run of an earlier limit may have fewer."""
    heads = {cell.run: _problems_of(tree, cell) for cell in cells}
    current = {run: next(rows, None) for run, rows in heads.items()}
    for problem in _order(tree, cells):
        found = {run: group for run, group in current.items() if group is not None and group[0] == problem}
        if found:
            yield {run: pairs for run, (_, pairs) in found.items()}
        current |= {run: next(heads[run], None) for run in found}


def _order(tree: Tree, cells: list[Cell]) -> list[str]:
    """The problems of all runs, in the order of the run that has most."""
    of_runs = [
        list(dict.fromkeys(str(row.get("problem")) for row in read_jsonl(tree.verdicts(cell)))) for cell in cells
    ]
    of_runs.sort(key=len, reverse=True)
    return list(dict.fromkeys(chain.from_iterable(of_runs)))


def _problems_of(tree: Tree, cell: Cell) -> Iterator[tuple[str, list[tuple[Row, Row]]]]:
    samples = read_jsonl(tree.samples(cell))
    verdicts = read_jsonl(tree.verdicts(cell))
    pairs: list[tuple[Row, Row]] = []
    for sample, verdict in chain(zip(samples, verdicts, strict=False), [({}, {})]):
        if pairs and sample.get("problem") != pairs[0][0]["problem"]:
            yield str(pairs[0][0]["problem"]), pairs
            pairs = []
        pairs.append((sample, verdict))


def mark(sample: Row, verdict: Row) -> str:
    """The character of MARKS, or of DIFFERS, for a completion."""
    if verdict.get("correct"):
        kind = "right"
    elif verdict.get("undecided"):
        kind = "undecided"
    elif verdict.get("reason") == "truncated" or sample.get("finish") == "length":
        kind = "truncated"
    else:
        kind = "no answer" if verdict.get("how") == "none" or verdict.get("answer") in (None, "") else "wrong"
    return DIFFERS[MARKS[kind]] if differs(verdict) else MARKS[kind]


def differs(verdict: Row) -> bool:
    """Whether plain math-verify, asked of the same texts, says otherwise."""
    plain = verdict.get("plain")
    return isinstance(plain, bool) and plain != bool(verdict.get("correct"))


def _completion(sample: Row, verdict: Row, prompts: dict[str, int], formulas: _Formulas) -> Row:
    made = {
        "p": prompts.setdefault(_shortened(str(sample.get("prompt", ""))), len(prompts)),
        "t": formulas.parts(str(sample.get("completion", ""))),
        "ok": int(bool(verdict.get("correct"))),
        "tokens": sample.get("tokens"),
        "finish": _text(sample.get("finish")),
        **{key: _text(verdict.get(key)) for key in ("answer", "how", "reason", "rule")},
    }
    if isinstance(verdict.get("plain"), bool):
        made["plain"] = int(verdict["plain"])
    return {key: value for key, value in made.items() if value not in ("", None)}


def _text(value: Any) -> str:
    """What a verdict says, as a short text: several golds are joined, a whole program is shortened."""
    if isinstance(value, list):
        value = " or ".join(map(str, value))
    return "" if value is None else _shortened(str(value), 600)


def _shortened(text: str, length: int = LONGEST) -> str:
    if len(text) <= length:
        return text
    head = length * 2 // 3
    return f"{text[:head]}\n\n[… {len(text) - length} characters left out …]\n\n{text[head - length :]}"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
