"""What a bridge is given wrongly ends it with exit status 2 and a sentence, before it joins anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.bridge.map import load_map
from streams.bridge_app import refuse_own
from streams.cli.main import run
from streams.errors import UsageError
from streams.mapping.hashing import hash_with, load_hash
from streams.settings import Settings, load_settings
from tests.unit.bridge.test_bridge_map import PLAIN

FOLDER = Path(__file__).parent / "samples"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Return a map of one JSON source."""
    file = tmp_path / "plain.toml"
    file.write_text(PLAIN, "utf-8")
    return file


def check(map_file: Path, *more: str) -> int:
    return run(["bridge", "--map", str(map_file), "--check", *more])


def test_lines_of_json_are_records_of_the_only_source(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"id": "1", "at": 1_794_326_400_250, "shop": "s", "land": "DE", "total": 12.5}
    file = tmp_path / "r.ndjson"
    file.write_text(f"{json.dumps(record)}\n\n{json.dumps({**record, 'total': 'x'})}\n", "utf-8")
    assert check(plain, str(file), "--json") == 1
    first, second = json.loads(capsys.readouterr().out)["results"]
    assert first["events"][0]["amount_minor"] == 1250
    assert (second["offset"], second["reason"], second["path"]) == (1, "bad_amount", "total")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["r.csv"], "ends in .ndjson or .json"),
        (["none.ndjson"], "cannot be read"),
        (["r.json"], "not a file of records"),
        (["r.json", "--last", "5"], "--last: is of topics, not of files"),
        (["--topic", "x"], "--topic: x is no source of the map"),
        (["--accept-map", "r.json"], "are for a bridge that runs"),
    ],
)
def test_wrong_usage_is_told(  # noqa: PLR0917 - fixtures
    arguments: list[str],
    words: str,
    plain: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in (("r.csv", ""), ("r.json", '{"records": [{"topic": "t"}]}')):
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert check(plain, *arguments) == 2
    assert words in capsys.readouterr().err


def test_files_go_with_check(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bridge", "--map", str(plain), "r.json"]) == 2
    assert "go with --check" in capsys.readouterr().err


def test_lines_of_a_map_with_several_sources_need_their_topic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.ndjson"
    file.write_text("{}\n", "utf-8")
    assert check(FOLDER / "map.toml", str(file)) == 2
    assert "say with --topic" in capsys.readouterr().err
    assert check(FOLDER / "map.toml", str(file), "--topic", "shop.order-events") == 2
    assert "give its records as hex in a .json file" in capsys.readouterr().err
    assert check(FOLDER / "map.toml", str(file), "--topic", "shopify.orders-create") == 1


def test_a_topic_of_ours_is_no_source(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(PLAIN.replace("shop.orders", "p.orders"), "utf-8")
    refuse_own(Settings(), load_map(file))
    with pytest.raises(UsageError, match=r"p\.orders: a topic of ours"):
        refuse_own(Settings(prefix="p."), load_map(file))


def test_a_hash_needs_its_key(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.write_text(f'{PLAIN}buyer = {{ path = "who", hash = true }}\n', "utf-8")
    file = tmp_path / "r.ndjson"
    record = {"id": "1", "at": 1_794_326_400_250, "shop": "s", "land": "DE", "total": 1, "who": "Ann"}
    file.write_text(json.dumps(record), "utf-8")
    assert check(plain, str(file)) == 2
    assert "hash = true needs FESTIVAL_HASH_KEY_FILE" in capsys.readouterr().err
    key = tmp_path / "key"
    key.write_bytes(b"secret\r\n")
    monkeypatch.setenv("FESTIVAL_HASH_KEY_FILE", str(key))
    assert check(plain, str(file), "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["events"][0]["buyer"] == hash_with(b"secret")("Ann")
    key.write_bytes(b"\n")
    with pytest.raises(UsageError, match="is empty"):
        load_hash(key)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"URL": "registry:8081"}, "'registry:8081' is no address"),
        ({"URL": "http://me:secret@registry"}, "that is no address"),
        ({"USER": "shop"}, "user and password go together"),
        ({"USER": "shop", "PASSWORD": "x", "TOKEN": "t"}, "given besides FESTIVAL_REGISTRY_USER"),
        ({"KEY_FILE": __file__}, "a key is only used with a certificate"),
    ],
)
def test_who_asks_the_registry_is_one(variables: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        load_settings(environ={f"FESTIVAL_REGISTRY_{name}": value for name, value in variables.items()})
    assert "secret" not in str(error.value)
