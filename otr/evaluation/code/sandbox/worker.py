"""Inside the sandbox: one solution is loaded, and calls to its function are answered. Nothing here is trusted.

    <- {"source": "def f(x): ...", "entry_point": "f"}      -> ["value", null]
    <- ["list", 3]                 (the arguments)          -> ["value", 9]  or  ["error", "TypeError"]

Run by otr.evaluation.code.sandbox.sandbox, with its settings as one JSON argument and the channel as standard input.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from otr.evaluation.code.sandbox import confinement
from otr.evaluation.code.sandbox.channel import Channel, TooLarge
from otr.evaluation.code.sandbox.values import decode, encode


def main() -> None:
    settings = json.loads(sys.argv[1])
    channel = Channel(os.dup(0))
    nothing = os.open("/dev/null", os.O_RDWR)
    if settings["root"]:
        confinement.enter_root(settings["root"], settings["visible"], settings["scratch_bytes"])
    confinement.limit(settings["memory"], settings["seconds"], settings["scratch_bytes"])
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    sys.argv = [""]
    sys.path.append(settings["packages"])
    channel.send(["value", "ready"])
    _serve(channel)


def _serve(channel: Channel) -> None:
    request = channel.receive()
    function: Any = None

    def load() -> None:
        nonlocal function
        scope: dict[str, Any] = {}  # as evalplus does: __name__ is not __main__
        exec(request["source"], scope)
        function = scope[request["entry_point"]]

    _reply(channel, load)
    while True:
        arguments = decode(channel.receive())
        _reply(channel, partial(function, *arguments))


def _reply(channel: Channel, work: Callable[[], Any]) -> None:
    try:
        channel.send(["value", encode(work())])
    except TooLarge:
        channel.send(["error", "size"])
    except BaseException as error:  # sys.exit() too: it ends this call, not the worker
        channel.send(["error", type(error).__name__[:100]])
