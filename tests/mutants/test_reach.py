"""Which tests are run for a change: what was measured stays good when the code changes elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.mutants.changes import Change, changes_of, source_of
from tests.mutants.reach import KEPT, Function, Reach, _digest, _functions

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
LIMIT = 3


def one(a):
    if a < LIMIT:
        return 1
    return 2


class Both:
    @cached_property
    def kept(self):
        return self.a + 1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository of two modules and two test files, whose reach was measured."""
    (tmp_path / "streams").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "streams/a.py").write_text(SOURCE)
    (tmp_path / "streams/b.py").write_text("from streams.a import one\n\n\ndef two():\n    return one(2)\n")
    kept: dict[str, Any] = {}
    digests = {f.name: f.digest for f in _functions(tmp_path / "streams/a.py")}
    reached = {
        "tests/test_b.py": {"quick": ("one", [1, 2]), "slow": ("one", [1, 3])},
        "tests/test_a.py": {"slow": ("Both.kept", [1])},
    }
    for name, tests in reached.items():
        (tmp_path / name).write_text("")
        kept[name] = {"digest": _digest(tmp_path / name), "tests": {}}
        for test, (function, lines) in tests.items():
            found = {"streams/a.py": {function: [digests[function], *lines]}}
            seconds = 1.0 if test == "quick" else 10.0
            kept[name]["tests"][f"{name}::{test}"] = {"seconds": seconds, "reached": found}
    importing = {"seconds": 2.0, "reached": {"streams/b.py": {"two": ["", 1]}}}
    kept["tests/test_b.py"]["tests"]["tests/test_b.py::import"] = importing
    (tmp_path / KEPT).write_text(json.dumps(kept))
    return tmp_path


def change(root: Path, text: str) -> Change:
    return next(c for c in changes_of(root, "streams/a.py") if c.text == text)


def names(root: Path, text: str, limit_s: float = 60) -> list[str]:
    return [test.removeprefix("tests/test_") for test in Reach(root).tests_of(change(root, text), limit_s)]


def test_a_statement_is_tried_against_the_tests_that_reach_it_the_quick_ones_first(root: Path) -> None:
    assert names(root, "a < LIMIT → a <= LIMIT") == ["b.py::quick", "b.py::slow"]
    assert names(root, "return 1 → return None") == ["b.py::quick"]
    assert names(root, "a < LIMIT → a <= LIMIT", 5) == ["b.py::quick"]


def test_what_was_measured_moves_with_its_function(root: Path) -> None:
    """And where the function has another text by now, whatever reached it is run."""
    (root / "streams/a.py").write_text("import math\n\n" + SOURCE)
    source_of.cache_clear()
    assert names(root, "return 1 → return None") == ["b.py::quick"]
    (root / "streams/a.py").write_text(SOURCE.replace("return 2", "return 3"))
    source_of.cache_clear()
    assert names(root, "return 1 → return None") == ["b.py::quick", "b.py::slow"]


def test_code_that_runs_at_import_is_tried_against_the_tests_of_its_file_and_of_who_imports_it(root: Path) -> None:
    """The file that is named after the module first; and so is a function that runs once."""
    for text in ("3 → 4", "self.a + 1 → self.a - 1"):
        assert names(root, text) == ["a.py::slow", "b.py::quick", "b.py::import", "b.py::slow"]


def test_a_test_file_that_was_changed_is_unknown(root: Path) -> None:
    (root / "tests/test_b.py").write_text("changed")
    assert names(root, "return 1 → return None") == ["a.py::slow"]


def test_functions_are_named_with_their_classes(root: Path) -> None:
    found = list(_functions(root / "streams/a.py"))
    assert [(f.name, f.first, f.last, f.is_kept) for f in found] == [("one", 5, 8, False), ("Both.kept", 13, 14, True)]
    assert isinstance(found[0], Function)
