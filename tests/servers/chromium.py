"""A headless Chromium, driven over a pipe by its own protocol: shows a page, and reports its errors."""

import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import CACHE, need, once

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
)
#: The ends of the pipe, as Chromium expects them.
_READS, _WRITES = 3, 4
_PATIENCE = 180


def build() -> Path:
    """The path of the browser, which is installed if this is root on a Debian-like system."""
    if not _found() and os.geteuid() == 0 and shutil.which("apt-get"):
        folder = CACHE / "chromium"
        (folder / "complete").unlink(missing_ok=True)  # The cache is of another machine, or the browser was removed.
        once(folder, _install)
    return Path(_found() or need("chromium"))


def _found() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", *wait, *arguments], env=environment, check=True, capture_output=True)


class Page:
    """One page of the browser."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser, self._session = browser, session
        self.complaints: list[str] = []
        """Errors and warnings in the console, exceptions, and dialogs such as alert()."""

    def open(self, path: Path) -> None:
        """Loads a local file with its pictures."""
        loaded = "Page.loadEventFired"
        self._browser.seen(loaded, self)
        self.call("Page.navigate", url=path.as_uri())
        self._browser.wait_for(loaded, self)

    def looks(self, width: int, scheme: str, height: int = 900) -> None:
        """Sets the width of the window and the preferred colour scheme, `light` or `dark`."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(b64decode(shot["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol."""
        return self._browser.call(method, self._session, **parameters)

    def hear(self, method: str, told: dict[str, Any]) -> None:
        """Waits for an event of the page."""
        if method == "Page.javascriptDialogOpening":
            self.complaints.append(f"{told['type']}: {told['message']}")
            self._browser.send("Page.handleJavaScriptDialog", self._session, accept=True)
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {told['exceptionDetails']}")
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{told['type']}: {told['args']}")
        elif method == "Log.entryAdded":
            self.complaints.append(f"{told['entry']['level']}: {told['entry']['text']}")


class Browser:
    """A running browser, whose downloads are in `downloads`."""

    def __init__(self, to: int, back: int, downloads: Path) -> None:
        self._to, self._back, self.downloads = to, back, downloads
        self._numbers, self._buffer = itertools.count(1), b""
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: set[tuple[str, str]] = set()
        self._pages: dict[str, Page] = {}

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Opens an empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        try:
            yield page
        finally:
            self.call("Target.closeTarget", targetId=target)

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Calls a method and returns its answer."""
        number = self.send(method, session, **parameters)
        while number not in self._answers:
            self._listen(method)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def send(self, method: str, session: str = "", **parameters: Any) -> int:
        """Calls a method without waiting for the answer."""
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        data = json.dumps(said).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        return number

    def seen(self, event: str, page: Page) -> bool:
        """Whether the event has come since the last call."""
        key = (event, page._session)
        there = key in self._events
        self._events.discard(key)
        return there

    def wait_for(self, event: str, page: Page) -> None:
        """Waits until the event comes."""
        while not self.seen(event, page):
            self._listen(event)

    def _listen(self, what: str) -> None:
        """Reads the next messages."""
        ready, _, _ = select.select([self._back], [], [], _PATIENCE)
        data = os.read(self._back, 1 << 20) if ready else b""
        assert data, f"the browser {'ended' if ready else 'says nothing'}, asked for {what}"
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            session = message.get("sessionId", "")
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._events.add((message["method"], session))
                if session in self._pages:
                    self._pages[session].hear(message["method"], message["params"])


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in a folder."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [str(build()), *_FLAGS, *sandbox, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    (reads, to), (back, writes) = _far_pipe(), _far_pipe()
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    ends = [(os.POSIX_SPAWN_DUP2, reads, _READS), (os.POSIX_SPAWN_DUP2, writes, _WRITES)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[*silent, *ends], setpgroup=0)
    os.close(reads)
    os.close(writes)
    browser = Browser(to, back, folder / "downloads")
    try:
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(browser.downloads))
        yield browser
    finally:
        _end(browser, pid)
        os.close(to)
        os.close(back)


def _far_pipe() -> tuple[int, int]:
    """A pipe whose ends have other numbers than those of the browser."""
    near = os.pipe()
    far = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in near)
    for end in near:
        os.close(end)
    return far[0], far[1]


def _end(browser: Browser, pid: int) -> None:
    """Ends the browser by itself if it can, and kills its remaining processes."""
    with contextlib.suppress(OSError):
        browser.send("Browser.close")
    deadline = time.monotonic() + 10
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
