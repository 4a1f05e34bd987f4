"""A headless Chromium for tests, driven by the DevTools protocol over a pipe: no port, no driver, no download."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser; None: there is none."""

WHY_NOT = "no browser: none of chromium, chromium-browser, google-chrome in PATH"

CODES = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "PageUp": 33,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
"""The number of each key that is none of a letter."""

QUIET = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
"""What a page that has nothing to complain of does not cause."""

LAUNCH = """
import os, sys
for there, here in zip((3, 4), [os.dup(int(number)) for number in sys.argv[1:3]]):
    os.dup2(here, there)
    os.set_inheritable(there, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""It takes orders from descriptor 3 and answers on 4, whatever the pipes are here."""


class Browser:
    """A browser with one page.

    Args:
        orders: where what it is to do is written.
        answers: where it says what it did.

    """

    def __init__(self, orders: BinaryIO, answers: BinaryIO) -> None:
        self._orders = orders
        self._answers = answers
        self._number = 0
        self.session = ""
        self.events: list[dict[str, Any]] = []
        """Everything that it has told of unasked, in its order."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Have it do something, and return what it answers."""
        self._number += 1
        order: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self.session:
            order["sessionId"] = self.session
        self._orders.write(json.dumps(order).encode() + b"\0")
        self._orders.flush()
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self.events.append(told)

    def _next(self) -> dict[str, Any]:
        """Return what it says next: an answer, or an event."""
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has gone"
            text += byte
        told: dict[str, Any] = json.loads(text)
        return told

    def open(self, url: str, width: int, height: int = 900) -> None:
        """Show a page, as wide as a screen has room, and wait until it is loaded."""
        mobile = width < 700
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.events.clear()
        if "loaderId" not in self.ask("Page.navigate", url=url):
            return  # it is the same page, at another place
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, and wait until the page has done what it does then."""
        text = {"text": "\r" if key == "Enter" else key} if key == "Enter" or len(key) == 1 else {}
        code = ord(key.upper()) if len(key) == 1 else CODES[key]
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)
        self.value("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def complaints(self) -> list[str]:
        """Return what the page has written to its console, and what it raised."""
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in QUIET]

    def requests(self) -> list[str]:
        """Return the addresses of everything that was asked for since the page was opened."""
        asked = (event for event in self.events if event.get("method") == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in asked]

    def screenshot(self, whole: bool = True) -> bytes:
        """Return a picture of the page, as PNG."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser that knows no network, and end it."""
    assert CHROMIUM is not None, WHY_NOT
    orders_read, orders_write = os.pipe()
    answers_read, answers_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="longpin-browser-", ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", LAUNCH, str(orders_read), str(answers_write)),
                CHROMIUM,
                "--headless",
                "--no-sandbox",  # it shows a file that the test made, and may run as root
                "--remote-debugging-pipe",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={home}",
            ],
            env=os.environ | {"HOME": home, "TMPDIR": home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(orders_read, answers_write),
        )
        os.close(orders_read)
        os.close(answers_write)
        with os.fdopen(orders_write, "wb") as orders, os.fdopen(answers_read, "rb") as answers:
            try:
                its = Browser(orders, answers)
                yield its
                its.session = ""
                with suppress(AssertionError, OSError):
                    its.ask("Browser.close")
            finally:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
                process.wait()
