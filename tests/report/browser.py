"""A real headless Chromium, driven through its debugging pipe: file descriptors 3 and 4, JSON messages that end with a
zero byte. No port is opened and no package is needed."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
]


def find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page of one browser; what it asked for and what it complained about is kept."""

    def __init__(self, program: str, profile: Path) -> None:
        self._profile = profile
        from_test, self._to_browser = os.pipe()
        self._from_browser, to_test = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]

        def at_three_and_four() -> None:
            # By way of high numbers: either pipe may already be 3 or 4.
            os.dup2(from_test, 103)
            os.dup2(to_test, 104)
            os.dup2(103, 3)
            os.dup2(104, 4)

        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=at_three_and_four,  # noqa: PLW1509
            start_new_session=True,
        )
        os.close(from_test)
        os.close(to_test)
        self._number, self._buffer = 0, b""
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(10)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, 9)
                self._process.wait()
            os.close(self._to_browser)
            os.close(self._from_browser)

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a command of the DevTools protocol; RuntimeError with what the browser says is wrong."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(60)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from_browser], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self._from_browser, 1 << 16) if ready else b""
            if not data:
                raise RuntimeError("the browser says nothing")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, details: Any) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(details["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(details["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(json.dumps(details["entry"]))

    def open(self, file: Path, at: str = "", width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Loads the file anew, at a fragment such as "#table1", and waits until it is there."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        # By way of an empty page: another fragment alone would load nothing, and while one document replaces another
        # the browser answers for either.
        for address in ("about:blank", file.resolve().as_uri() + at):
            self.call("Page.navigate", url=address)
            protocol = address.partition(":")[0] + ":"
            while not self.holds(f"location.protocol === '{protocol}' && document.readyState === 'complete'"):
                time.sleep(0.05)

    def holds(self, condition: str) -> bool:
        """False as well where the page goes to another address while it is asked."""
        try:
            return bool(self.run(condition))
        except RuntimeError as error:
            if "navigated" not in str(error):
                raise
            return False

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; RuntimeError when it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key on whatever has the focus."""
        event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self) -> bytes:
        """The visible part as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])
