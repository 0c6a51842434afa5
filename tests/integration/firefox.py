"""A page in Firefox, driven over WebDriver BiDi (https://w3c.github.io/webdriver-bidi), without a driver program."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

FIREFOX = os.environ.get("HISTOSGE_FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
# a browser that starts on a busy machine
_START_S = 120


class Firefox:
    """A headless Firefox with a new profile and one page; use it in a ``with`` statement."""

    def __init__(self, profile: Path) -> None:
        assert FIREFOX
        self.messages: list[str] = []
        self._calls = 0
        # in a thread of its own, as playwright's occupies the first
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        # the address to connect to stands in what Firefox prints
        self._log = profile / "printed.txt"
        command = [
            FIREFOX,
            "--headless",
            "--no-remote",
            "--profile",
            str(profile),
            "--remote-debugging-port=0",
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self._wait(self._connect())
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Firefox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wait(self._disconnect())
        self._stop()

    def open(self, path: Path, width: int, height: int) -> None:
        """Show a report in a window of this size, and wait until it says that it is ready."""
        self.messages.clear()
        size = {"width": width, "height": height}
        self._call("browsingContext.setViewport", context=self._page, viewport=size)
        self._call("browsingContext.navigate", context=self._page, url=path.as_uri(), wait="complete")
        self.until("document.body.hasAttribute('data-ready')")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, as JSON carries it."""
        answer = self._call(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": self._page},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"].get("value", "null"))

    def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + 60
        while not self.evaluate(f"!!({condition})"):
            assert time.monotonic() < until, condition
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        x, y = self.evaluate(
            f"(b => [b.x + b.width / 2, b.y + b.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        steps: list[dict[str, Any]] = [{"type": "pointerMove", "x": int(x), "y": int(y)}]
        steps += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        self._perform({"type": "pointer", "id": "mouse", "actions": steps})

    def type(self, text: str) -> None:
        """Press the keys of a text, one after the other."""
        steps = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self._perform({"type": "key", "id": "keys", "actions": steps})

    def screenshot(self) -> np.ndarray:
        """Return what the window shows, rows × columns × RGB."""
        data = self._call("browsingContext.captureScreenshot", context=self._page)["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def _perform(self, actions: Mapping[str, Any]) -> None:
        self._call("input.performActions", context=self._page, actions=[dict(actions)])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._wait(self._answer(method, parameters))
        return answer

    def _wait(self, task: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(timeout=2 * _START_S)

    async def _connect(self) -> None:
        from aiohttp import ClientSession

        until = time.monotonic() + _START_S
        while not (found := re.search(r"ws://\S+", self._log.read_text())):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, self._log.read_text()
            await asyncio.sleep(0.1)
        self._session = ClientSession()
        self._socket = await self._session.ws_connect(f"{found.group(0)}/session", max_msg_size=0)
        await self._answer("session.new", {"capabilities": {}})
        await self._answer("session.subscribe", {"events": ["log.entryAdded"]})
        tree = await self._answer("browsingContext.getTree", {})
        self._page = tree["contexts"][0]["context"]

    async def _answer(self, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command and return its result; messages of the console that come before are kept."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": dict(parameters)})
        while True:
            received = json.loads(await self._socket.receive_str())
            if received.get("method") == "log.entryAdded":
                entry = received["params"]
                self.messages.append(f"{entry['level']}: {entry['text']}")
            if received.get("id") == self._calls:
                assert received["type"] == "success", received
                return dict(received["result"])

    async def _disconnect(self) -> None:
        await self._socket.close()
        await self._session.close()

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
