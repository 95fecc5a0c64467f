"""Firefox and WebKitGTK for the tests, by the standards that both speak: WebDriver BiDi and WebDriver.

Playwright drives its own builds of these two alone; here the browsers are those that readers have (Debian's packages
firefox-esr, webkit2gtk-driver and xvfb). Both classes open pages with ``go`` and run the body of an async JavaScript
function with ``run``.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import websocket

PATIENCE = 120  # seconds that a browser may take for one command


def program(*names: str) -> str | None:
    """Return the path of the first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None)


class Firefox:
    """A headless Firefox with a profile in ``folder``; ``storage`` false refuses cookies and all other storage."""

    needs = "firefox-esr"

    @staticmethod
    def found() -> bool:
        return program("firefox-esr", "firefox") is not None

    def __init__(self, folder: Path, storage: bool = True):
        self.saved = folder / "saved"
        self.saved.mkdir(parents=True)
        settings = {
            "browser.download.folderList": 2, "browser.download.dir": str(self.saved),
            "browser.shell.checkDefaultBrowser": False, "datareporting.policy.dataSubmissionEnabled": False,
            "network.cookie.cookieBehavior": 0 if storage else 2, "ui.prefersReducedMotion": 0,
        }  # fmt: skip
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        (folder / "user.js").write_text("\n".join(lines))
        command = [program("firefox-esr", "firefox"), "--headless", "--no-remote", "--profile", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--remote-debugging-port", "0"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env=os.environ | {"MOZ_HEADLESS": "1", "HOME": str(folder)},
        )  # fmt: skip
        patience = threading.Timer(PATIENCE, self.process.kill)  # ends the loop, if nothing else does
        patience.start()
        for line in self.process.stderr:
            if match := re.search(r"WebDriver BiDi listening on (\S+)", line):
                break
        else:
            raise RuntimeError("Firefox ended before it listened")
        patience.cancel()
        self.socket = websocket.create_connection(f"{match[1]}/session", timeout=PATIENCE, suppress_origin=True)
        self.count = 0
        self.errors = []
        self.ask("session.new", capabilities={})
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]
        self.ask("session.subscribe", events=["log.entryAdded"])

    def ask(self, method: str, **fields: object) -> dict:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": fields}))
        while True:
            said = json.loads(self.socket.recv())
            if said.get("method") == "log.entryAdded" and said["params"]["level"] == "error":
                self.errors.append(said["params"]["text"])
            if said.get("id") == self.count:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']}: {said['message']}")
                return said["result"]

    def go(self, address: str) -> None:
        self.ask("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def run(self, body: str) -> object:
        function = f"async () => JSON.stringify((await (async () => {{ {body} }})()) ?? null)"
        said = self.ask(
            "script.callFunction", functionDeclaration=function, awaitPromise=True, target={"context": self.context}
        )
        if said["type"] == "exception":
            raise RuntimeError(said["exceptionDetails"]["text"])
        return json.loads(said["result"]["value"])

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)


class WebKit:
    """WebKitGTK's small browser on a screen of its own; its storage is that of a fresh session."""

    needs = "webkit2gtk-driver and xvfb"

    @staticmethod
    def found() -> bool:
        return None not in (program("WebKitWebDriver"), program("Xvfb"))

    def __init__(self, folder: Path, storage: bool = True):
        self.saved, self.errors = folder, []
        folder.mkdir(parents=True, exist_ok=True)
        read, write = os.pipe()
        self.screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        display = os.read(read, 16).decode().strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        walls = {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"} if os.geteuid() == 0 else {}
        environment = os.environ | walls | {"DISPLAY": f":{display}", "HOME": str(folder)}
        self.process = subprocess.Popen(
            ["WebKitWebDriver", f"--port={port}"], env=environment, stderr=subprocess.DEVNULL
        )
        self.address = f"http://127.0.0.1:{port}/session"
        for _ in range(100):
            try:
                made = self.post("", {"capabilities": {"alwaysMatch": {}}})
                break
            except (ConnectionError, urllib.error.URLError):
                time.sleep(0.1)
        self.address += f"/{made['sessionId']}"
        self.post("/timeouts", {"script": PATIENCE * 1000, "pageLoad": PATIENCE * 1000})

    def post(self, path: str, fields: dict) -> object:
        request = urllib.request.Request(
            self.address + path, json.dumps(fields).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return json.load(reply)["value"]

    def go(self, address: str) -> None:
        self.post("/url", {"url": address})

    def run(self, body: str) -> object:
        ends = "(value) => done({ value: value ?? null }), (error) => done({ error: String(error) })"
        script = f"const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then({ends});"
        said = self.post("/execute/async", {"script": script, "args": []})
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["value"]

    def close(self) -> None:
        for process in (self.process, self.screen):
            process.terminate()
            process.wait(30)
