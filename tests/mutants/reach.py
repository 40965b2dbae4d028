"""Which functions and lines each test reaches, and how long it takes: measured once per test file, kept in a file.

What is kept stays good when the code changes: lines count within their function while its text is the same, and of a
function that has another text by now all lines. A map that is out of date shows too few tests for a change, or too
many, so that a change may survive that a test would notice; nothing counts as noticed because of it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pytest

    from tests.mutants.changes import Change
    from tests.mutants.trial import Plugin

KEPT = ".mutants.json"
KEEPS = re.compile(r"\bcache\b|\blru_cache\b|\bcached_property\b")
"""Decorators."""


class Function(NamedTuple):
    """An outermost function of a file, with its classes in its name."""

    name: str
    first: int
    last: int
    digest: str
    is_kept: bool
    """Whether its result is kept, so that it runs once."""

    def holds(self, change: Change) -> bool:
        """Return whether the change lies in it; a property and its setter have one name."""
        return self.first <= change.line <= self.last


class Reach:
    """Per test its seconds and, by path and function, its lines. A test that fails without any change is none of them.

    A line is kept as its distance from the function's first.
    """

    def __init__(self, root: Path) -> None:
        """Read what was kept of the test files as they are now."""
        self._root = root
        self._kept = root / KEPT
        self._package = sorted((root / "streams").rglob("*.py"))
        self._of_file = {p.relative_to(root).as_posix(): _digest(p) for p in (root / "tests").rglob("test_*.py")}
        kept: dict[str, Any] = json.loads(self._kept.read_bytes()) if self._kept.exists() else {}
        self._files = {path: of for path, of in kept.items() if of["digest"] == self._of_file.get(path)}
        self._functions = cache(lambda path: list(_functions(root / path)))

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds per test."""
        return {test: of["seconds"] for file in self._files.values() for test, of in file["tests"].items()}

    def unknown(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Return the tests of files that were never measured as they are."""
        return [item for item in items if _file(item) not in self._files]

    def measuring(self, paths: Sequence[str]) -> coverage.Coverage:
        """Return what notes the lines reached of `paths`."""
        include = [str(self._root / path) for path in paths]
        return coverage.Coverage(data_file=None, config_file=False, include=include, messages=False)

    def measure(self, items: Sequence[pytest.Item], plugin: Plugin, paths: Sequence[str]) -> None:
        """Run the tests, note what they reach of `paths`, and keep it; runs in a process of its own."""
        self._files |= {_file(item): {"digest": self._of_file[_file(item)], "tests": {}} for item in items}
        measured = self.measuring(paths)
        measured.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            if not self._files[_file(item)]["tests"]:
                sys.stderr.write(f"  {_file(item)}\n")
            measured.switch_context(item.nodeid)
            began, plugin.failed = perf_counter(), ""
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if not plugin.failed:
                took = perf_counter() - began
                self._files[_file(item)]["tests"][item.nodeid] = {"seconds": round(took, 4), "reached": {}}
        measured.stop()
        data = measured.get_data()
        for path in paths:
            for line, tests in data.contexts_by_lineno(str(self._root / path)).items():
                self._note(path, line, tests)
        self._kept.write_text(json.dumps(self._files))

    def _note(self, path: str, line: int, tests: Sequence[str]) -> None:
        function = next((f for f in self._functions(path) if f.first <= line <= f.last), None)
        if function is None:
            return
        for test in tests:
            if of := self._files.get(test.partition("::")[0], {}).get("tests", {}).get(test):
                functions = of["reached"].setdefault(path, {})
                functions.setdefault(function.name, [function.digest]).append(line - function.first)

    def tests_of(self, change: Change, limit_s: float) -> list[str]:
        """Return the tests that reach the changed statement, as many as take `limit_s` together.

        Code that runs at import is reached by the tests of its file and of the files that import it; so is a function
        whose result is kept, as only the first test runs it, and one that no test reaches: it may have been called at
        import. The test files that are named after the module come first, quick tests before slow ones.
        """
        named = (function for function in self._functions(change.path) if function.name == change.function)
        function = next((function for function in named if function.holds(change)), None)
        if function is not None and not function.is_kept:
            wanted = range(change.lines[0] - function.first, change.lines[1] - function.first + 1)
            digest = function.digest

            def reaches(reached: Mapping[str, Any]) -> bool:
                kept, *lines = reached.get(change.path, {}).get(change.function, ("",))
                return bool(kept) and (kept != digest or any(line in wanted for line in lines))

            if tests := self._chosen(change, reaches, limit_s):
                return tests
        paths = {change.path, *self._importers(change.path)}
        # Those named after the module whatever they reach: a test may ask for a constant and call nothing.
        return self._chosen(change, lambda reached: any(reached.get(path) for path in paths), limit_s, named_after=True)

    def _importers(self, path: str) -> list[str]:
        package, _, name = path.removesuffix(".py").replace("/", ".").rpartition(".")
        names = re.compile(rf"^ *from {re.escape(package)}(\.{name} import| import .*\b{name}\b)", re.MULTILINE)
        return [p.relative_to(self._root).as_posix() for p in self._package if names.search(p.read_text("utf-8"))]

    def _chosen(
        self,
        change: Change,
        reaches: Callable[[Mapping[str, Any]], bool],
        limit_s: float,
        *,
        named_after: bool = False,
    ) -> list[str]:
        module = Path(change.path).stem
        found = [
            (module not in Path(name).stem, of["seconds"], test)
            for name, file in self._files.items()
            for test, of in file["tests"].items()
            if reaches(of["reached"]) or (named_after and module in Path(name).stem)
        ]
        tests: list[str] = []
        took = 0.0
        for _, seconds, test in sorted(found):
            took += seconds
            if tests and took > limit_s:
                break
            tests.append(test)
        return tests


def _functions(path: Path) -> Iterator[Function]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()

    def inside(block: Sequence[ast.stmt], scope: str) -> Iterator[Function]:
        for statement in block:
            if isinstance(statement, ast.ClassDef):
                yield from inside(statement.body, f"{scope}{statement.name}.")
            elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                last = statement.end_lineno or statement.lineno
                code = "\n".join(lines[statement.lineno - 1 : last])
                is_kept = any(KEEPS.search(ast.unparse(decorator)) for decorator in statement.decorator_list)
                digest = _digest_of(code.encode())
                yield Function(scope + statement.name, statement.lineno, last, digest, is_kept)
            else:
                yield from inside([*getattr(statement, "body", ()), *getattr(statement, "orelse", ())], scope)

    yield from inside(ast.parse(text).body, "")


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _digest(path: Path) -> str:
    return _digest_of(path.read_bytes())


def _digest_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]
