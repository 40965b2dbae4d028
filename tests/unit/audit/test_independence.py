"""The audit shares nothing with the counter that decides a count."""

from __future__ import annotations

import json
import subprocess
import sys

LISTING = "import json, sys, streams.cli.audit; print(json.dumps([m for m in sys.modules if m.startswith('streams.')]))"


def test_the_audit_imports_nothing_that_decides_a_count() -> None:
    """It needs the domain's format of pages, and what carries bytes from engine and Kafka."""
    listed = subprocess.run([sys.executable, "-c", LISTING], check=True, capture_output=True, text=True)
    modules = set(json.loads(listed.stdout))
    assert {m for m in modules if m.startswith("streams.domain.")} == {"streams.domain.pages"}
    assert "streams.festivals" not in modules
    assert "streams.engine.processor" not in modules
