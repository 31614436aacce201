"""GPUs of one machine, shared out to the processes that need them.

In: how many a process needs. Out: CUDA_VISIBLE_DEVICES, set to devices that no other process of this user was given:

    lease(1)        the first of two processes sets CUDA_VISIBLE_DEVICES=0, the second one 1, a third one waits

A lease is a lock on a file named after the device; the system lets go of it when the process ends, however that ends.
On a cluster the scheduler has chosen already and there is nothing left to choose.
"""

import fcntl
import getpass
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from otr.errors import UserError

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.5


def installed() -> list[str]:
    """The ids (GPU-...) of this machine's devices, in nvidia-smi's order; those alone that this process may see."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU \d+: .*\(UUID: (\S+)\)", listed, flags=re.MULTILINE)


def lease(
    count: int,
    ids: Sequence[str] | None = None,
    folder: Path | None = None,
    at_most: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Make `count` devices this process's own and set CUDA_VISIBLE_DEVICES; waits until they are free.

    Returns the devices as CUDA_VISIBLE_DEVICES names them; none where there are none, or no more than are needed were
    left visible by whoever started this process. `ids` are the machine's devices (default: `installed()`), `folder`
    is where the locks are, `say` tells the reader that this process waits. UserError
    when the machine has fewer than `count`, unless `at_most` so many are needed.
    """
    ids = installed() if ids is None else ids
    if not ids:
        return []
    if count == 0:
        os.environ[_VISIBLE] = ""
        return []
    chosen_before = os.environ.get(_VISIBLE)
    names = [str(index) for index in range(len(ids))] if chosen_before is None else _split(chosen_before)
    if chosen_before is not None and len(names) <= count:
        return []
    if at_most:
        count = min(count, len(names))
    if len(names) < count:
        raise UserError(f"--gpus {count}: this machine has {len(names)}; ask for fewer (config.yaml: gpus)")
    locks = {name: ids[int(name)] if name.isdigit() and int(name) < len(ids) else name for name in names}
    taken = _take(count, locks, folder or _folder(), say)
    os.environ[_VISIBLE] = ",".join(taken)
    if chosen_before is None:
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # nvidia-smi's numbers, which are not CUDA's own by default
    return taken


def _split(visible: str) -> list[str]:
    return [name.strip() for name in visible.split(",") if name.strip()]


def _folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "otr-devices" if base else Path(tempfile.gettempdir()) / f"otr-devices-{getpass.getuser()}"


def _take(count: int, locks: dict[str, str], folder: Path, say: Callable[[str], None]) -> list[str]:
    """Lock `count` devices at once: one process chooses at a time, so that none holds a part of what another needs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    waited = False
    while True:
        choosing = os.open(folder / "choosing", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(choosing, fcntl.LOCK_EX)
        try:
            held: dict[str, int] = {}
            for name, lock in locks.items():
                if len(held) < count and (handle := _try(folder / lock.replace("/", "-"))) is not None:
                    held[name] = handle
            if len(held) == count:
                return list(held)
            for handle in held.values():
                os.close(handle)
        finally:
            os.close(choosing)
        if not waited:
            say(f"waiting for {count} of {len(locks)} GPUs to be free")
            waited = True
        time.sleep(_POLL_SECONDS)


def _try(path: Path) -> int | None:
    """The file's handle, locked for as long as this process lives, also when it becomes torchrun; None if another
    process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    os.set_inheritable(handle, True)
    return handle
