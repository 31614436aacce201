"""JSON messages over a stream socket, each behind its length: b"\\x00\\x00\\x00\\x04null"."""

import json
import os
import select
from typing import Any

LARGEST = 64 * 1024**2
"""Bytes of a message; the largest expected value of HumanEval+ seen takes 12 million."""


class TooLarge(Exception):
    """A message over the limit."""


class Channel:
    """One end, by its file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: object) -> None:
        """TooLarge before anything is sent; OSError when the other end is gone."""
        body = json.dumps(message).encode()
        if len(body) > LARGEST:
            raise TooLarge
        view = memoryview(len(body).to_bytes(4, "big") + body)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def receive(self, seconds: float | None = None) -> Any:
        """The next message. EOFError when the other end is gone, TimeoutError when it says nothing for `seconds`,
        TooLarge, or ValueError for what is no message."""
        size = int.from_bytes(self._read(4, seconds), "big")
        if size > LARGEST:
            raise TooLarge
        return json.loads(self._read(size, seconds))

    def _read(self, size: int, seconds: float | None) -> bytes:
        found = bytearray()
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while len(found) < size:
            if seconds is not None and not poll.poll(1000 * seconds):
                raise TimeoutError
            part = os.read(self._descriptor, min(size - len(found), 1 << 20))
            if not part:
                raise EOFError
            found += part
        return bytes(found)
