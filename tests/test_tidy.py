"""What the tools don't check: who imports whom, how large things get, and calls that have a better replacement here.

Each check reads the source; what it allows besides its rule stands in a table with the reason.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from streams.cli import main

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = sorted((ROOT / "streams").rglob("*.py"))
DEPLOY = sorted((ROOT / "deploy").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

FILE_LINES = 400
TEST_FILE_LINES = 600
FUNCTION_LINES = 50
LARGER: dict[str, int] = {}
"""Path, or path::function → lines of those that were larger when the limit came: they only get smaller, and leave."""

RINGS = (
    {"domain", "native"},
    {"engine"},
    {"web", "board", "replay", "kafka", "audit", "metrics"},
    {"app", "serving"},
    {"cli"},
)
"""From the inside out; each may import its own ring and those inside it."""
FOUNDATION = {"errors", "configuration", "settings", "log", "festivals", "__init__"}
"""Belongs to no ring: outer rings may import it. The two inner ones know none of it."""
INNER_FOREIGN = {
    "aiohttp",
    "aiokafka",
    "asyncio",
    "faust",
    "logging",
    "os",
    "prometheus_client",
    "random",
}
"""Effects, and libraries that have them: not in `domain` and `engine`."""
AUDIT_MAY = {"streams.domain.pages", "streams.engine.clock"}
"""The audit recounts by other code than the counter's: all it shares is the form of the ledger, and a clock."""
AUDIT_FOREIGN = {"domain", "native", "engine", "app", "board", "replay"}

BANNED = {
    "datetime.now": "Clock.now_ms",
    "datetime.utcnow": "Clock.now_ms",
    "datetime.today": "Clock.now_ms",
    "date.today": "Clock.now_ms",
    "datetime.datetime.now": "Clock.now_ms",
    "datetime.datetime.utcnow": "Clock.now_ms",
    "time.time": "Clock.now_ms",
    "time.time_ns": "Clock.now_ms",
    "random.random": "a generator with a seed",
}
BANNED_ALLOWED = {
    "streams/engine/clock.py": {"time.time_ns"},  # the clock itself
}
MONEY = re.compile(r"minor|amount|money|gross|coupon|credit|paid|refund|transport|duty")
FLOAT_ALLOWED: dict[str, str] = {}
"""Path → why a float may hold money there."""
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "stuff", "tools"}
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:home|root|Users|work)/[\w.]")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path) -> set[str]:
    """Return the full names of the modules a file imports, inside functions and for type checking too."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(module: str) -> str:
    """Return the part of the package a module of it belongs to: `streams.kafka.topics` → kafka."""
    return module.split(".")[1] if "." in module else "__init__"


def ring_of(part: str) -> int | None:
    return next((number for number, ring in enumerate(RINGS) if part in ring), None)


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_imports_point_inwards(path: Path) -> None:
    part = path.relative_to(ROOT / "streams").parts[0].removesuffix(".py")
    ring = ring_of(part)
    assert ring is not None or part in FOUNDATION, f"{part}: give it a place in RINGS or FOUNDATION"
    for module in imports_of(path):
        if module.partition(".")[0] != "streams":
            is_inner = part in {"domain", "engine"}
            assert not is_inner or module.partition(".")[0] not in INNER_FOREIGN, f"{part} must not import {module}"
            continue
        other = part_of(module)
        other_ring = ring_of(other)
        if ring is None:
            # What belongs to no ring is below all that act; festival files speak of the domain.
            assert other in FOUNDATION | {"domain", "engine"}, f"{part} must not import {module}"
        elif other_ring is None:
            assert ring > 1, f"{part} knows nothing but the domain, not {module}"
        else:
            assert other_ring <= ring, f"{part} must not import {module}: imports point inwards"


@pytest.mark.parametrize("path", sorted((ROOT / "streams" / "audit").rglob("*.py")), ids=name_of)
def test_the_audit_shares_nothing_with_what_it_checks(path: Path) -> None:
    for module in imports_of(path):
        if module.partition(".")[0] == "streams" and part_of(module) in AUDIT_FOREIGN:
            assert any(module.startswith(allowed) for allowed in AUDIT_MAY), f"the audit must not import {module}"


def sizes(path: Path) -> dict[str, int]:
    """Return the lines of a file and of each of its functions."""
    found = {name_of(path): len(path.read_text(encoding="utf-8").splitlines())}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            found[f"{name_of(path)}::{node.name}"] = node.end_lineno - node.lineno + 1
    return found


@pytest.mark.parametrize("path", PACKAGE + DEPLOY + TESTS, ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    file_limit = TEST_FILE_LINES if path in TESTS else FILE_LINES
    for name, lines in sizes(path).items():
        limit = LARGER.get(name, FUNCTION_LINES if "::" in name else file_limit)
        assert lines <= limit, (
            f"{name}: {lines} lines, at most {limit}: find the noun in it that wants a file of its own"
        )


def test_the_ratchet_only_turns_one_way() -> None:
    all_sizes = {name: lines for path in PACKAGE + DEPLOY + TESTS for name, lines in sizes(path).items()}
    for name, lines in LARGER.items():
        assert all_sizes.get(name) == lines, f"{name}: now {all_sizes.get(name)}: write that into LARGER, or remove it"


def test_no_module_has_a_vague_name() -> None:
    vague = [name_of(path) for path in PACKAGE + TESTS if path.stem in VAGUE_NAMES or path.parent.name in VAGUE_NAMES]
    assert vague == [], "a module is a noun of the field"


def calls_of(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_calls_that_have_a_better_replacement_are_not_made(path: Path) -> None:
    allowed = BANNED_ALLOWED.get(name_of(path), set())
    for call in calls_of(path):
        called = ast.unparse(call.func)
        if called in BANNED and called not in allowed:
            # With a time zone given, an instant that was read elsewhere is converted, not asked for.
            pytest.fail(f"{name_of(path)}:{call.lineno}: {called}: use {BANNED[called]}")
        if called == "print":
            assert name_of(path).startswith("streams/cli/"), f"{name_of(path)}:{call.lineno}: print: use a logger"


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_no_float_holds_money(path: Path) -> None:
    if name_of(path) in FLOAT_ALLOWED:
        return
    for call in calls_of(path):
        if ast.unparse(call.func) == "float" and call.args:
            is_money = MONEY.search(ast.unparse(call.args[0]))
            assert not is_money, f"{name_of(path)}:{call.lineno}: float of money: use int or Decimal"


@pytest.mark.parametrize("path", PACKAGE + TESTS, ids=name_of)
def test_no_except_is_bare(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{name_of(path)}:{node.lineno}: bare except: name what you expect"


def tracked_files() -> list[Path]:
    """Return the files of the project; outside a clone (a downloaded archive) those of its source folders."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    if listed.returncode == 0:
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    folders = ("streams", "tests", "bin", "deploy", "docs", ".ci")
    return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]


def test_nothing_names_a_place_on_somebodys_machine() -> None:
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_locks_pin_everything_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    pins = re.findall(r"^[a-z0-9][\w.-]*==\S+.*(?:\\\n    --hash=sha256:[0-9a-f]{64} ?)+", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 10


@pytest.mark.parametrize(
    ("name", "groups"), [("requirements.lock", {"build"}), ("requirements-dev.lock", {"build", "dev"})]
)
def test_the_locks_are_those_of_the_dependencies_the_project_names(name: str, groups: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [*project["project"]["dependencies"]]
    named += [line for group in groups for line in project["dependency-groups"][group]]
    text = (ROOT / name).read_text(encoding="utf-8")
    for requirement in map(Requirement, named):
        pinned = re.findall(rf"^{canonicalize_name(requirement.name)}==([\w.]+)", text, re.MULTILINE)
        assert pinned, f"{requirement.name} is not in {name}: run bin/lock"
        assert all(requirement.specifier.contains(version) for version in pinned), f"{requirement}: run bin/lock"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    for option in ("--broker", "--json"):
        assert option in shown, f"festival {name} has no {option}"
    described = [line for line in shown.splitlines() if line.strip()][1:2]
    assert described
    assert not described[0].startswith("Options"), f"festival {name} --help does not say what it does"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_first_help_says_of_a_command_what_its_own_says_first(name: str) -> None:
    command = main.Commands().get_command(click.Context(click.Command("x")), name)
    assert command is not None
    assert command.help is not None
    assert command.help.partition("\n\n")[0].replace("\n", " ") == main.COMMANDS[name]
    for option in command.params:
        assert isinstance(option, click.Argument) or getattr(option, "help", None), f"{name} {option.opts[0]}: no help"
