"""The function that evalplus checks: it stands in for a solution and asks a worker for its values.

evalplus executes a text and calls a function of it, in a process of its own (a fork of ours). The text is
`text(entry_point)`, not the solution: the solution is with the worker. What went wrong with a call is noted, since
evalplus says only "fail".
"""

import multiprocessing
from collections.abc import Callable
from typing import Any

from evalplus.eval.utils import TimeoutException

from otr.evaluation.code.sandbox.channel import Channel, TooLarge
from otr.evaluation.code.sandbox.values import decode, encode

LOAD_SECONDS = 10.0
"""For a solution's top level; evalplus has no limit of its own there but that for all tests together."""
CALL_SECONDS = 120.0
"""For a call, where evalplus has not set its own, shorter limit."""

REASONS = ("fail", "load", "error", "timeout", "memory", "crash", "size")
"""fail: a value of the function is not the expected one. load: the text does not run, or lacks the function. error: the
function raises. timeout: too slow. memory: MemoryError. crash: it took its process with it. size: an answer over the
limit, or one that cannot be read."""


class Remote:
    """The worker of one solution, as the functions of a proxy reach it."""

    def __init__(self, channel: Channel, source: str, entry_point: str) -> None:
        self._channel = channel
        self._request = {"source": source, "entry_point": entry_point}
        # Shared with evalplus's process
        self._noted = multiprocessing.Value("i", 0)
        self._answered = multiprocessing.Value("i", 0)

    @property
    def reason(self) -> str:
        return REASONS[self._noted.value]

    @property
    def answered(self) -> int:
        """Calls that had a value."""
        return int(self._answered.value)

    def load(self) -> Callable[..., Any]:
        """Have the worker load the solution. RemoteError where it cannot."""
        self._ask(self._request, LOAD_SECONDS, "load")
        return self._call

    def _call(self, *arguments: Any) -> Any:
        value = self._ask(encode(list(arguments)), CALL_SECONDS, "error")
        self._answered.value += 1
        return value

    def _ask(self, message: Any, seconds: float, failure: str) -> Any:
        try:
            self._channel.send(message)
            kind, form = self._channel.receive(seconds)
            if kind == "value":
                return decode(form)
            reason = {"size": "size", "MemoryError": "memory"}.get(str(form), failure)
        except (TimeoutException, TimeoutError):
            self._note("timeout")
            raise
        except (EOFError, OSError):
            reason = "crash"
        except (TooLarge, ValueError, TypeError, RecursionError, ArithmeticError, MemoryError):
            reason = "size"
        self._note(reason)
        raise RemoteError(reason)

    def _note(self, reason: str) -> None:
        self._noted.value = REASONS.index(reason)


class RemoteError(Exception):
    """A call that has no value."""


_remote: Remote | None = None


def attach(remote: Remote) -> None:
    """The worker that the next text's function asks."""
    global _remote
    _remote = remote


def load() -> Callable[..., Any]:
    assert _remote is not None
    return _remote.load()


def text(entry_point: str) -> str:
    """What evalplus executes in place of a solution."""
    return f"from otr.evaluation.code.sandbox.proxy import load\n{entry_point} = load()\n"
