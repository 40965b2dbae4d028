"""A real browser without a window: Debian's Chromium, told what to do by its driver."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

from axe_core_python.base import AXE_SCRIPT
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from streams.handover.printing import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DRIVER = "chromedriver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)
DEADLINE_SECONDS = 60.0
MODULES = (
    "axis",
    "belief",
    "chart",
    "charts",
    "compared",
    "difference",
    "exact",
    "hall",
    "hero",
    "hub",
    "land",
    "moments",
    "news",
    "numbers",
    "ranks",
    "screen",
    "words",
    "world",
)
"""The page's, by the names that expressions use."""


def lacking() -> str | None:
    """Return what this machine lacks to run a browser, None where it has all."""
    if not any(map(shutil.which, NAMES)):
        return "Chromium is not installed (Debian: apt install chromium)"
    return None if shutil.which(DRIVER) else "Chromium's driver is not installed (Debian: apt install chromium-driver)"


Page = Any
"""What the fixture `page` gives: the value of an expression in which the page's modules go by their names."""

OVERFLOW = """
const width = document.documentElement.clientWidth;
const found = [...document.querySelectorAll('body *:not(.unseen, .land, .land *)')].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.left < -1 || box.right > width + 1);
});
if (document.documentElement.scrollWidth > width) found.push(document.documentElement);
return found.map((element) => element.tagName + '#' + element.id);
"""


class Browser:
    """One window. What goes wrong in it is collected: errors on the console, requests that failed."""

    def __init__(self, directory: Path) -> None:
        """Start it with a profile of its own."""
        options = Options()
        options.binary_location = next(filter(None, map(shutil.which, NAMES)))
        for flag in (*FLAGS, f"--user-data-dir={directory}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self._asked: dict[str, str] = {}
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER)))

    def close(self) -> None:
        """End it."""
        self.driver.quit()

    def size(self, width: int, height: int) -> None:
        """Have a window of so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def media(self, kind: str = "", **features: str) -> None:
        """Prefer what a reader may prefer: `prefers_color_scheme="light"`; `kind` is such as print."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": wanted})

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the script returns
        """Return what a script returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def module(self, expression: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever it is in JavaScript
        """Return the value of an expression in which the page's modules go by their names, and arguments by `given`."""
        imports = ", ".join(f"import('/{name}.js')" for name in MODULES)
        script = f"""
            const [given, done] = [[...arguments].slice(0, -1), arguments[arguments.length - 1]];
            Promise.all([{imports}]).then(async ([{", ".join(MODULES)}]) => done([await ({expression})]))
                .catch((error) => done(String(error)));
        """
        found = self.driver.execute_async_script(script, *arguments)
        assert isinstance(found, list), found
        return found[0]

    def text(self, identifier: str) -> str:
        """Return the text of an element."""
        return str(self.run("return document.getElementById(arguments[0]).textContent", identifier))

    def until(self, is_so: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
        """Return once `is_so`."""
        deadline = time.monotonic() + seconds
        while not is_so():
            state = self.run("return document.body.dataset.state + ': ' + document.getElementById('state').textContent")
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; the screen says {state}"
            time.sleep(0.05)

    def picture(self, path: Path) -> None:
        """Write what the window shows."""
        assert self.driver.save_screenshot(str(path))

    def problems(self) -> list[str]:
        """Return what went wrong since the last call."""
        console = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        found = [entry["message"] for entry in console if entry["level"] in {"SEVERE", "WARNING"}]
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                self._asked[event["params"]["requestId"]] = event["params"]["request"]["url"]
            if event["method"] == "Network.loadingFailed" and not event["params"].get("canceled"):
                address = self._asked.get(event["params"]["requestId"], "")
                # What the page asks elsewhere is found by `hosts`; the browser itself tries to reach its maker.
                if "//127.0.0.1" in address:
                    found.append(f"{event['params']['errorText']} from {address}")
            if event["method"] == "Network.responseReceived":
                answer = event["params"]["response"]
                if answer["status"] >= 400:
                    found.append(f"{answer['status']} from {answer['url']}")
        return found

    def hosts(self) -> set[str]:
        """Return the hosts that the page has asked for anything."""
        names = self.run("return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)")
        return set(names)

    def accessibility(self) -> list[str]:
        """Return what axe finds that matters to people: serious and critical."""
        self.run(AXE_SCRIPT)
        script = "axe.run(document).then(arguments[arguments.length - 1])"
        found = self.driver.execute_async_script(script)
        return [
            f"{violation['id']}: {node['target']} {node['failureSummary']}"
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
            for node in violation["nodes"]
        ]

    def overflows(self) -> list[str]:
        """Return the elements that stick out of the window at its sides."""
        return list(self.run(OVERFLOW))
