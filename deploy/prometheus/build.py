"""Write the rules of Prometheus from `source/` and `thresholds.toml`: `python -m deploy.prometheus.build`.

Every threshold stands once, with its reason, in `thresholds.toml`; every alert's runbook is the page that has its name.
A test compares what is committed with what this writes. For fault tests all durations can be divided by one factor.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "source"
RULES = HERE / "rules"
TESTS = HERE / "tests"
RUNBOOK_INDEX = HERE.parents[1] / "docs" / "runbooks" / "README.md"
RUNBOOKS = "https://runbooks.example.org/festival-streams"
"""Where your people on call find docs/runbooks: set it, and build."""
WRITTEN = "# Written by `python -m deploy.prometheus.build` from source/ and thresholds.toml.\n"

_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PART = re.compile(r"(\d+)(ms|[dhms])")
_DURATION = r"(?:\d+(?:ms|[dhms]))+"
_PLACE = re.compile(r"\$\{(\w+)(:percent)?\}")
_WINDOW = re.compile(rf"(\[|offset |(?:for|interval|timeout|wait|resend_delay): )({_DURATION})\b")
_ALERT = re.compile(r"^ +(?:- alert|alertname): (\w+)$")
_SEVERITY = re.compile(r"^ +severity: (\w+)$")
_SUMMARY = re.compile(r"^ +summary: (.+)$")
_INDEX = """# Runbooks

Written by `python -m deploy.prometheus.build` from the alert rules and `deploy/prometheus/thresholds.toml`.

An alert's page says what it means, whom it hurts, how to find the cause and how to end it. The commands are run where
`festival` is installed (`.venv/bin/festival` in a checkout) with `FESTIVAL_BROKER` set, and `PROMETHEUS` and
`ALERTMANAGER` are the addresses of those servers:

```
export FESTIVAL_BROKER=127.0.0.1:9092 WORKER=http://127.0.0.1:6066
export PROMETHEUS=http://127.0.0.1:9090 ALERTMANAGER=http://127.0.0.1:9093
export MAP=shop.toml TOPIC=shop.orders    # of a bridge: its map, and the topic that the alert names
```

| alert | severity | summary |
|---|---|---|
{alerts}

## Thresholds

Set in one place, `deploy/prometheus/thresholds.toml`; after a change: `python -m deploy.prometheus.build`.

| name | value | why |
|---|---|---|
{values}
"""


def milliseconds(duration: str) -> int:
    """Return a duration as Prometheus writes it (`2h24m`) in milliseconds; raises `ValueError` for others."""
    if not re.fullmatch(_DURATION, duration):
        raise ValueError(f"{duration!r} is no duration")
    return sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(duration))


def divided(duration: str, factor: int) -> str:
    """Return a duration divided by a factor; by 1 it stays as it was written."""
    return duration if factor == 1 else f"{milliseconds(duration) // factor}ms"


def faster(text: str, factor: int) -> str:
    """Return a configuration with all its durations divided by a factor: windows, offsets, intervals, waits."""
    return _WINDOW.sub(lambda match: match[1] + divided(match[2], factor), text)


def thresholds(path: Path = HERE / "thresholds.toml") -> dict[str, str | int | float]:
    """Return every threshold by name."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: entry["value"] for name, entry in table.items()}


def summaries() -> dict[str, str]:
    """Return the summary of every alert by its name."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.glob("*.yml")):
        alert = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := _ALERT.match(line):
                alert = match[1]
            elif match := _SUMMARY.match(line):
                found[alert] = match[1]
    return found


def fill(text: str, values: dict[str, str | int | float], factor: int = 1) -> str:
    """Return the text of a rule or test file; raises `KeyError` for a threshold that does not exist."""
    alert = ""
    summary_of = summaries()

    def place(match: re.Match[str]) -> str:
        name, is_percent = match[1], match[2]
        if name == "runbook_url":
            return f"{RUNBOOKS}/{alert}.md"
        if name == "summary":
            return summary_of[alert]
        if name not in values and name.endswith("_seconds"):
            seconds = milliseconds(str(values[name.removesuffix("_seconds")])) / 1000 / factor
            return f"{seconds:g}"
        value = values[name]
        return f"{float(value) * 100:g} %" if is_percent else str(value)

    lines = []
    for line in text.splitlines(keepends=True):
        if found := _ALERT.match(line.rstrip("\n")):
            alert = found[1]
        lines.append(_PLACE.sub(place, line))
    return faster("".join(lines), factor)


def rules(factor: int = 1) -> dict[str, str]:
    """Return the text of every rule file by name, with all durations divided by a factor."""
    values = thresholds()
    return {
        path.name: WRITTEN + fill(path.read_text(encoding="utf-8"), values, factor)
        for path in sorted(SOURCE.glob("*.yml"))
    }


def tests() -> dict[str, str]:
    """Return the text of every file of rule tests by name; summaries and runbooks are those of the rules."""
    values = thresholds()
    return {
        path.name: WRITTEN + fill(path.read_text(encoding="utf-8"), values)
        for path in sorted((SOURCE / "tests").glob("*.yml"))
    }


def index() -> str:
    """Return the page that lists all runbooks, and all thresholds with their reasons."""
    severity: dict[str, str] = {}
    alert = ""
    for name, text in rules().items():
        for line in text.splitlines() if name.endswith("_alerts.yml") else ():
            if match := _ALERT.match(line):
                alert = match[1]
            elif match := _SEVERITY.match(line):
                severity[alert] = match[1]
    table = tomllib.loads((HERE / "thresholds.toml").read_text(encoding="utf-8"))
    alerts = "\n".join(f"| [{name}]({name}.md) | {severity[name]} | {text} |" for name, text in summaries().items())
    values = "\n".join(f"| `{name}` | {entry['value']} | {entry['why']} |" for name, entry in table.items())
    return _INDEX.format(alerts=alerts, values=values)


def main() -> None:
    """Write the rules, their tests and the index of runbooks."""
    RUNBOOK_INDEX.write_text(index(), encoding="utf-8")
    for folder, files in ((RULES, rules()), (TESTS, tests())):
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            sys.stdout.write(f"{folder / name}\n")


if __name__ == "__main__":
    main()
