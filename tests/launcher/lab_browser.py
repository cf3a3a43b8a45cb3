"""JupyterLab as `./reproduce.sh lab` starts it, on a copy of the notebooks, and what a browser does on its page."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bctlib.base import locations

if TYPE_CHECKING:  # so that the tests can be collected, and skipped, without playwright
    from playwright.sync_api import Locator, Page

TOKEN = "bctlib-test"
START_S = 180
"""What a server may take to answer on a machine that is busy with other things."""


def find_chromium() -> str | None:
    """A Chromium on this machine, or None. `BCT_CHROMIUM` names one that has another name."""
    names = (os.environ.get("BCT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@contextmanager
def lab_server(folder: Path) -> Iterator[str]:
    """The address of a running JupyterLab whose root is `folder`; store, results and figures lie below it.

    notebooks/ of the project is copied there first. Jupyter's own settings and workspaces are there too, so that
    whatever the user of this machine has set is neither read nor changed.
    """
    hidden = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(locations.notebooks_dir(), folder / "notebooks", ignore=hidden)
    kept = {f"BCT_{name.upper()}": str(folder / name) for name in ("store", "results", "figures")}
    own = {
        f"JUPYTER{name}_DIR": str(folder / "jupyter" / name.strip("_").lower())
        for name in ("_CONFIG", "_DATA", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--no-browser", f"--port={port}", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={TOKEN}"]
    words += ["--ip=127.0.0.1", "--allow-root"]
    variables = {name: value for name, value in os.environ.items() if name != "BCT_PROGRESS"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "companion.launcher.main", "lab", *words],
            env=variables | kept | own, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/api/status?token={TOKEN}", server)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(url: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"JupyterLab did not answer at {url}; exit status {server.poll()}")


def _api(address: str, path: str, method: str = "GET") -> bytes:
    request = urllib.request.Request(f"{address}/api/{path}?token={TOKEN}", method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def shut_down_kernels(address: str) -> None:
    """End every kernel of the server."""
    for kernel in json.loads(_api(address, "kernels")):
        _api(address, f"kernels/{kernel['id']}", "DELETE")


@dataclass
class Run:
    """What was seen while all cells of a notebook ran. bars: (label, value) of progress bars, each change once."""

    seconds: float
    bars: list[tuple[str, float]]


@dataclass
class Lab:
    """A page on which JupyterLab is open. pictures: where `picture` puts screenshots, or None for nowhere."""

    page: Page
    pictures: Path | None = None

    def picture(self, name: str) -> None:
        """Save what is to be seen as NAME.png."""
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=self.pictures / f"{name}.png")

    def to_top(self) -> Locator:
        """Scroll to the notebook's beginning; gives what scrolls."""
        shown = self.notebook.locator(".jp-WindowedPanel-outer").first
        shown.evaluate("panel => panel.scrollTo(0, 0)")
        return shown

    def pictures_of_all(self, name: str) -> None:
        """The notebook from top to bottom, a screenful at a time, as NAME-00.png and on."""
        if not self.pictures:
            return
        shown, last = self.to_top(), -1.0
        for number in range(40):
            self.page.wait_for_timeout(700)  # what comes into view is drawn now
            self.picture(f"{name}-{number:02d}")
            place = shown.evaluate("panel => { panel.scrollBy(0, 0.9 * panel.clientHeight); return panel.scrollTop }")
            if place == last:
                return
            last = place

    def open_first_page(self, address: str) -> None:
        """As somebody who follows the address that the server prints."""
        self.page.goto(f"{address}/?token={TOKEN}")
        self.page.wait_for_selector(".jp-RenderedMarkdown h1", timeout=1000 * START_S)

    def open_notebook(self, address: str, name: str) -> None:
        """Open notebooks/NAME and wait for its kernel."""
        self.page.goto(f"{address}/lab/tree/notebooks/{name}?reset&token={TOKEN}")
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Until the notebook in front is there and its kernel waits for work."""
        idle = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator[data-status=idle]"
        self.page.wait_for_selector(idle, timeout=1000 * START_S)

    @property
    def notebook(self) -> Locator:
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook")

    def menu(self, *labels: str) -> None:
        """Choose an entry of the main menu, as with the mouse."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{re.escape(labels[0])}$")).click()
        for label in labels[1:]:
            self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{re.escape(label)}$")).last.click()

    def set_parameter(self, name: str, value: str) -> None:
        """Change one line of the first code cell as a reader would: click into it, and write."""
        editor = self.notebook.locator(".jp-CodeCell").first.locator(".jp-InputArea-editor .cm-content")
        editor.scroll_into_view_if_needed()
        editor.filter(has_text=name).wait_for()  # the cell is there before its text is
        lines = editor.locator(".cm-line").all_text_contents()
        changed = [re.sub(rf"^{name} = .*?(  #|$)", rf"{name} = {value}\1", line) for line in lines]
        assert changed != lines, f"no parameter {name} with another value in {lines}"
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text("\n".join(changed))

    def prompts(self) -> list[str]:
        """`[3]:`, `[*]:` or `[ ]:` of each code cell, in view or not."""
        return self.notebook.locator(".jp-CodeCell .jp-InputArea-prompt").all_text_contents()

    def run_all(self, limit_s: float, name: str) -> Run:
        """Choose Run > Run All Cells and wait until all have run or one has failed; look at progress meanwhile."""
        began, bars, started = time.monotonic(), [], False
        self.menu("Run", "Run All Cells")
        while time.monotonic() - began < limit_s:
            prompts = "".join(self.prompts())
            started = started or "*" in prompts  # numbers do not tell: in a new kernel the committed ones come again
            if not re.search(r"[*\d]", prompts):  # asked for while the page still connected to its kernel, and lost
                self.page.wait_for_timeout(2000)
                self.menu("Run", "Run All Cells")
            elif started and "*" not in prompts:
                self.page.wait_for_timeout(1000)  # the last output may come after the last prompt
                return Run(time.monotonic() - began, bars)
            for bar in self.page.evaluate(_BARS):
                if tuple(bar) not in bars:
                    bars.append(tuple(bar))
                    if len(bars) == 4:  # well on its way
                        self.notebook.locator("progress").first.evaluate("bar => bar.scrollIntoView({block: 'center'})")
                        self.picture(f"{name}-progress")
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{name}: not finished within {limit_s} s: {self.prompts()}")

    def outputs(self, mime: str) -> list[str]:
        """The text of every output of that type (`application/vnd.jupyter.stderr` and the like)."""
        return self.notebook.locator(f'.jp-OutputArea-output[data-mime-type="{mime}"]').all_text_contents()

    def tables(self) -> list[str]:
        """The text of every table that a cell has put out."""
        return self.notebook.locator(".jp-OutputArea-output table").all_text_contents()

    def wait_for_outputs(self, tables: int, images: int) -> None:
        """Until so many tables and pictures are there: a page draws long after the kernel is idle, if it must."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if len(self.tables()) >= tables and len(self.images()) >= images and (0, 0) not in self.images():
                return
            self.page.wait_for_timeout(500)

    def images(self) -> list[tuple[int, int]]:
        """Natural width and height of every picture that a cell has put out; (0, 0) where it is broken."""
        found = self.notebook.locator(".jp-OutputArea-output img")
        return [tuple(size) for size in found.evaluate_all("all => all.map(i => [i.naturalWidth, i.naturalHeight])")]

    def image_sources(self) -> list[str]:
        """The pictures themselves, as the page holds them, to be compared."""
        return self.notebook.locator(".jp-OutputArea-output img").evaluate_all("all => all.map(i => i.src)")


_BARS = """() => [...document.querySelectorAll('.jp-OutputArea-output progress')].map(
    bar => [bar.parentElement.textContent.trim().split(' · ')[0], bar.value]
)"""
