"""What every command-line stage shares: the experiment and log options, one-line errors, an end line."""

import argparse
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from otr import config
from otr.command import progress
from otr.errors import TemporaryError, UserError
from otr.files import wall
from otr.machine.provenance import provenance

STOPPED = ".stopped"
"""End of the name beside a log under which it is noted, a line each time, that a scheduler ended the job (SIGTERM)."""
REFUSED = ".refused"
"""The same for a user error: the job would end so again, and is not to be submitted again (otr/launch/refusals.py)."""


class Help(argparse.RawDescriptionHelpFormatter):
    """The module's own text as it is; behind an option its default, unless the option's text speaks of it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        told = "default" in text or action.default in (None, False, argparse.SUPPRESS)
        return text if told else f"{text} (default: %(default)s)"


class Command:
    """A command line with a log and an end line. Use `add` for its options, then work inside `work`:

        with command.work(arguments) as options: ...

    A UserError ends the process with its one line on the screen and exit status 2.
    """

    def __init__(self, command: str, description: str | None) -> None:
        self._parser = argparse.ArgumentParser(prog=command, description=description, formatter_class=Help)
        self._parser.add_argument("--log", type=Path, help="send all output but progress lines to this file")
        self.add = self._parser.add_argument

    @contextmanager
    def work(self, arguments: list[str] | None) -> Iterator[argparse.Namespace]:
        options = self._parser.parse_args(arguments)
        _close_stdin()
        provenance()  # of the code as it is now: a commit made while the stage runs is not what ran
        started = time.monotonic()
        self._end = ""
        _end_on_sigterm()
        try:
            if options.log:
                progress.log_to(options.log)
            yield options
        except UserError as error:
            progress.say(f"error: {error}")
            if options.log and not isinstance(error, TemporaryError):
                _note_refusal(options.log, str(error))
            sys.exit(2)
        except KeyboardInterrupt:
            progress.say("stopped")
            sys.exit(130)
        except SystemExit as end:
            if end.code == TERMINATED and options.log and "SLURM_JOB_ID" in os.environ:
                _note_stop(options.log)
            raise
        except Exception as error:
            if isinstance(error, OSError) and (reason := wall(error, options.log or Path.cwd())):
                progress.say(f"error: {reason}")
                if options.log:
                    _note_refusal(options.log, reason)
                sys.exit(2)
            if options.log:
                progress.say(f"error: {type(error).__name__}: {error}; the full account is in {options.log}")
                with suppress(OSError):
                    traceback.print_exc()
                sys.exit(1)
            raise
        if options.log:
            for note in (STOPPED, REFUSED):
                options.log.with_name(options.log.name + note).unlink(missing_ok=True)
        progress.say(f"{self._end} ({time.monotonic() - started:.0f} s)")

    def done(self, text: str) -> None:
        """The end line with the main figures; the duration is added."""
        self._end = text


class Stage(Command):
    """The command line of a stage that works for an experiment:

    with stage.run(arguments) as (experiment, options): ...
    """

    def __init__(self, command: str, description: str | None) -> None:
        super().__init__(command, description)
        self.add("--experiment", required=True, type=Path, help="an experiment file (YAML)")

    def add_folders(self) -> None:
        """The folders that sources are looked up in."""
        self.add("--data", type=Path, default=Path("data"), help="folder of relative `path` sources (default: data)")
        self.add("--generated", type=Path, nargs="?", default=Path("generated"), help="folder of the generator's files")

    @contextmanager
    def run(self, arguments: list[str] | None) -> Iterator[tuple[config.Experiment, argparse.Namespace]]:
        with self.work(arguments) as options:
            yield config.load(options.experiment), options


TERMINATED = 143
"""Exit status after SIGTERM."""


def _end_on_sigterm() -> None:
    """SIGTERM ends a stage as an exception does: what it holds is let go in order. Training answers it itself."""
    own = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != own:  # a forked worker, whose code may catch anything
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(TERMINATED)

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)


def _note_stop(log: Path) -> None:
    """Once a job, not once a rank."""
    if os.environ.get("RANK", "0") == "0":
        with suppress(OSError), log.with_name(log.name + STOPPED).open("a") as note:
            note.write(f"{os.environ['SLURM_JOB_ID']}\n")


def _note_refusal(log: Path, reason: str) -> None:
    with suppress(OSError):
        log.with_name(log.name + REFUSED).write_text(f"{reason}\n", encoding="utf-8")


def _close_stdin() -> None:
    """A stage has no one to ask: a library's question ("run the model's own code? y/N") must find no answer."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
