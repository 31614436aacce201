"""A stage's finished outputs, kept where Snakemake's removal of outputs does not reach.

Snakemake deletes a rule's outputs before it runs the rule again, also where the rerun turns out to be needless: a
results tree copied without its times, an upstream file that was made again with the same content. A stage that costs
hours therefore keeps its outputs under a second name beside them, and takes them back when it is started with the same
content:

    <folder>/checkpoint/model.safetensors
    <folder>/.finished/3f0c.../checkpoint/model.safetensors    the same file (a hard link: it takes no room)
    <folder>/.finished/3f0c.../finished.json                   what decided it, and the SHA-256 of each file

    finished = Finished(folder, ["checkpoint", "run.json"], {"data_sha256": ..., "beta": -0.1}, rule="train")
    if not finished.adopt():
        ...                                                    # hours
        finished.keep()

Only the last finished outputs are kept: a retraining that was started by mistake and stopped costs nothing.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from otr.command.progress import say
from otr.errors import UserError
from otr.files import Row, read_record, replacing, sha256, visible_files, write_record

AGAIN = "OTR_AGAIN"
"""Environment variable: rules and files that Snakemake's --forcerun and --force name, by line; * for --forceall."""


class Finished:
    def __init__(self, folder: Path, names: Sequence[str], identity: Row, rule: str) -> None:
        """names: files and folders inside `folder`; identity: the content that decides them, as JSON has it."""
        self._folder = folder
        self._names = names
        self._identity = identity
        self._rule = rule
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self._kept = folder / ".finished" / key

    def adopt(self) -> bool:
        """Put the outputs kept from this very content back in their place. False when there are none, when one of their
        files is damaged, or when the rule was forced to run again."""
        if not self._kept.is_dir() or is_forced(self._rule, [self._folder / name for name in self._names]):
            return False
        try:
            check(self._kept)
        except UserError as error:
            say(f"not taken over: {error}")
            shutil.rmtree(self._kept)
            return False
        for name in self._names:
            _link(self._kept / name, self._folder / name)
        return True

    def keep(self) -> None:
        """Give the outputs their second name; those of other content lose theirs."""
        with replacing(self._kept) as temporary:
            temporary.mkdir()
            for name in self._names:
                _link(self._folder / name, temporary / name)
            files = {str(file.relative_to(temporary)): sha256(file) for file in visible_files(temporary)}
            write_record(temporary / "finished.json", {"identity": self._identity, "files": files})
        for other in self._kept.parent.iterdir():
            if other != self._kept:
                shutil.rmtree(other, ignore_errors=True)


def check(kept: Path, full: bool = False) -> None:
    """UserError when a kept file is missing or is not the one that was kept."""
    for name, expected in read_record(kept / "finished.json")["files"].items():
        file = kept / name
        if not file.is_file() or sha256(file, full) != expected:
            raise UserError(f"{file}: is damaged or missing; delete {kept} and run again")


def is_forced(rule: str, outputs: Sequence[Path]) -> bool:
    """Whether the user asked Snakemake to make a rule's outputs again."""
    forced = set(os.environ.get(AGAIN, "").splitlines())
    return not forced.isdisjoint({"*", rule, *map(str, outputs)})


def _link(source: Path, target: Path) -> None:
    """Make `target` a second name of a file, or of a folder's visible files; a copy where names cannot be shared."""
    with replacing(target) as temporary:
        if source.is_file():
            _link_file(source, temporary)
            return
        temporary.mkdir()
        for file in visible_files(source):
            (temporary / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            _link_file(file, temporary / file.relative_to(source))


def _link_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
