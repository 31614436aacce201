"""Overlap of a training subset with the test problems: which of them the model may have seen while it was tuned.

    otr overlap --experiment workflow/experiments/micro.yaml --dataset slips \\
        --train results/micro/data/slips/train.parquet --problems results/micro/problems \\
        --out results/micro/data/slips/overlap.json

In: train.parquet (id, problem, response) and problems.jsonl of each benchmark (id, problem). Out: overlap.json, and
overlap.md beside it. Texts are compared by their words: runs of letters and runs of digits in lower case, so that
punctuation, `$`, braces and LaTeX's spacing and sizing commands make no difference. A test problem counts as

  overlapping  it shares `n` = 13 words in a row with a training problem or a response (Brown et al. 2020, appendix C)
  near         one training text holds at least half of its 13-word runs
  exact        it is the same text as a training problem, operators such as + and - included. A problem of fewer than 13
               words can only be exact.

Runs of words that stand in more than 10 problems of a benchmark ("where m and n are relatively prime positive integers
find m n") are phrases, not problems, and do not count. For example, one entry of `matches`:

    {"problem": "12", "rows": 1, "exact": true, "share": 1.0, "words": "sue has 6 boxes with 9 pens each sue loses ...",
     "examples": [{"id": 4711, "part": "problem", "share": 1.0}]}

Time and memory: test runs of words are hashed to 64 bits and kept sorted; training rows are streamed past them, each
word hashed once. Two different runs of words have one hash with a chance of about 1 in 10,000 for the whole of 50,000
long traces against 40,000 problems.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otr.command.stage import Stage
from otr.errors import UserError
from otr.files import Row, read_jsonl, sha256, write_record, write_text
from otr.results.integrity import checked

N = 13
"""Words in a row; the usual number."""
PHRASE = 10
"""A run of words in more problems of one benchmark than this is a phrase."""
NEAR = 0.5
"""Share of a problem's runs of words from which on it is near."""
EXAMPLES = 5
"""Training rows named for a test problem, the closest first."""

Hashes = NDArray[np.uint64]

_SPACING = re.compile(
    r"\\(?:[,;:! ]|q?quad\b|(?:thin|med|thick|neg)space\b|[hv]space\*?\{[^}]*\}|left\b|right\b|[bB]igg?[lr]?\b|"
    r"displaystyle\b|textstyle\b|limits\b|(?:text|mathrm|mbox|operatorname)\b)"
)
"""LaTeX that moves or sizes and says nothing."""
_WORD = re.compile(r"[^\W\d_]+|\d+")
_WORD_OR_OPERATOR = re.compile(r"[^\W\d_]+|\d+|[-+*/=<>^%!]")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")


def words(text: str) -> list[str]:
    """What is compared: words("$\\\\dfrac{1}{2}\\\\,x$, and") == ["frac", "1", "2", "x", "and"]."""
    return _WORD.findall(_plain(text))


def whole_text(text: str) -> str:
    """A text as it is compared for being the same: its words and operators. A hyphen between letters is none."""
    return " ".join(_WORD_OR_OPERATOR.findall(_HYPHEN.sub(" ", _plain(text))))


def _plain(text: str) -> str:
    if "\\" in text:
        text = _SPACING.sub(" ", text).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return text.lower()


class WordHashes:
    """Hashes of all runs of `n` words of a text."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._known: dict[str, int] = {}
        # Odd multipliers: a word's place in the run matters, and no bit of its hash is lost.
        self._factors = [np.uint64(int(_hash(f"place {place}")) | 1) for place in range(n)]

    def __call__(self, found: list[str]) -> Hashes:
        """[max(0, len(found) - n + 1)] hashes, one for the run that begins at each word."""
        count = len(found) - self._n + 1
        if count < 1:
            return np.empty(0, np.uint64)
        if len(self._known) > 2_000_000:  # numbers never end
            self._known.clear()
        known = self._known
        for word in set(found):
            if word not in known:
                known[word] = _hash(word)
        single = np.fromiter((known[word] for word in found), np.uint64, len(found))
        total = np.zeros(count, np.uint64)
        for place, factor in enumerate(self._factors):
            total += single[place : place + count] * factor  # modulo 2^64
        return total


def _hash(text: str) -> int:
    """The same in every process, unlike Python's own."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclass
class TestProblem:
    """A test problem and what was found of it in the training rows."""

    benchmark: str
    id: str
    words: list[str]
    runs: int = 0
    """Different runs of n words that count."""
    rows: int = 0
    """Training rows that overlap with it."""
    exact: bool = False
    shared: str = ""
    """The first run of words that was found in the closest row."""
    examples: list[Row] = field(default_factory=list)

    @property
    def share(self) -> float:
        return max((example["share"] for example in self.examples), default=0.0)

    def note(self, example: Row, exact: bool, shared: str) -> None:
        """A training row that overlaps; the closest few are kept."""
        self.rows += 1
        self.exact = self.exact or exact
        if example["share"] > self.share or not self.examples:
            self.shared = shared
        self.examples = sorted([*self.examples, example], key=lambda row: -row["share"])[:EXAMPLES]


class Index:
    """Test problems by the hashes of their runs of words, and by their whole text."""

    def __init__(self, problems: dict[str, list[Row]], n: int = N) -> None:
        """problems: {"id", "problem"} rows of each benchmark."""
        self._n = n
        self._hashes = WordHashes(n)
        self.problems: list[TestProblem] = []
        self._by_text: dict[str, list[int]] = {}
        keys, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for benchmark, rows in problems.items():
            own, owner = self._read(benchmark, rows)
            _, which, counts = np.unique(own, return_inverse=True, return_counts=True)
            rare = counts[which] <= PHRASE
            keys.append(own[rare])
            owners.append(owner[rare])
        unsorted, unsorted_owners = np.concatenate(keys), np.concatenate(owners)
        for number, runs in enumerate(np.bincount(unsorted_owners, minlength=len(self.problems))):
            self.problems[number].runs = int(runs)
        order = np.argsort(unsorted, kind="stable")
        self._keys = unsorted[order]
        self._owners = unsorted_owners[order]
        # One look at a table of 64 MiB spares most words of the training rows the search among the keys.
        self._seen = np.zeros(1 << 26, bool)
        self._seen[self._keys >> np.uint64(64 - 26)] = True

    def _read(self, benchmark: str, rows: list[Row]) -> tuple[Hashes, NDArray[np.int64]]:
        """Take the problems of a benchmark; returns the hashes of their runs of words, and whose each is."""
        runs, first = [np.empty(0, np.uint64)], len(self.problems)
        for row in rows:
            text = str(row["problem"])
            self._by_text.setdefault(whole_text(text), []).append(len(self.problems))
            self.problems.append(TestProblem(benchmark, str(row["id"]), words(text)))
            runs.append(np.unique(self._hashes(self.problems[-1].words)))
        sizes = [len(own) for own in runs[1:]]
        return np.concatenate(runs), np.repeat(np.arange(first, len(self.problems)), sizes)

    def add(self, example: Row) -> None:
        """Compare one training row {"id", "problem", "response"} with all test problems."""
        same = self._by_text.get(whole_text(str(example["problem"])), [])
        best: dict[int, tuple[float, str, str]] = {number: (1.0, "problem", "") for number in same}
        for part in ("problem", "response"):
            found = words(str(example[part]))
            for number, (share, shared) in self._shares(found).items():
                if number not in best or share > best[number][0]:
                    best[number] = (share, part, shared)
        for number, (share, part, shared) in best.items():
            entry = {"id": example["id"], "part": part, "share": round(share, 4)}
            own = " ".join(self.problems[number].words)
            self.problems[number].note(entry, number in same, shared or own)

    def _shares(self, found: list[str]) -> dict[int, tuple[float, str]]:
        """Test problem -> share of its runs of words that stand in this text, and the first of them."""
        hashes = self._hashes(found)  # one for each run of n words of this text
        # Most runs are in no test problem. A table of 2^26 flags by the hash's first bits drops nearly all of them, and
        # only the few that are left are searched for among the sorted hashes of the test problems.
        places = np.flatnonzero(self._seen[hashes >> np.uint64(64 - 26)])
        first_key = np.searchsorted(self._keys, hashes[places], side="left")
        end_key = np.searchsorted(self._keys, hashes[places], side="right")
        found_keys = first_key < end_key
        # Owners of equal hashes lie side by side: [first, end) are all test problems that hold this run of words. A run
        # that stands twice in the text counts once, so a share is of distinct runs and at most 1.
        hits: dict[int, set[int]] = {}
        first_place: dict[int, int] = {}
        for place, first, end in zip(*(array[found_keys] for array in (places, first_key, end_key)), strict=True):
            for number in self._owners[first:end]:
                hits.setdefault(int(number), set()).add(int(hashes[place]))
                first_place.setdefault(int(number), int(place))
        return {
            number: (len(own) / self.problems[number].runs, " ".join(found[first_place[number] :][: self._n]))
            for number, own in hits.items()
        }


def overlap(rows: Iterable[Row], problems: dict[str, list[Row]], n: int = N) -> Row:
    """The report on training rows (id, problem, response) and the problems of each benchmark (id, problem)."""
    index = Index(problems, n)
    count = 0
    for row in rows:
        index.add(row)
        count += 1
    by_benchmark: dict[str, list[TestProblem]] = {name: [] for name in problems}
    for problem in index.problems:
        by_benchmark[problem.benchmark].append(problem)
    return {
        "n": n,
        "training_rows": count,
        "benchmarks": {name: _report(found, n) for name, found in by_benchmark.items()},
    }


def _report(found: list[TestProblem], n: int) -> Row:
    matches = [problem for problem in found if problem.rows]
    counts = {
        "overlapping": len(matches),
        "near": sum(problem.share >= NEAR for problem in matches),
        "exact": sum(problem.exact for problem in matches),
    }
    return {
        "problems": len(found),
        "shorter_than_n_words": sum(len(problem.words) < n for problem in found),
        **counts,
        **{f"{name}_share": round(count / max(1, len(found)), 6) for name, count in counts.items()},
        "matches": [
            {
                "problem": problem.id,
                "rows": problem.rows,
                "exact": problem.exact,
                "share": problem.share,
                "words": problem.shared,
                "examples": problem.examples,
            }
            for problem in sorted(matches, key=lambda problem: -problem.share)
        ],
    }


def markdown(report: Row) -> str:
    """The counts of a report as a table."""
    lines = [
        f"# Overlap of the training subset {report['dataset']} with the test problems",
        "",
        f"Test problems, by what they share with {report['training_rows']:,} training problems and responses: "
        f"{report['n']} words in a row (overlapping); at least {NEAR:.0%} of all their runs of {report['n']} words, "
        "with one of them (near); the whole text, with a training problem (exact). `overlap.json` names both sides.",
        "",
        "| Benchmark | Problems | Overlapping | Near | Exact |",
        "| :-- | --: | --: | --: | --: |",
    ]
    for found in report["benchmarks"].values():
        cells = [f"{found[kind]} ({100 * found[f'{kind}_share']:.2f} %)" for kind in ("overlapping", "near", "exact")]
        lines.append(f"| {found['label']} | {found['problems']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def training_rows(file: Path) -> Iterator[Row]:
    """The rows of a train.parquet, a few at a time in memory."""
    import pyarrow.parquet as parquet

    try:
        for batch in parquet.ParquetFile(file).iter_batches(256, columns=["id", "problem", "response"]):
            yield from batch.to_pylist()
    except FileNotFoundError:
        raise UserError(f"--train: {file}: no such file; run `otr subset` first") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--train: {file}: not readable as a training subset ({error})") from None


def _check(option: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise UserError(f"{option}: '{name}' is not in the experiment; allowed: {', '.join(known)}")


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr overlap", __doc__)
    stage.add("--dataset", required=True, help="a data set of the experiment")
    stage.add("--train", required=True, type=Path, help="train.parquet of the data set")
    stage.add("--problems", required=True, type=Path, help="folder with <benchmark>/problems.jsonl")
    stage.add("--benchmarks", nargs="+", help="benchmarks of the experiment (default: all)")
    stage.add("--out", required=True, type=Path, help="the .json file to write; a .md is written beside it")
    with stage.run(arguments) as (experiment, options):
        names = options.benchmarks or list(experiment.benchmarks)
        _check("--dataset", options.dataset, list(experiment.datasets))
        for name in names:
            _check("--benchmarks", name, list(experiment.benchmarks))
        files = {name: options.problems / name / "problems.jsonl" for name in names}
        problems = {name: list(read_jsonl(checked(file))) for name, file in files.items()}
        found = overlap(training_rows(checked(options.train)), problems)
        report: dict[str, Any] = {"experiment": experiment.name, "dataset": options.dataset} | found
        report["train_sha256"] = sha256(options.train)
        report["problems_sha256"] = {name: sha256(file) for name, file in files.items()}
        for name, part in report["benchmarks"].items():
            report["benchmarks"][name] = {"label": experiment.benchmarks[name].label} | part
        write_record(options.out, report)
        write_text(options.out.with_suffix(".md"), markdown(report))
        totals: Counter[str] = Counter()
        for part in report["benchmarks"].values():
            totals.update({key: part[key] for key in ("problems", "overlapping", "near", "exact")})
        stage.done(
            f"overlap {options.dataset}: of {totals['problems']} test problems {totals['overlapping']} overlap, "
            f"{totals['near']} are near, {totals['exact']} exact"
        )


if __name__ == "__main__":
    main()
