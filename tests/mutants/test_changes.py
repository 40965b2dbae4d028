"""Which changes are made of a source, and which are not."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.mutants.changes import changed_source, changes_of

if TYPE_CHECKING:
    from pathlib import Path

MATTERLESS = '''"""What it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    LIMIT = 3

POLL_SECONDS = 1.0
__all__ = ["Told"]


class Told:
    """A class."""

    limit: int

    def __repr__(self) -> str:
        """Return a text."""
        return f"{self.limit + 1}"

    def tell(self) -> None:
        """Tell."""
        assert self.limit > 3
        log.info("%d", self.limit + 1)
        raise ValueError(self.limit + 1)
'''


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("if a < b: pass", {"if a <= b: pass", "if not a < b: pass"}),
        ("if a and b: pass", {"if a or b: pass", "if not (a and b): pass"}),
        ("x = not a", {"x = a"}),
        ("x = a + 3", {"x = a - 3", "x = a + 4"}),
        ("x = 'a' + b", set()),
        ("x = f(strict=True, deep=True)", {"x = f(strict=True, deep=False)"}),
        ("f(a)", {"pass"}),
        ("await f(a)", {"pass"}),
        ("a.b = c", {"pass"}),
        ("a += b", {"a -= b"}),
        ("return a", {"return None"}),
        ("return None", set()),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if not a]"}),
        ("while a: continue", {"while not a: continue", "while a: break"}),
        ("if not a: f()", {"if a: f()", "if not a: pass"}),
    ],
)
def test_a_change_is_one_that_a_tired_author_could_make(tmp_path: Path, source: str, made: set[str]) -> None:
    function = "async def f():\n    {}\n"
    (tmp_path / "a.py").write_text(function.format(source))
    changes = changes_of(tmp_path, "a.py")
    wanted = {ast.unparse(ast.parse(function.format(change))) for change in made}
    assert {ast.unparse(changed_source(tmp_path, change)) for change in changes} == wanted
    assert {change.function for change in changes} <= {"f"}


def test_what_cannot_matter_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(MATTERLESS)
    assert changes_of(tmp_path, "a.py") == []


def test_a_change_knows_the_outermost_function_and_the_lines_of_its_statement(tmp_path: Path) -> None:
    condition = "            if (\n                a\n            ):\n                pass\n"
    function = f"    def f(self):\n        def g():\n{condition}"
    source = f"class A:\n    x = 1\n\n{function}"
    (tmp_path / "a.py").write_text(source)
    assert [(c.function, c.line, c.lines) for c in changes_of(tmp_path, "a.py")] == [
        ("", 2, (2, 2)),
        ("A.f", 7, (6, 8)),
    ]
