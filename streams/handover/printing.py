"""Prints an HTML document as PDF: by a Chromium without a window, which asks nobody for anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from streams.errors import UnreachableError

if TYPE_CHECKING:
    from streams.settings import Settings

NAMES = ("chromium", "chromium-browser", "google-chrome")
PRINT_SECONDS = 120
"""A machine that is busy may take its time; a browser that hangs is ended."""
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def find_chromium(settings: Settings) -> Path:
    """Return the browser of the settings, else of PATH; raises `UnreachableError` where there is none."""
    if settings.chromium is not None:
        if found := shutil.which(str(settings.chromium)):
            return Path(found)
        raise UnreachableError(f"FESTIVAL_CHROMIUM: {settings.chromium} is no program that can be started")
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise UnreachableError(
        f"no Chromium to print with: none of {', '.join(NAMES)} is on PATH. Install one, set FESTIVAL_CHROMIUM, or "
        "write --out FILE.html and print it from any browser"
    )


def print_pdf(chromium: Path, html: str, pdf: Path) -> None:
    """Write the document to `pdf`, which must not be there; raises `UnreachableError` where the browser fails."""
    with tempfile.TemporaryDirectory(prefix="festival-report-") as directory:
        source, made = Path(directory, "report.html"), Path(directory, "report.pdf")
        source.write_text(html, encoding="utf-8")
        # A container's root has no sandbox of Chromium's; the document is ours, and may load nothing.
        sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        profile = f"--user-data-dir={Path(directory, 'profile')}"
        command = [str(chromium), *FLAGS, *sandbox, profile, f"--print-to-pdf={made}", source.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PRINT_SECONDS)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreachableError(f"{chromium} does not print: {error}") from error
        if done.returncode or not made.is_file():
            told = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise UnreachableError(f"{chromium} does not print (exit status {done.returncode}): {told}")
        with pdf.open("xb") as file:
            file.write(made.read_bytes())
