"""The files of `deploy/` as the tests read them, and the tools of Prometheus and Alertmanager on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from streams.bridge.metrics import CATALOGUE as BRIDGE_CATALOGUE
from streams.metrics import CATALOGUE, Kind
from tests.conftest import skip

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
ALERTMANAGER_FILE = DEPLOY / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"

RECORDED = re.compile(r"\b[a-z_]+:[a-z_]+:[a-z0-9_]+\b")
_STRING = re.compile(r'"[^"]*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_SELECTOR = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one file: a recording rule has no labels."""

    file: str
    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    is_alert: bool


def rules() -> list[Rule]:
    """Return every committed rule."""
    return [
        Rule(
            path.name,
            rule.get("alert") or rule["record"],
            rule["expr"],
            rule.get("labels", {}),
            rule.get("annotations", {}),
            "alert" in rule,
        )
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in read(path)["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.is_alert]


@cache
def read(path: Path) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def exported_names() -> set[str]:
    """Return the names of series that the catalogue's metrics have on the page."""
    names = set()
    for entry in (*CATALOGUE, *BRIDGE_CATALOGUE):
        if entry.kind is Kind.HISTOGRAM:
            names |= {f"{entry.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            names.add(entry.name)
    return names


def metrics_in(expr: str) -> set[str]:
    """Return the names of our own metrics, and of recorded ones, in a PromQL expression."""
    bare = _SELECTOR.sub(" ", _GROUPING.sub(" ", _STRING.sub('""', expr)))
    recorded = set(RECORDED.findall(bare))
    plain = set(re.findall(r"\b(?:festival|streams)_\w+\b", RECORDED.sub(" ", bare)))
    return recorded | plain


def tool(*names: str) -> str:
    """Return the path of a tool under one of its names; skips the test where there is none (in CI it fails)."""
    for name in names:
        if path := shutil.which(name):
            return path
    skip(f"{names[0]} is not installed (Debian: apt install prometheus prometheus-alertmanager)")
    raise AssertionError


def run(*command: str, cwd: Path = ROOT) -> str:
    """Return what a command prints; fails with it where the command does."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout
