"""A confined Python for code nobody vouches for: how it is started, and the proof that it is confined.

    sandbox = choose(allow_unsandboxed=False)          # bubblewrap, unshare; UserError where neither works
    with sandbox.start() as worker:
        worker.channel.send({"source": "def f(x): return 2 * x", "entry_point": "f"})

Each kind sees /usr, /lib*, /bin, the Python that runs it and its packages, all read-only, and a small folder of its
own, the only one that it can write to. No network, no other processes, no /proc, no home, an empty environment, no
output.
"none" (a user's explicit choice) has a process's limits alone: it can read and write whatever its user can.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from otr.errors import UserError
from otr.evaluation.code.sandbox.channel import Channel
from otr.evaluation.code.sandbox.confinement import DEVICES, SCRATCH
from otr.evaluation.code.sandbox.values import decode, encode

MEMORY = 4 * 1024**3
"""Bytes of address space, as evalplus allows."""
SECONDS = 90
"""Of processor time; evalplus ends a solution after 60 seconds of wall time."""
SCRATCH_BYTES = 32 * 1024**2
_START_SECONDS = 60.0
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"} | dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
_FOLDER = Path(__file__).resolve().parent
_CODE = "/code"  # where bubblewrap shows this folder

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class SandboxError(Exception):
    """A sandbox that does not come up, or does not hold; its text says why."""


@dataclass(frozen=True)
class Worker:
    """A process that waits for a solution, and the channel to it."""

    channel: Channel
    pid: int


@dataclass(frozen=True)
class Sandbox:
    kind: str
    """bubblewrap, unshare or none."""

    @contextmanager
    def start(self) -> Iterator[Worker]:
        """A fresh worker, killed with all that it holds when the block ends. SandboxError when it does not come up."""
        ours, theirs = socket.socketpair()
        with ours, tempfile.TemporaryDirectory(prefix="otr-sandbox-") as folder:
            with theirs:
                process = subprocess.Popen(
                    _COMMANDS[self.kind](folder),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=_ENVIRONMENT | dict.fromkeys(("HOME", "TMPDIR"), folder if self.kind == "none" else SCRATCH),
                    cwd=folder,
                    start_new_session=True,
                    preexec_fn=_mortal,
                )
            channel = Channel(ours.fileno())
            try:
                self._wait(process, channel)
                yield Worker(channel, process.pid)
            finally:
                process.kill()
                process.wait()
                assert process.stderr is not None
                process.stderr.close()

    def _wait(self, process: "subprocess.Popen[bytes]", channel: Channel) -> None:
        try:
            channel.receive(_START_SECONDS)
        except (EOFError, OSError):
            process.kill()
            assert process.stderr is not None
            said = process.stderr.read().decode(errors="replace").strip().splitlines() or ["it says nothing"]
            raise SandboxError(said[-1][:300]) from None


def share_of_a_core(pid: int, seconds: float) -> float:
    """The share of one core that a worker (`pid` and its descendants) had in `seconds`; 1 where none of its processes
    wants a core, since one that waits of its own will is slow by itself, and where the system does not tell."""
    parents: dict[int, list[int]] = {}
    states: dict[int, tuple[str, float]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent, *fields = entry.read_text().rpartition(")")[2].split()
            number = int(entry.parent.name)
            parents.setdefault(int(parent), []).append(number)
            states[number] = state, (int(fields[9]) + int(fields[10])) / os.sysconf("SC_CLK_TCK")
    family, found = [pid], list[tuple[str, float]]()
    while family:
        member = family.pop()
        family += parents.get(member, [])
        found += [states[member]] if member in states else []
    wants_a_core = any(state == "R" for state, _ in found)
    return min(1.0, sum(used for _, used in found) / seconds) if wants_a_core and seconds > 0 else 1.0


def _mortal() -> None:
    """In the child, before it becomes the sandbox: it dies with us, and first when memory runs out."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _python(root: str, visible: list[str], code: Path | str) -> list[str]:
    """The worker's command; `code`: the folder where it finds the package otr."""
    settings = {
        "root": root,
        "visible": visible,
        "packages": os.path.realpath(sysconfig.get_path("purelib")),
        "memory": MEMORY,
        "seconds": SECONDS,
        "scratch_bytes": SCRATCH_BYTES,
    }
    # Without site: it would read the packages' .pth files, which takes longer than all the rest of the start.
    program = (
        f"import sys; sys.path.append({str(code)!r}); from otr.evaluation.code.sandbox import worker; "
        "sys.path.pop(); worker.main()"
    )
    return [os.path.realpath(sys.executable), "-s", "-S", "-P", "-c", program, json.dumps(settings)]


@cache
def _visible() -> list[str]:
    """What a solution may read: the system's libraries, this Python, its packages."""
    system = ["/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache"]
    python = [
        os.path.realpath(sys.base_prefix),
        *(os.path.realpath(sysconfig.get_path(p)) for p in ("purelib", "platlib")),
    ]
    found: list[str] = []
    for path in [path for path in system if os.path.lexists(path)] + sorted(map(os.path.realpath, python)):
        if not any(Path(path).is_relative_to(other) for other in found):
            found.append(path)
    return found


def _bubblewrap(folder: str) -> list[str]:
    command = ["bwrap", "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    command += ["--die-with-parent", "--new-session", "--hostname", "sandbox"]
    for path in _visible():
        command += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    for path in DEVICES:
        command += ["--dev-bind", path, path]
    command += ["--ro-bind", str(_FOLDER), f"{_CODE}/otr/evaluation/code/sandbox"]
    command += ["--size", str(SCRATCH_BYTES), "--tmpfs", SCRATCH, "--remount-ro", "/", "--chdir", SCRATCH, "--"]
    return command + _python("", [], _CODE)


def _unshare(folder: str) -> list[str]:
    namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup"]
    command = ["unshare", *namespaces, "--fork", "--kill-child", "--"]
    return command + _python(folder, _visible(), _FOLDER.parents[3])


def _unconfined(folder: str) -> list[str]:
    return _python("", [], _FOLDER.parents[3])


_COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "bubblewrap": _bubblewrap,
    "unshare": _unshare,
    "none": _unconfined,
}
_TOOLS = {"bubblewrap": "bwrap", "unshare": "unshare"}


def choose(allow_unsandboxed: bool) -> Sandbox:
    """The first kind that is proved to hold on this machine. UserError, with the remedy, where there is none."""
    refused = []
    for kind, tool in _TOOLS.items():
        if shutil.which(tool) is None:
            refused.append(f"{kind}: no `{tool}` on this machine")
            continue
        try:
            prove(Sandbox(kind))
            return Sandbox(kind)
        except SandboxError as error:
            refused.append(f"{kind}: {error}")
    if allow_unsandboxed:
        prove(Sandbox("none"))
        return Sandbox("none")
    raise UserError(
        f"no sandbox for generated code ({'; '.join(refused)}): install bubblewrap, or allow user namespaces, or set "
        "`allow_unsandboxed: true` if this machine may be harmed"
    )


# What a solution can do, by trying it. What it makes it removes, should it succeed.
_PROBE = """
import os, socket
def tried(work):
    try:
        work()
        return True
    except OSError:
        return False
def made(folder):
    os.mkdir(folder + "/otr-probe")
    os.rmdir(folder + "/otr-probe")
def probe(secret, environment, confined):
    found = {
        "starts processes": tried(os.fork),
        "opens sockets": tried(socket.socket),
        "sends signals": tried(lambda: os.kill(os.getppid(), 0)),
        "has more in its environment": not set(environment).issuperset(os.environ),
        "cannot write to its scratch": not tried(lambda: made(os.environ["HOME"])),
        "is elsewhere than in its scratch": os.path.realpath(os.environ["HOME"]) != os.getcwd(),
    }
    if confined:
        found |= {
            "sees files outside": tried(lambda: os.stat(secret)),
            "sees processes": tried(lambda: os.listdir("/proc")),
            "writes to its libraries": tried(lambda: made(os.path.dirname(os.__file__))),
            "writes to its root": tried(lambda: made("/")),
        }
    return [what for what, succeeded in found.items() if succeeded]
"""


def prove(sandbox: Sandbox) -> None:
    """Run a program in the sandbox that tries to get out. SandboxError says in what it succeeded."""
    with tempfile.NamedTemporaryFile(prefix="otr-secret-") as secret:
        known = [*_ENVIRONMENT, "HOME", "TMPDIR", "PWD", "LC_CTYPE"]
        broken = run(sandbox, _PROBE, "probe", [secret.name, known, sandbox.kind != "none"])
    if broken:
        raise SandboxError(f"a program in it {', '.join(broken)}")


def run(sandbox: Sandbox, source: str, entry_point: str, arguments: list[Any]) -> Any:
    """The value of one call, in a worker of its own."""
    with sandbox.start() as worker:
        worker.channel.send({"source": source, "entry_point": entry_point})
        for message in (None, encode(arguments)):
            if message is not None:
                worker.channel.send(message)
            kind, value = worker.channel.receive(_START_SECONDS)
            if kind != "value":
                raise SandboxError(f"a program in it raises {value}")
    return decode(value)
