"""What every command-line stage shares: the experiment and log options, one-line errors, an end line."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from otr import config
from otr.command import progress
from otr.errors import UserError
from otr.files import wall
from otr.machine.provenance import provenance


class Help(argparse.RawDescriptionHelpFormatter):
    """The module's own text as it is; behind an option its default, unless the option's text speaks of it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        told = "default" in text or action.default in (None, False, argparse.SUPPRESS)
        return text if told else f"{text} (default: %(default)s)"


class Stage:
    """A stage's command line. Use `add` for its options, then work inside `run`:

        with stage.run(arguments) as (experiment, options): ...

    A UserError ends the process with its one line on the screen and exit status 2.
    """

    def __init__(self, command: str, description: str | None) -> None:
        self._parser = argparse.ArgumentParser(prog=command, description=description, formatter_class=Help)
        self._parser.add_argument("--experiment", required=True, type=Path, help="an experiment file (YAML)")
        self._parser.add_argument("--log", type=Path, help="send all output but a few calm lines to this file")
        self.add = self._parser.add_argument

    def add_folders(self) -> None:
        """The folders that sources are looked up in."""
        self.add("--data", type=Path, default=Path("data"), help="folder of relative `path` sources (default: data)")
        self.add("--generated", type=Path, nargs="?", default=Path("generated"), help="folder of the generator's files")

    @contextmanager
    def run(self, arguments: list[str] | None) -> Iterator[tuple[config.Experiment, Any]]:
        options = self._parser.parse_args(arguments)
        _close_stdin()
        provenance()  # of the code as it is now: a commit made while the stage runs is not what ran
        started = time.monotonic()
        self._end = ""
        try:
            if options.log:
                progress.log_to(options.log)
            yield config.load(options.experiment), options
        except UserError as error:
            progress.say(f"error: {error}")
            sys.exit(2)
        except KeyboardInterrupt:
            progress.say("stopped")
            sys.exit(130)
        except Exception as error:
            if isinstance(error, OSError) and (reason := wall(error, options.log or Path.cwd())):
                progress.say(f"error: {reason}")
                sys.exit(2)
            if options.log:
                progress.say(f"error: {type(error).__name__}: {error}; the full account is in {options.log}")
                with suppress(OSError):
                    traceback.print_exc()
                sys.exit(1)
            raise
        progress.say(f"{self._end} ({time.monotonic() - started:.0f} s)")

    def done(self, text: str) -> None:
        """The stage's end line with its main figures; its duration is added."""
        self._end = text


def _close_stdin() -> None:
    """A stage has no one to ask: a library's question ("run the model's own code? y/N") must find no answer."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
