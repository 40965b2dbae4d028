"""Make random small changes, one at a time, and say which of them no test noticed. Called by bin/mutants."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import random
import sys
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from tests.mutants.changes import Change, changes_of, source_of
from tests.mutants.reach import Reach
from tests.mutants.trial import (
    OPTIONS,
    SUITES,
    Functions,
    Outcome,
    Plugin,
    loaded_functions,
    passes,
    try_at_import,
    try_inside,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TextIO

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("streams/domain", "streams/engine", "streams/board")
PARTS = ("driver", "telling", "worker", "recount", "lone_crew", "log_intake", "restore")
"""What decides, and what performs it at a partition's takeover."""
FOREIGN = ("aiohttp", "aiokafka", "duckdb", "faust", "hypothesis.strategies", "numpy", "prometheus_client", "rich")
"""Imported once, for all trials."""
ENOUGH = 0.95
COUNT = 300
SECONDS = 60
AT_IMPORT = Outcome("at import")
"""What becomes of a change that matters when its module is imported, or the tests are collected: made there."""


def main() -> int:
    """Return 0 when at least 95 of a hundred changes were noticed."""
    options = _options()
    paths = [p.relative_to(ROOT).as_posix() for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))]
    paths += [p.relative_to(ROOT).as_posix() for part in PARTS for p in (ROOT / "streams/kafka").rglob(f"{part}.py")]
    changes = [change for path in paths for change in changes_of(ROOT, path)]
    if options.only:
        changes = [c for c in changes if f"{c.path}:{c.line}:".startswith(options.only)]
    count = options.count or (len(changes) if options.only else COUNT)
    if count < len(changes):
        changes = random.Random(options.seed).sample(changes, count)  # noqa: S311 - a seed shows the same again
    until = perf_counter() + 60 * options.minutes
    for name in FOREIGN:
        importlib.import_module(name)
    _print(f"{len(changes)} changes, seed {options.seed}")
    tried = dict(_told(changes, lambda told: _collect(changes, paths, until, options, told)))
    ended = {number: outcome for number, outcome in tried.items() if outcome != AT_IMPORT}
    # Those as well that come before the last one tried: else they would be missing in what was tried.
    begun = len(changes) if perf_counter() < until else max(tried, default=0)
    rest = [number for number in range(begun) if number not in ended]
    reach = Reach(ROOT)
    proved: dict[str, bool] = {}

    def at_import(number: int) -> Outcome:
        tests = reach.tests_of(changes[number], options.seconds / 2)
        return _at_import(changes[number], tests, reach.seconds, proved)

    ended |= _told(changes, lambda told: _in_shares(options.jobs, rest, at_import, told))
    return _report({changes[number]: outcome for number, outcome in ended.items()}, reach)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/mutants", description=__doc__)
    parser.add_argument("--count", type=int, help=f"how many changes, {COUNT} where none is named")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--minutes", type=float, default=120, help="begin none after that many")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of tests per change, the quick ones first")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="changes at a time")
    parser.add_argument("--only", help="changes at PATH, or PATH:LINE, alone: all of them without --count")
    return parser.parse_args()


def _told(changes: list[Change], work: Callable[[TextIO], None]) -> Iterator[tuple[int, Outcome]]:
    """Yield how changes end, as a fork tells it: so this process imports nothing of the package."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as told:
            work(told)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        for line in told:
            number, end, test = json.loads(line)
            outcome = Outcome(end, test)
            if outcome != AT_IMPORT:
                _tell(changes[number], outcome)
            yield number, outcome
    if os.wait()[1]:
        sys.exit("the search itself failed")


def _in_shares(jobs: int, numbers: Sequence[int], try_one: Callable[[int], Outcome | None], told: TextIO) -> None:
    """Try the changes of these numbers in so many forks; None: it was not begun."""
    for share in range(jobs):
        if os.fork() == 0:
            try:
                for number in numbers[share::jobs]:
                    if (outcome := try_one(number)) is not None:
                        # A line is shorter than what a pipe takes in one piece.
                        os.write(told.fileno(), json.dumps([number, outcome.end, outcome.test]).encode() + b"\n")
            except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
                sys.stderr.write(traceback.format_exc())
                os._exit(1)
            os._exit(0)
    if any([os.wait()[1] for _ in range(jobs)]):  # noqa: C419 - all are waited for
        os._exit(1)


def _collect(changes: list[Change], paths: list[str], until: float, options: argparse.Namespace, told: TextIO) -> None:
    """Collect the tests, and try the changes that lie in functions."""
    imports = Reach(ROOT).measuring(paths)

    def work(items: list[pytest.Item]) -> None:
        imports.stop()
        data = imports.get_data()
        imported = {path: set(data.lines(str(ROOT / path)) or ()) for path in paths}
        reach = _reach(items, plugin, paths)
        session = Session(items, plugin, reach, imported, loaded_functions(ROOT), options.seconds)

        def try_one(number: int) -> Outcome | None:
            return session.try_one(changes[number]) if perf_counter() < until else None

        inside = [number for number, change in enumerate(changes) if change.function]
        gc.collect()
        gc.freeze()
        _in_shares(options.jobs, inside, try_one, told)

    plugin = Plugin(work)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    imports.start()
    pytest.main([*OPTIONS, *SUITES, "--continue-on-collection-errors"], plugins=[plugin])


def _reach(items: Sequence[pytest.Item], plugin: Plugin, paths: list[str]) -> Reach:
    """Return what each test reaches, once measured."""
    reach = Reach(ROOT)
    if unknown := reach.unknown(items):
        sys.stderr.write(f"{len(unknown)} tests are measured first\n")
        if (pid := os.fork()) == 0:
            reach.measure(unknown, plugin, paths)
            os._exit(0)
        os.waitpid(pid, 0)
    return Reach(ROOT)


@dataclass(slots=True)
class Session:
    """The process that has collected the tests, and forks for each change."""

    items: list[pytest.Item]
    plugin: Plugin
    reach: Reach
    imported: dict[str, set[int]]
    """By path: the lines that the collection reaches."""
    functions: Functions
    seconds: float
    proved: dict[str, bool] = field(default_factory=dict)
    """Whether a test that noticed a change passes without one."""
    noticed_by: dict[tuple[str, str], str] = field(default_factory=dict)
    """By function: the test that noticed the last change is likely to notice the next."""

    def try_one(self, change: Change) -> Outcome:
        """Try a change that lies in a function."""
        by_name = {item.nodeid: item for item in self.items}
        names = [name for name in self.reach.tests_of(change, self.seconds) if name in by_name]
        last = self.noticed_by.get((change.path, change.function))
        names.sort(key=lambda name: name != last)
        outcome = self._try(change, [by_name[name] for name in names], self.reach.seconds)
        if outcome.end == "noticed":
            self.noticed_by[change.path, change.function] = outcome.test
        is_imported = not self.imported[change.path].isdisjoint(range(change.lines[0], change.lines[1] + 1))
        is_odd = outcome.end == "odd" or (outcome.end == "survived" and is_imported)
        return AT_IMPORT if is_odd else outcome

    def _try(self, change: Change, tests: list[pytest.Item], seconds: Mapping[str, float]) -> Outcome:
        """Run the tests with the change; one that fails without it too tells nothing."""
        while tests := [test for test in tests if self.proved.get(test.nodeid, True)]:
            outcome = try_inside(ROOT, change, self.functions, tests, seconds=seconds, plugin=self.plugin)
            by = next((test for test in tests if test.nodeid == outcome.test), None)
            if outcome.end not in {"noticed", "hangs"} or by is None:
                return outcome
            if self.proved.setdefault(by.nodeid, self.proved.get(by.nodeid) or passes(by, seconds, self.plugin)):
                return outcome
        return Outcome("survived")


def _at_import(change: Change, tests: list[str], seconds: Mapping[str, float], proved: dict[str, bool]) -> Outcome:
    """Run the tests with the change made by the import; one that fails without it too tells nothing."""
    while tests := [test for test in tests if proved.get(test, True)]:
        outcome = try_at_import(ROOT, change, tests, seconds)
        if outcome.end == "noticed" and outcome.test and outcome.test not in proved:
            proved[outcome.test] = try_at_import(ROOT, None, [outcome.test], seconds).end == "survived"
        if outcome.end != "noticed" or proved.get(outcome.test, True):
            return outcome
    return Outcome("survived")


def _tell(change: Change, outcome: Outcome) -> None:
    by = f"  by {outcome.test}" if outcome.end in {"noticed", "hangs"} else ""
    _print(f"{outcome.end:8} {change.path}:{change.line} {change.text}{by}")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _report(ended: dict[Change, Outcome], reach: Reach) -> int:
    survivors = sorted((c for c, o in ended.items() if o.end == "survived"), key=lambda c: (c.path, c.line))
    _print("\nSurvivors:" if survivors else "\nNo survivors.")
    for change in survivors:
        line = source_of(ROOT / change.path).splitlines()[change.line - 1].strip()
        reached = len(reach.tests_of(change, SECONDS))
        _print(f"- {change.path}:{change.line} `{change.text}` (reached by {reached} tests)\n      {line}")
    of_folder = Counter(Path(change.path).parts[1] for change in ended)
    lost = Counter(Path(change.path).parts[1] for change in survivors)
    for folder, made in sorted(of_folder.items()):
        _print(f"{folder}: {made - lost[folder]} of {made} noticed")
    noticed = len(ended) - len(survivors)
    _print(f"all: {noticed} of {len(ended)} noticed, {noticed / max(1, len(ended)):.1%}")
    return 0 if noticed >= ENOUGH * len(ended) else 1


if __name__ == "__main__":
    sys.exit(main())
