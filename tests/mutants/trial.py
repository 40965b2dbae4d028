"""One change against the tests that reach it, in a process of its own that ends at the first test that fails.

Most changes lie in functions. There the code of the function is exchanged in a process that has imported and collected
everything, so that a trial costs its tests alone. A change of what runs at import is made by the import itself.
"""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import os
import resource
import select
import signal
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

from tests.mutants.changes import Change, changed_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Functions = Mapping[tuple[str, str], list[FunctionType]]
"""Functions of the package, by file and qualified name."""
SUITES = ("tests/unit", "tests/contract", "tests/property", "tests/simulation")
OPTIONS = (
    "-q",
    "-s",
    "-m",
    "not long and not kafka",
    "--assert=plain",
    "-p",
    "no:cacheprovider",
    *(
        f"--ignore=tests/unit/{other}"
        for other in ("audit", "cli", "imports", "mapping")  # about other code
    ),
    "--ignore=tests/simulation/test_days.py",  # in processes of their own, which have the code as it is
)
SECONDS_PER_TEST = 15
TIMES_AS_SLOW = 20
"""A test may take that many seconds, and be so many times as slow as without the change: else it hangs."""
SECONDS_TO_COLLECT = 600
"""The tests are collected within this, also on a machine with much to do: else that hangs."""
MEMORY_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended: `noticed`, `hangs` (noticed too), `survived`, or `odd` (the change cannot be made here)."""

    end: str
    test: str = ""


class Plugin:
    """Hands the collected tests to `work`, in place of pytest's own loop; deterministic, nothing left on disk."""

    def __init__(self, work: Callable[[list[pytest.Item]], None]) -> None:
        """`work` is called once, in pytest's process."""
        self._work = work
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        """Draw the same examples in each trial, and none smaller once one has failed."""
        phases = (Phase.explicit, Phase.generate)
        quick = settings(settings.get_profile("ci"), database=None, derandomize=True, phases=phases)
        settings.register_profile("mutants", quick)
        settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what the search wants, and nothing by itself."""
        self._work(session.items)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that a test failed."""
        if report.failed:
            self.failed = report.nodeid


def run(items: Sequence[pytest.Item], plugin: Plugin, before: Callable[[str], None]) -> None:
    """Run tests in the given order until one fails; `plugin.failed` tells which."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        before(item.nodeid)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if plugin.failed:
            return


def try_inside(
    root: Path,
    change: Change,
    functions: Functions,
    items: Sequence[pytest.Item],
    *,
    seconds: Mapping[str, float],
    plugin: Plugin,
) -> Outcome:
    """Exchange the function in a copy of this process, which has collected the tests, and run them there."""

    def work(say: Callable[[str], None]) -> None:
        if not _exchange(root, change, functions):
            say("?")
            return
        run(items, plugin, say)
        if plugin.failed:
            say("!")

    return _watched(work, seconds)


def passes(item: pytest.Item, seconds: Mapping[str, float], plugin: Plugin) -> bool:
    """Return whether a test passes without any change, as it did when it was measured."""

    def work(say: Callable[[str], None]) -> None:
        run([item], plugin, say)
        if plugin.failed:
            say("!")

    return _watched(work, seconds).end == "survived"


def try_at_import(root: Path, change: Change | None, tests: Sequence[str], seconds: Mapping[str, float]) -> Outcome:
    """Make the change while a new copy of this process, which has imported nothing of the package, imports it."""

    def work(say: Callable[[str], None]) -> None:
        if change is not None:
            sys.meta_path.insert(0, _Changing(root, change))
        place = {test: number for number, test in enumerate(tests)}

        def inner(items: list[pytest.Item]) -> None:
            run(sorted((i for i in items if i.nodeid in place), key=lambda i: place[i.nodeid]), plugin, say)

        plugin = Plugin(inner)
        status = pytest.main([*OPTIONS, *sorted({test.partition("::")[0] for test in tests})], plugins=[plugin])
        if plugin.failed or status != pytest.ExitCode.OK:
            say("!")

    return _watched(work, seconds)


def _watched(work: Callable[[Callable[[str], None]], None], seconds: Mapping[str, float]) -> Outcome:
    """Run `work` in a fork; it says each test before it starts, `!` when one failed, `?` when it cannot be tried."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(work, reading, writing)
    os.close(writing)
    last, told, end = "", b"", "survived"
    while True:
        patience_s = SECONDS_PER_TEST + TIMES_AS_SLOW * seconds.get(last, 1.0) if last else SECONDS_TO_COLLECT
        ready, _, _ = select.select([reading], [], [], patience_s)
        part = os.read(reading, 65536) if ready else b""
        if not ready:
            end = "hangs"
        if not part:
            break
        *lines, told = (told + part).split(b"\n")
        for line in lines:
            if line in {b"!", b"?"}:
                end = "noticed" if line == b"!" else "odd"
            else:
                last = line.decode()
    os.close(reading)
    os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if end == "survived" and status != 0 and os.waitstatus_to_exitcode(status) != 0:
        end = "noticed"  # the interpreter itself ended
    return Outcome(end, last)


def _child(work: Callable[[Callable[[str], None]], None], reading: int, writing: int) -> None:
    try:
        os.setpgid(0, 0)
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        work(lambda line: [os.write(writing, line.encode() + b"\n")].clear())
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        os._exit(1)


def loaded_functions(root: Path) -> Functions:
    """Return the functions of the package that are in memory, by file and name."""
    found: defaultdict[tuple[str, str], list[FunctionType]] = defaultdict(list)
    package = str(root / "streams")
    for held in gc.get_objects():
        if isinstance(held, FunctionType) and held.__code__.co_filename.startswith(package):
            found[held.__code__.co_filename, held.__code__.co_qualname].append(held)
    return found


def _exchange(root: Path, change: Change, functions: Functions) -> bool:
    """Give the function that was changed its new code, wherever it is referred to; return whether that is possible."""
    compiled = compile(changed_source(root, change), str(root / change.path), "exec", dont_inherit=True)
    new = {c.co_firstlineno: c for c in _codes(compiled) if c.co_qualname == change.function}
    found = False
    for held in functions.get((compiled.co_filename, change.function), ()):
        old = held.__code__
        if old.co_firstlineno in new:
            if old.co_freevars != new[old.co_firstlineno].co_freevars:
                return False
            held.__code__ = new[old.co_firstlineno]
            found = True
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


class _Changing(importlib.machinery.PathFinder):
    """Finds the changed module, and leaves all others to the usual finders."""

    def __init__(self, root: Path, change: Change) -> None:
        name = change.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        path = str(root / change.path)

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, _name: str) -> CodeType:
                return compile(changed_source(root, change), path, "exec", dont_inherit=True)

        self._name = name
        self._spec = importlib.util.spec_from_file_location(name, path, loader=Loader(name, path))

    def find_spec(  # type: ignore[override]
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer for the one module."""
        del path, target
        return self._spec if fullname == self._name else None
