"""Questions for math-verify, answered in processes that may die of them.

In:  questions as otr.evaluation.math.equality takes them.   {"ask": "equal", "gold": {...}, "answer": "(2^{10^8})!"}
Out: one `Reply` a question, in their order.         Reply(yes=False, failed="timeout")

A text that takes over the time or memory limit costs its process and its own question; the process is replaced and no
other question notices. Time is CPU time, and a question that failed is asked once more, alone and with twice the time:
replies depend neither on the number of processes nor on what else the machine does.
"""

import json
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

SECONDS = 3.0  # CPU time of a question; ordinary ones take milliseconds
_WALL = 20  # times the CPU time is the wall time that a question may take on a machine that does much else
_PATIENCE = 2  # times the CPU time is what a question has that is asked once more
MEMORY = 2 * 1024**3  # bytes of address space of a process
_PER_PROCESS = 50  # questions that make up for the second that starting one more process takes
_BATCH = 8  # questions under way in a process, so that it never waits for the next one
_BATCH_BYTES = 32_768  # half of a pipe's buffer: writing a batch never blocks


@dataclass(frozen=True)
class Reply:
    """The answer to a question, and the rule that decided it; `failed` is "timeout", "memory" or "crash" where there
    is no answer."""

    yes: bool
    rule: str = ""
    failed: str = ""


def compare(
    questions: Sequence[dict[str, Any]], workers: int, seconds: float = SECONDS, memory: int = MEMORY
) -> list[Reply]:
    """Ask math-verify in up to `workers` processes; `seconds` of CPU time a question, `memory` bytes a process.

    RuntimeError when a process does not come up at all.
    """
    replies = _ask(questions, workers, seconds, memory)
    failed = [number for number, reply in enumerate(replies) if reply.failed]
    again = _ask([questions[number] for number in failed], 1, seconds * _PATIENCE, memory)
    for number, reply in zip(failed, again, strict=True):
        replies[number] = reply
    return replies


def _ask(questions: Sequence[dict[str, Any]], workers: int, seconds: float, memory: int) -> list[Reply]:
    if not questions:
        return []
    work = _Work(questions)
    processes: set[_Process] = set()
    with selectors.DefaultSelector() as selector:
        try:
            while work.open:
                wanted = min(workers, -(-len(work.waiting) // _PER_PROCESS))
                while work.waiting and len(processes) < max(1, wanted):
                    process = _Process(seconds, memory)
                    processes.add(process)
                    selector.register(process.output, selectors.EVENT_READ, process)
                ended = [ready.data for ready, _ in selector.select() if not ready.data.receive(work)]
                # Not those alone that have just replied: an ended process may have left its questions to an idle one.
                ended += [process for process in processes.difference(ended) if not process.send(work)]
                for process in ended:
                    selector.unregister(process.output)
                    processes.remove(process)
                    process.end()
        finally:
            for process in processes:
                process.end()
    return work.replies


class _Work:
    """The questions waiting and the replies so far."""

    def __init__(self, questions: Sequence[dict[str, Any]]) -> None:
        self.lines = [json.dumps(question).encode() + b"\n" for question in questions]
        self.waiting = deque(range(len(questions)))
        self.open = len(questions)
        self.replies = [Reply(yes=False)] * len(questions)

    def batch(self) -> list[int]:
        """The next questions for a process: several small ones or a single large one."""
        taken: list[int] = []
        size = 0
        while self.waiting and len(taken) < _BATCH:
            size += len(self.lines[self.waiting[0]])
            if taken and size > _BATCH_BYTES:
                break
            taken.append(self.waiting.popleft())
        return taken

    def settle(self, number: int, reply: Reply) -> None:
        self.replies[number] = reply
        self.open -= 1


class _Process:
    """One `python -m otr.evaluation.math.equality` and the questions that it has been sent."""

    def __init__(self, seconds: float, memory: int) -> None:
        limits = [f"--seconds={seconds}", f"--wall-seconds={seconds * _WALL}", f"--memory={memory}"]
        command = [sys.executable, "-m", "otr.evaluation.math.equality", *limits]
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._input: IO[bytes] = self._popen.stdin
        self.output: IO[bytes] = self._popen.stdout
        self._sent: deque[int] = deque()
        self._unread = b""
        self._is_up = False

    def receive(self, work: _Work) -> bool:
        """Take the replies that have come in; False when the process is at its end."""
        received = self.output.read(65_536)
        if not received:
            self._bury(work)
            return False
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            if not self._is_up:
                self._is_up = True
            elif not self._take(json.loads(line), work):
                return False
        return True

    def _take(self, answer: dict[str, Any], work: _Work) -> bool:
        """Note an answer; False when it is the last one of this process, which ends itself once it has grown large."""
        yes, large = answer["yes"], answer["memory"]
        work.settle(self._sent.popleft(), Reply(yes, answer["rule"], "memory" if large and not yes else ""))
        if large:
            work.waiting.extendleft(reversed(self._sent))
        return not large

    def send(self, work: _Work) -> bool:
        """Send the next questions to a process that has none; False when it is at its end."""
        if not self._is_up or self._sent:
            return True
        self._sent.extend(work.batch())
        try:
            view = memoryview(b"".join(work.lines[number] for number in self._sent))
            while view:
                view = view[self._input.write(view) :]
        except BrokenPipeError:
            self._bury(work)
            return False
        return True

    def _bury(self, work: _Work) -> None:
        """Settle the question that ended the process, and give back those that it had not begun."""
        code = self._popen.wait()
        if not self._is_up:
            raise RuntimeError(
                f"python -m otr.evaluation.math.equality does not start (exit status {code}); see its messages"
            )
        if self._sent:
            failed = "timeout" if code in (-signal.SIGPROF, -signal.SIGALRM) else "crash"
            work.settle(self._sent.popleft(), Reply(yes=False, failed=failed))
            work.waiting.extendleft(reversed(self._sent))

    def end(self) -> None:
        self._popen.kill()
        self._popen.wait()
        self._input.close()
        self.output.close()
