"""evalplus's verdicts on solutions, which run in a sandbox.

In:  rows as evalplus publishes them, their solutions, a sandbox.
Out: an `Outcome` a solution, in their order.    Outcome(base=True, plus=False, reason="fail")

The comparison of values, its tolerances and special oracles, the order of the tests, stopping at the first wrong one
and the time limits are evalplus's (untrusted_check); so is the expected output, the canonical solution's
(trusted_exec). Both see a proxy in place of the solution. Canonical solutions run in a sandbox too: that they come with
a data set is no reason to trust them. evalplus.evaluate and get_groundtruth, a floor higher, are not used: they reuse
stale files, keep a cache in the user's home and sleep for 20 seconds.

One error of evalplus 0.3.1 is put right: HumanEval/32, which no program passes there, is graded as later versions do.

Two limits are wider than evalplus's, because a busy machine fails good code by its clock: a test has 4 seconds where
evalplus gives 1, or 4 times the canonical solution's time as there; and a solution that runs out of time while others
had its processor is tried once more, alone and with as much more time as it was short of. One that is short again is
`undecided`: its score is given as bounds. The tests of a solution have 60 seconds together, as there.
"""

import copy
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any

from otr.errors import UserError
from otr.evaluation.code.sandbox.sandbox import Sandbox, share_of_a_core
from otr.files import Row

TEST_SECONDS = 4.0
"""Least time limit of a test (evalplus: min_time_limit, 1)."""
_LIMIT_FACTOR = 4.0  # evalplus's gt_time_limit_factor: of the canonical solution's time
_OWN = 0.8  # share of a core from which on a solution that ran out of time is itself to blame
_MOST_PATIENCE = 8.0  # times the limits, at the second try


@dataclass(frozen=True)
class Outcome:
    """base, plus: whether the solution passes evalplus's base tests, and its extra tests as well (tried only if base).

    reason: pass, or what otr.evaluation.code.sandbox.proxy.REASONS says of the first test that was not passed.
    """

    base: bool
    plus: bool
    reason: str
    undecided: bool = False
    """It ran out of time, at both tries, while other processes had its processor."""
    share: float = field(default=1.0, compare=False)
    """Of a core, that it had until it ran out of time."""

    @property
    def correct(self) -> bool:
        return self.base and self.plus


@dataclass(frozen=True)
class Task:
    """The distinct solutions of one problem. dataset: evalplus's name, humaneval or mbpp."""

    dataset: str
    row: Row
    """As evalplus publishes it; `grade_task` takes it `with_types`."""
    solutions: tuple[str, ...]


def grade(
    tasks: Sequence[Task], sandbox: Sandbox, workers: int, graded: Callable[[int], None] = lambda count: None
) -> list[list[Outcome]]:
    """The outcomes of each task's solutions. `graded` hears of every further number of solutions graded.

    UserError for what is no row of evalplus, and for one whose canonical solution does not run.
    """
    # A grader holds one connection and is forked by evalplus for every check: it must be small and have no threads. So
    # types are made here: evalplus's reader of rows brings pandas and pyarrow, and a fork then takes 20 ms more.
    tasks = [replace(task, row=with_types(task.dataset, task.row)) for task in tasks]
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="otr-graders-") as folder,
        ProcessPoolExecutor(max(1, min(workers, len(tasks))), context, _prepare, (folder,)) as pool,
    ):
        futures: dict[Future[list[Outcome]], int] = {
            pool.submit(grade_task, task, sandbox): number for number, task in enumerate(tasks)
        }
        outcomes: list[list[Outcome]] = [[] for _ in tasks]
        try:
            for future in as_completed(futures):
                number = futures[future]
                outcomes[number] = future.result()
                graded(len(tasks[number].solutions))
            for task, found in zip(tasks, outcomes, strict=True):
                short = [place for place, one in enumerate(found) if one.reason == "timeout" and one.share < _OWN]
                if short:
                    patience = min(_MOST_PATIENCE, 1.25 / max(0.01, min(found[place].share for place in short)))
                    again = Task(task.dataset, task.row, tuple(task.solutions[place] for place in short))
                    second = pool.submit(grade_task, again, sandbox, patience).result()
                    for place, outcome in zip(short, second, strict=True):
                        is_short = outcome.reason == "timeout" and outcome.share * patience < 1
                        found[place] = replace(outcome, undecided=is_short)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _prepare(folder: str) -> None:
    """Set up a grader: evalplus forks it for every check, and may leave temporary folders behind, so they get ours."""
    multiprocessing.set_start_method("fork", force=True)
    tempfile.tempdir = folder
    os.environ.pop("EVALPLUS_TIMEOUT_PER_TASK", None)  # evalplus compares it with a number, and it is a text


def grade_task(task: Task, sandbox: Sandbox, patience: float = 1.0) -> list[Outcome]:
    """The outcomes of one problem's solutions, one after the other, in this process. patience: times the limits."""
    expected = expectation(task.dataset, task.row, sandbox)
    return [_grade(task.dataset, task.row, expected, solution, sandbox, patience) for solution in task.solutions]


def with_types(dataset: str, row: Row) -> Row:
    """The row with its inputs as evalplus makes them: JSON has no tuples, and some MBPP problems take them.

    UserError when it is no row of evalplus.
    """
    name = row.get("task_id", "?")
    missing = {"task_id", "prompt", "canonical_solution", "entry_point", "base_input", "plus_input", "atol"} - set(row)
    if missing:
        raise UserError(f"problem {name}: no column '{min(missing)}': a row as evalplus publishes it is needed")
    if not str(row["entry_point"]).isidentifier():
        raise UserError(f"problem {name}: entry_point {row['entry_point']!r}: the name of a function is needed")
    if dataset != "mbpp":
        return row
    from evalplus.data.mbpp import mbpp_deserialize_inputs

    parts = ("base_input", "plus_input")
    return row | {part: mbpp_deserialize_inputs(row["task_id"], copy.deepcopy(row[part])) for part in parts}


@dataclass(frozen=True)
class Expectation:
    """What the canonical solution returns for base_input and plus_input, and the seconds that each value took."""

    values: dict[str, list[Any]]
    seconds: dict[str, list[float]]


def expectation(dataset: str, row: Row, sandbox: Sandbox) -> Expectation:
    """UserError when the canonical solution does not run."""
    from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
    from evalplus.gen.util import trusted_exec

    from otr.evaluation.code.sandbox import proxy

    entry_point, base = row["entry_point"], len(row["base_input"])
    not_none = dataset == "mbpp" and entry_point in MBPP_OUTPUT_NOT_NONE_TASKS
    inputs = [*row["base_input"], *row["plus_input"]]
    with sandbox.start() as worker:
        proxy.attach(proxy.Remote(worker.channel, row["prompt"] + row["canonical_solution"], entry_point))
        try:
            values, seconds = trusted_exec(proxy.text(entry_point), inputs, entry_point, True, not_none)
        except (proxy.RemoteError, TimeoutError) as error:
            problem = f"problem {row['task_id']}: its canonical solution fails"
            raise UserError(f"{problem} on its own inputs ({error or 'timeout'})") from None
    return Expectation(
        {"base": values[:base], "plus": values[base:]},
        {"base": seconds[:base], "plus": seconds[base:]},
    )


def _grade(dataset: str, row: Row, expected: Expectation, solution: str, sandbox: Sandbox, patience: float) -> Outcome:
    base, share = _check("base", dataset, row, expected, solution, sandbox, patience)
    if base != "pass":
        return Outcome(False, False, base, share=share)
    plus, share = _check("plus", dataset, row, expected, solution, sandbox, patience)
    return Outcome(True, plus == "pass", plus, share=share)


def _check(
    part: str, dataset: str, row: Row, expected: Expectation, solution: str, sandbox: Sandbox, patience: float
) -> tuple[str, float]:
    """The reason of a solution's verdict on base or plus, each in a worker of its own (in evalplus: a process), and the
    share of a core that the worker had where it ran out of time."""
    from evalplus.eval import PASS, TIMEOUT, untrusted_check

    from otr.evaluation.code.sandbox import proxy

    with sandbox.start() as worker:
        started = time.monotonic()
        remote = proxy.Remote(worker.channel, solution, row["entry_point"])
        proxy.attach(remote)
        status, details = untrusted_check(
            dataset,
            proxy.text(row["entry_point"]),
            row[f"{part}_input"],
            row["entry_point"],
            expected=expected.values[part],
            atol=row["atol"],
            ref_time=expected.seconds[part],
            fast_check=True,
            min_time_limit=TEST_SECONDS * patience,
            gt_time_limit_factor=_LIMIT_FACTOR * patience,
        )
        late = status == TIMEOUT or (status != PASS and remote.reason == "timeout")
        share = share_of_a_core(worker.pid, time.monotonic() - started) if late else 1.0
    if late:
        return "timeout", share
    # evalplus 0.3.1 counts no test of HumanEval/32 (find_zero) that is passed and then misses them: even its canonical
    # solution fails (github.com/evalplus/evalplus/pull/201, corrected later). A test that is not passed it does count.
    uncounted = len(details) == 0 and remote.answered == len(row[f"{part}_input"]) > 0
    return "pass" if status == PASS or uncounted else remote.reason, share
