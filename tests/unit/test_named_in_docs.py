"""What docs/proof.md and docs/glossary.md name is in the tree: files, tests and identifiers."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPAN = re.compile(r"`([^`\n]+)`")


def spans(text: str) -> list[str]:
    """Return what stands between backticks, outside blocks of code."""
    return SPAN.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_file_and_test_that_the_proof_names_is_there() -> None:
    """A test's name belongs to the file that was named last."""
    named, file = 0, ROOT
    for span in spans((ROOT / "docs" / "proof.md").read_text("utf-8")):
        if span.startswith(("tests/", "streams/")):
            file = ROOT / span
            assert file.exists(), f"docs/proof.md: {span} is not there"
        elif span.startswith("test_"):
            named += 1
            assert span in functions_of(file), f"docs/proof.md: {file.relative_to(ROOT)} has no {span}"
    assert named > 50, "docs/proof.md names the tests that prove each promise"


def test_every_identifier_of_the_glossary_stands_in_the_file_beside_it_and_every_word_once() -> None:
    words = []
    for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines():
        if found := re.fullmatch(r"\| ([^|`]+) \| [^|]+ \| `(\w+)` \| `([\w./]+)` \|", line):
            word, identifier, file = found.groups()
            words.append(word)
            text = (ROOT / file).read_text("utf-8")
            assert re.search(rf"\b{identifier}\b", text), f"docs/glossary.md: {file} has no {identifier}"
    assert len(words) > 50
    assert len(words) == len(set(words)), "one word, one meaning"


def test_every_file_that_the_glossary_names_is_there() -> None:
    for span in spans((ROOT / "docs" / "glossary.md").read_text("utf-8")):
        if re.match(r"(streams|tests|bench)/", span):
            assert (ROOT / span).exists(), f"docs/glossary.md: {span} is not there"
