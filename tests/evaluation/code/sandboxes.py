"""The kinds of sandbox that work on this machine, for the tests that run programs in each."""

import shutil

import pytest

from otr.evaluation.code.sandbox.sandbox import Sandbox, SandboxError

TOOLS = {"bubblewrap": "bwrap", "unshare": "unshare"}


def available(kind: str) -> Sandbox:
    """The sandbox of a kind; the test is skipped where it does not come up."""
    if shutil.which(TOOLS[kind]) is None:
        pytest.skip(f"no {TOOLS[kind]} on this machine")
    try:
        with Sandbox(kind).start():
            return Sandbox(kind)
    except SandboxError as error:
        pytest.skip(f"{kind} does not start here: {error}")
