"""Leases of devices between real processes. The devices' names are given; their locks are real."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkouts import ROOT

from otr.config import Machine
from otr.errors import UserError
from otr.launch.preflight import gpus
from otr.machine.devices import installed, lease

PROGRAM = """
import os, sys
from pathlib import Path
from otr.command.progress import say
from otr.machine.devices import lease
lease(int(sys.argv[1]), sys.argv[3:], Path(sys.argv[2]), say=say)
code = "import os, sys; print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); sys.stdin.read()"
os.execv(sys.executable, [sys.executable, "-c", code])  # as otr.train becomes torchrun
"""
IDS = ["GPU-a", "GPU-b", "GPU-c"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes = []

    def started(count: int, ids: list[str] = IDS, **environment: str) -> "subprocess.Popen[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(count), str(tmp_path / "locks"), *ids],
            env=clean | {"PYTHONPATH": str(ROOT)} | environment,
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def line(stream: object) -> str:
    return stream.readline().strip()  # type: ignore[attr-defined, no-any-return]


def test_each_process_has_devices_of_its_own_and_waits_for_free_ones(start: Start) -> None:
    first, second = start(1), start(1)
    assert {line(first.stdout), line(second.stdout)} < {"0", "1", "2"}
    pair = start(2)
    assert line(pair.stderr) == "waiting for 2 of 3 GPUs to be free"
    free = next(iter({"0", "1", "2"} - set(both(first, second))))
    small = start(1)  # the third device is not held by the one that waits for two
    assert line(small.stdout) == free
    first.send_signal(signal.SIGKILL)
    second.send_signal(signal.SIGKILL)
    assert sorted(line(pair.stdout).split(",")) == sorted({"0", "1", "2"} - {free})


def both(*processes: "subprocess.Popen[str]") -> list[str]:
    """The devices in the processes' environments, as the system has them."""
    found = []
    for process in processes:
        variables = Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")
        found += [value.partition("=")[2] for value in variables if value.startswith("CUDA_VISIBLE_DEVICES=")]
    return found


def test_a_choice_made_before_is_kept_to(start: Start) -> None:
    """By a cluster's scheduler, which leaves as many as are needed, or by the user, who leaves a part."""
    assert line(start(2, CUDA_VISIBLE_DEVICES="2,1").stdout) == "2,1"
    assert line(start(1, CUDA_VISIBLE_DEVICES="2,1").stdout) == "2"
    assert line(start(1, CUDA_VISIBLE_DEVICES="GPU-c,GPU-b").stdout) == "GPU-b"
    assert line(start(1).stdout) == "0"
    assert line(start(1, CUDA_VISIBLE_DEVICES="").stdout) == ""


def test_no_devices_and_too_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert lease(1, [], tmp_path) == [] and "CUDA_VISIBLE_DEVICES" not in os.environ
    with pytest.raises(UserError, match="--gpus 4: this machine has 3"):
        lease(4, IDS, tmp_path)
    assert lease(4, ["GPU-a"], tmp_path, at_most=True) == ["0"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert lease(0, IDS, tmp_path) == [] and os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_nvidia_smi_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\ncat << END\nGPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5f)\n  MIG 1g.10gb Device 0: (UUID: MIG-1)\n"
        "GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-6a)\nEND\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert installed() == ["GPU-5f", "GPU-6a"]


def test_a_cluster_is_asked_for_as_many_as_a_model_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head node has none to count; `gpus: 0` still asks for none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus(Machine(experiment="micro"), cluster=False) == 0
    assert min(8, gpus(Machine(experiment="micro"), cluster=True)) == 8
    assert gpus(Machine(experiment="micro", gpus=0), cluster=True) == 0
