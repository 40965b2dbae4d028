"""What the tools don't check: who imports whom, how large things get, and calls that have a better replacement here.

Each check reads the source; what it allows besides its rule stands in a table with the reason.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from streams.cli import main

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = sorted((ROOT / "streams").rglob("*.py"))
DEPLOY = sorted((ROOT / "deploy").rglob("*.py"))
TESTS = sorted(path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py"))

FILE_LINES = 400
TEST_FILE_LINES = 600
FUNCTION_LINES = 50
LARGER: dict[str, int] = {}
"""Path, or path::function → lines of those that were larger when the limit came: they only get smaller, and leave."""

RINGS = (
    {"domain", "native"},
    {"engine"},
    {
        "web",
        "board",
        "replay",
        "truth",
        "mapping",
        "imports",
        "bridge",
        "kafka",
        "broker",
        "audit",
        "metrics",
        "declared_metrics",
        "metrics_page",
        "handover",
    },
    {"app", "bridge_app", "serving", "process", "shop_app"},
    {"night"},
    {"cli", "faust"},
)
"""From the inside out; each may import its own ring and those inside it."""
FOUNDATION = {
    "errors",
    "complaints",
    "configuration",
    "setting_values",
    "settings",
    "log",
    "festivals",
    "renewed",
    "sealed_files",
    "security",
    "security_configuration",
    "token_source",
    "tokens",
    "__init__",
}
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
AUDIT_MAY = {
    "streams.domain.pages",
    *(f"streams.engine.{name}" for name in ("clock", "judgement", "ledger_view", "status", "topic_names")),
}
"""The audit recounts by other code than the counter's: all it shares is the form of the ledger, a clock, names, and
what may be called complete, which decides no count."""
ENCODERS = {
    "streams.domain.pages.encode_cursor",
    "streams.engine.ledger_records.decode_restored",
    "streams.engine.ledger_records.Live",
    "streams.engine.ledger_records.encode_headers",
    "streams.engine.ledger_records.encode_held",
}
MAY_ENCODE = {"streams/engine/ledger_records.py", "streams/engine/memory/ledger.py", "streams/kafka/ledger/store.py"}
"""The codec and the two stores: a checkpoint is values everywhere else."""
AUDIT_FOREIGN = {"domain", "native", "engine", "app", "board", "replay", "mapping", "imports", "bridge"}

PRIVATE_FOLDER = "streams/kafka/client"
"""All private names of aiokafka are used here. What the subclasses of Faust's consumer in `kafka/group` override is
private too; a contract test names each."""
PRIVATE_ALLOWED = {
    "_exit": "os._exit is documented: it ends a process without cleaning up",
    "_replace": "a method of named tuples; the underscore keeps it apart from their fields",
    "_asdict": "the same",
    "_read": "imports/part_writer.py: the class's own, called on what its `open` has made",
}

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
GENITIVE = re.compile(r"\bOf\s+(?!course\b)[\w`*]+ [\w`]*")
"""How a sentence begins in the genitive: with a capital, the word stands nowhere else in prose of ours."""


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
    """Return the part of the package a module of it belongs to: `streams.kafka.cluster.topics` → kafka."""
    return module.split(".")[1] if "." in module else "__init__"


def ring_of(part: str) -> int | None:
    return next((number for number, ring in enumerate(RINGS) if part in ring), None)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Not for type checking either: two files that know each other are one."""
    modules = {path.with_suffix("").relative_to(ROOT).as_posix().replace("/", "."): path for path in PACKAGE}
    graph = {
        module: {name if name in modules else name.rpartition(".")[0] for name in imports_of(path)} & modules.keys()
        for module, path in modules.items()
    }
    while free := [module for module, others in graph.items() if not others & graph.keys()]:
        for module in free:
            del graph[module]
    assert not graph, f"a circle among {sorted(graph)}"


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


@pytest.mark.parametrize("path", sorted((ROOT / "streams/board/view").glob("*.py")), ids=name_of)
def test_what_is_committed_knows_no_answers(path: Path) -> None:
    assert not [module for module in imports_of(path) if module.startswith("streams.board.answers")]


def private_uses(path: Path) -> list[str]:
    """Return where a file uses the private name of something else: `x._name` and `from x import _name`."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            own = ast.unparse(node.value) in {"self", "cls", "super()", "other"}  # other: one of the same class
            names = [] if own else [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        else:
            continue
        private = (name for name in names if name.startswith("_") and not name.startswith("__"))
        found += [f"{name_of(path)}:{node.lineno}: {name}" for name in private if name not in PRIVATE_ALLOWED]
    return found


def test_private_names_of_others_are_used_in_one_folder() -> None:
    """An upgrade of aiokafka is then read beside one folder, and its names stand in the contract tests."""
    paths = [path for path in PACKAGE if not path.is_relative_to(ROOT / PRIVATE_FOLDER)]
    assert [use for path in paths for use in private_uses(path)] == []
    assert any(private_uses(path) for path in sorted((ROOT / PRIVATE_FOLDER).glob("*.py"))), "the check finds them"


def sizes(path: Path) -> dict[str, int]:
    """Return the lines of a file and of each of its functions."""
    found = {name_of(path): len(path.read_text(encoding="utf-8").splitlines())}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            found[f"{name_of(path)}::{node.name}"] = node.end_lineno - node.lineno + 1
    return found


def test_only_the_stores_make_records_of_checkpoints() -> None:
    """Encoded earlier, a value is decoded again by whoever wants to know what is in it."""
    found = {name_of(path) for path in PACKAGE if ENCODERS & imports_of(path)}
    assert found == MAY_ENCODE


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


def test_no_sentence_begins_in_the_genitive() -> None:
    found = []
    for path in tracked_files():
        if path.suffix in {".md", ".py", ".pyx", ".pyi", ".js", ".java", ".yml", ".yaml", ".toml"}:
            text = path.read_text(encoding="utf-8")
            found += [f"{name_of(path)}: {match[0]} …" for match in GENITIVE.finditer(text)]
    assert found == [], "say who or what first: subject, verb, object"


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


@pytest.mark.parametrize(("paths", "groups"), [(PACKAGE, set()), (DEPLOY + TESTS, {"dev"})], ids=["package", "tests"])
def test_what_is_imported_is_declared(paths: list[Path], groups: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [*project["project"]["dependencies"]]
    named += [line for group in groups for line in project["dependency-groups"][group]]
    declared = {canonicalize_name(Requirement(line).name) for line in named}
    ours = {"streams", "tests", "bench", "deploy"} | sys.stdlib_module_names
    carriers = packages_distributions()
    for path in paths:
        for module in sorted({name.partition(".")[0] for name in imports_of(path)} - ours):
            owners = {canonicalize_name(name) for name in carriers.get(module, [module])}
            assert owners & declared, f"{name_of(path)}: {module} is imported, so pyproject.toml must name {owners}"


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
