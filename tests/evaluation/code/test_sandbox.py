"""Hostile programs, run for real: none may pass, harm anything, or stop the others."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from evaluation.code.sandboxes import TOOLS, available

from otr.errors import UserError
from otr.evaluation.code.sandbox import sandbox as sandboxes
from otr.evaluation.code.sandbox.sandbox import SCRATCH_BYTES, Sandbox, choose, prove, run, share_of_a_core
from otr.evaluation.code.verdicts import Task, grade

SECRET = "swordfish-5521"
ROW = {
    "task_id": "HumanEval/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "base_input": [[1], [2], [3]],
    "plus_input": [[5], [-1], [10**30]],
    "atol": 0,
}
GOOD = "def double(x):\n    return x + x\n"


@pytest.fixture(params=list(TOOLS))
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return available(request.param)


@pytest.fixture(params=[*TOOLS, "none"])
def any_sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return Sandbox("none") if request.param == "none" else available(request.param)


def judged(sandbox: Sandbox, programs: dict[str, str]) -> dict[str, str]:
    """The reason of each program's verdict. A good program before and one behind them must pass in the same call."""
    texts = (GOOD, *programs.values(), GOOD + "# again\n")
    (outcomes,) = grade([Task("humaneval", ROW, texts)], sandbox, workers=1)
    assert outcomes[0].reason == outcomes[-1].reason == "pass"
    assert not any(outcome.correct for outcome in outcomes[1:-1]), dict(zip(programs, outcomes[1:-1], strict=True))
    return {name: outcome.reason for name, outcome in zip(programs, outcomes[1:-1], strict=True)}


def test_the_sandbox_is_proved(any_sandbox: Sandbox) -> None:
    prove(any_sandbox)


def test_an_open_sandbox_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    available("unshare")
    monkeypatch.setitem(sandboxes._COMMANDS, "unshare", sandboxes._unconfined)
    with pytest.raises(sandboxes.SandboxError, match="sees files outside"):
        prove(Sandbox("unshare"))


def test_no_sandbox_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes.shutil, "which", lambda tool: None)
    with pytest.raises(UserError, match="no `bwrap` on this machine.*install bubblewrap.*allow_unsandboxed: true"):
        choose(allow_unsandboxed=False)
    assert choose(allow_unsandboxed=True).kind == "none"


def test_the_next_kind_is_taken_where_the_first_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in TOOLS:
        available(kind)
    monkeypatch.setitem(sandboxes._COMMANDS, "bubblewrap", lambda folder: ["false"])
    assert choose(allow_unsandboxed=False).kind == "unshare"


QUICK = {
    "fork bomb": "import os\ndef double(x):\n    while True:\n        os.fork()\n",
    "fork bomb at load": "import os\nwhile True: os.fork()\n",
    "raw fork": """
import ctypes, os
def double(x):
    libc = ctypes.CDLL(None)
    made = [libc.fork(), libc.syscall(56, 17, 0, 0, 0, 0), libc.syscall(435, 0, 0)]
    os._exit(0) if max(made) >= 0 else None
""",
    "threads": "import threading\ndef double(x):\n    threading.Thread(target=print).start()\n    return 2 * x\n",
    "program": "import subprocess\ndef double(x):\n    return subprocess.run(['true']).returncode + 2 * x\n",
    "exec": "import os\ndef double(x):\n    os.execv('/bin/sh', ['sh', '-c', 'sleep 100'])\n",
    "100 GB": "def double(x):\n    return len(bytearray(100 * 2**30)) and 2 * x\n",
    "kill parent": "import os\ndef double(x):\n    os.kill(os.getppid(), 9)\n    return 2 * x\n",
    "kill all": "import os\ndef double(x):\n    os.kill(-1, 9)\n    return 2 * x\n",
    "sys.exit": "import sys\ndef double(x):\n    sys.exit(0)\n",
    "sys.exit at load": "import sys\nsys.exit(0)\n",
    "os._exit": "import os\ndef double(x):\n    os._exit(0)\n",
    "os._exit at load": "import os\nos._exit(0)\n",
    "segfault": "import ctypes\ndef double(x):\n    ctypes.string_at(0)\n",
    "no function": "x = 1\n",
    "no Python": "def double(x:\n",
    "nested source": "x = " + "(" * 100_000,
    "large value": "def double(x):\n    return 'x' * 100_000_000\n",
    "endless value": "import itertools\ndef double(x):\n    return bytes(70_000_000)\n",
    "deep value": "def double(x):\n    found = []\n    for _ in range(100_000): found = [found]\n    return found\n",
    "circular value": "def double(x):\n    found = []\n    found.append(found)\n    return found\n",
    "deep and crashing": """
import sys
sys.setrecursionlimit(10**9)
def double(x):
    return double(x)
""",
    "lying object": """
class Liar:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
def double(x): return Liar()
""",
    "lying int": """
class Liar(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def double(x): return Liar(0)
""",
    "lying array": """
import numpy
class Liar(numpy.ndarray):
    def __eq__(self, other): return True
def double(x): return numpy.zeros(1).view(Liar)
""",
    "patched frames": """
import gc, sys
def double(x):
    frame = sys._getframe()
    while frame is not None:
        for scope in (frame.f_locals, frame.f_globals):
            for name in ("stat", "progress", "details", "expected", "exp", "exact_match", "fast_check"):
                if hasattr(scope.get(name), "value"): scope[name].value = 0
                scope[name] = True
        frame = frame.f_back
    for found in gc.get_objects():
        if type(found).__name__ in ("Synchronized", "SynchronizedArray"): found.value = 0
    return None
""",
    "patched builtins": """
import builtins, json
for name in ("all", "any", "isinstance", "len", "abs", "set"):
    setattr(builtins, name, lambda *arguments: True)
def double(x): return None
""",
    "patched json": """
import json
json.dumps = lambda *arguments, **options: '["value", true]'
def double(x): return 0
""",
    "patched modules": """
import sys
for module in list(sys.modules.values()):
    for name in ("encode", "decode", "untrusted_check", "unsafe_execute"):
        if hasattr(module, name): setattr(module, name, lambda *arguments: True)
def double(x): return 0
""",
    "forged messages": """
import os
def double(x):
    for text in (b'["value", true]', b'["pass"]', b'{"stat": 0}', b'["value", ["object"]]', b'[' * 100_000):
        for descriptor in range(64):
            try: os.write(descriptor, len(text).to_bytes(4, 'big') + text)
            except OSError: pass
    os._exit(0)
""",
    "forged length": """
import os
for descriptor in range(3, 64):
    try: os.write(descriptor, b'\\xff' * 100)
    except OSError: pass
def double(x): return 0
""",
    "closed channel": "import os\nos.closerange(0, 64)\ndef double(x): return 2 * x\n",
    "lifted limits": """
import resource
def double(x):
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return 2 * x
""",
}
ANSWERS = {
    "100 GB": "memory",
    "sys.exit": "error",
    "os._exit": "crash",
    "os._exit at load": "crash",
    "no function": "load",
    "no Python": "load",
    "large value": "size",
    "lying object": "fail",
    "lying int": "fail",
    "patched frames": "fail",
}


@pytest.mark.slow
def test_hostile_programs_fail_and_the_others_pass(any_sandbox: Sandbox) -> None:
    reasons = judged(any_sandbox, QUICK)
    assert {name: reasons[name] for name in ANSWERS} == ANSWERS


ENDLESS = {
    "loop in C": "def double(x):\n    return sum(iter(int, 1))\n",
    "output": "def double(x):\n    while True: print('x' * 10_000)\n",
    "deaf": """
import signal
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
def double(x):
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
    "patient fork bomb": """
import os
def double(x):
    while True:
        try: os.fork()
        except OSError: pass
""",
}


@pytest.mark.slow
def test_endless_programs_are_ended() -> None:
    """Twice 4 seconds each: a clock outside ends them, whatever the kind of the sandbox."""
    assert set(judged(choose(allow_unsandboxed=True), ENDLESS).values()) == {"timeout"}


def test_a_loop_at_load_ends(sandbox: Sandbox) -> None:
    """Within the limit of the load, not evalplus's 60 seconds."""
    started = time.monotonic()
    with sandbox.start() as worker:
        worker.channel.send({"source": "while True: pass", "entry_point": "f"})
        with pytest.raises(TimeoutError):
            worker.channel.receive(0.5)
    assert time.monotonic() - started < 10
    assert not Path(f"/proc/{worker.pid}").exists()


def test_nothing_outside_is_written_read_or_deleted(sandbox: Sandbox, tmp_path: Path) -> None:
    results = tmp_path / "results" / "eval"
    results.mkdir(parents=True)
    (results / "score.json").write_text("{}")
    tests = Path(__file__).parent
    before = sorted(tests.iterdir())
    source = """
import os, shutil
def attack(paths):
    done = []
    for path in paths:
        attempts = {
            "wrote": lambda: open(os.path.join(path, "harm"), "w"),
            "made": lambda: os.mkdir(os.path.join(path, "harm-folder")),
            "linked": lambda: os.symlink("/", os.path.join(path, "harm-link")),
            "changed": lambda: os.chmod(path, 0o777),
            "read": lambda: open(os.path.join(path, "score.json")).read(),
            "deleted": lambda: os.unlink(os.path.join(path, "score.json")),
            "deleted all of": lambda: shutil.rmtree(path),
        }
        for what, attempt in attempts.items():
            try:
                attempt()
                done.append(f"{what} {path}")
            except OSError:
                pass
    return done
"""
    paths = [str(path) for path in (results, Path.home(), tests, tmp_path)]
    assert run(sandbox, source, "attack", [[*paths, "/usr", "/bin", "/dev", "/code", "/"]]) == []
    assert (results / "score.json").read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert sorted(tests.iterdir()) == before
    assert not list(Path.home().glob("harm*"))


def test_secrets_are_out_of_reach(any_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTR_SECRET", SECRET)
    source = """
import glob, os, subprocess, sys
def attack():
    found = [repr(dict(os.environ)), repr(sys.argv), repr(os.sched_getaffinity)]
    for path in ["/proc/self/environ", "/proc/1/environ", *glob.glob("/proc/[0-9]*/environ")] if CONFINED else []:
        try: found.append(open(path, "rb").read().decode(errors="replace"))
        except OSError: pass
    return found
"""
    source = source.replace("CONFINED", str(any_sandbox.kind != "none"))
    found = run(any_sandbox, source, "attack", [])
    assert found and not any(SECRET in text for text in found)


def test_the_network_is_out_of_reach(any_sandbox: Sandbox) -> None:
    source = """
import ctypes, socket
def attack(port):
    done = []
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port)), (socket.AF_UNIX, "\\0otr"),
    ):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                socket.socket(family, kind).connect(address)
                done.append(repr((family, kind)))
            except OSError:
                pass
    return done + [f"raw {number}" for number in (41, 198) if ctypes.CDLL(None).syscall(number, 2, 1, 0) > 2]
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        assert run(any_sandbox, source, "attack", [listener.getsockname()[1]]) == []
        with pytest.raises(TimeoutError):
            listener.accept()


def test_the_scratch_folder_is_small_and_goes_away(sandbox: Sandbox) -> None:
    source = """
import os
def fill():
    written = 0
    try:
        for number in range(100):
            with open(f"file{number}", "wb", buffering=0) as file:
                while True:
                    written += file.write(bytes(1 << 20))
    except OSError as error:
        first = written
    for number in range(100):
        try:
            with open(f"more{number}", "wb", buffering=0) as file:
                written += file.write(bytes(1 << 20))
        except OSError:
            pass
    return written
"""
    assert 1 << 20 < run(sandbox, source, "fill", []) <= SCRATCH_BYTES
    assert run(sandbox, "import os\ndef files(): return os.listdir('.')", "files", []) == []


@pytest.mark.parametrize("path", [lambda: os.getcwd(), lambda: str(Path(sandboxes.__file__).parents[4])])
def test_the_checkout_is_not_seen(sandbox: Sandbox, path: Callable[[], str]) -> None:
    source = "import os\ndef seen(path): return os.path.exists(path + '/pyproject.toml')"
    assert run(sandbox, source, "seen", [path()]) is False


def test_the_share_of_a_core_tells_a_busy_machine_from_a_slow_program() -> None:
    started = time.monotonic()
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    sleeping = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        time.sleep(1)
        assert share_of_a_core(sleeping.pid, time.monotonic() - started) == 1.0  # slow of its own
        assert 0 < share_of_a_core(spinning.pid, time.monotonic() - started) <= 1.0
        assert share_of_a_core(spinning.pid, 1000.0) < 0.01  # as if it had waited for a core nearly all the time
    finally:
        for process in (spinning, sleeping):
            process.kill()
            process.wait()
