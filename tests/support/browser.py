"""A headless Chromium of the system's over its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1400,1000",
]


class Page:
    """One tab; `errors` holds what its scripts threw, printed as errors, or could not load."""

    def __init__(self, socket):
        self._socket, self._id, self.errors = socket, 0, []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params):
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": params}))
        while True:
            said = json.loads(self._socket.recv(timeout=30))
            if said.get("id") == self._id:
                assert "error" not in said, said["error"]
                return said["result"]
            self._note(said)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression: str):
        """The value of a JavaScript expression; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 20):
        """The first value of a JavaScript expression that counts as true; promises are awaited."""
        until = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < until, f"{expression}\nnot after {seconds} s; {self.said()}"
            time.sleep(0.05)
        return value

    def said(self) -> str:
        """The address, the visible text and the errors of the page, for the message of a test that fails."""
        text = self.evaluate("document.body ? document.body.innerText : ''")
        return f"{self.evaluate('location.href')} shows\n{text}\nerrors: {self.errors}"

    def fill(self, field: str, text: str) -> None:
        """Type into the field that this JavaScript expression finds, in place of what it holds."""
        self.evaluate(f"(e => {{ e.scrollIntoView({{block: 'center'}}); e.focus(); e.select(); }})({field})")
        self.call("Input.insertText", text=text)

    def press(self, x: float, y: float) -> None:
        """The left button of the mouse, at a point of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path) -> None:
        """What the window shows, as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _note(self, said: dict) -> None:
        params = said.get("params", {})
        if said.get("method") == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"])
        if said.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"])


@contextmanager
def browser() -> Iterator[Page]:
    """A fresh browser with one empty tab."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = _port(Path(profile, "DevToolsActivePort"))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                [tab] = [t for t in json.load(answer) if t["type"] == "page"]
            with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(20)


def _port(file: Path) -> int:
    until = time.monotonic() + 60
    while not (file.exists() and file.read_text(encoding="utf-8")):
        assert time.monotonic() < until, "chromium did not start"
        time.sleep(0.1)
    return int(file.read_text(encoding="utf-8").splitlines()[0])
