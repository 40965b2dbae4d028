"""The file of declarations: what it says, and everything that is wrong with it at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from streams.audit.declared import read_declared
from streams.cli.main import run
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.domain.rollups import KEYS_LIMIT, LABEL_LIMIT, Window
from streams.errors import UsageError
from streams.festivals.declared import load_declared, parse_declared

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
[[dimension]]
fact = "orders"
field = "channel"
window = "minute"
limit = 150
label = true
rank = true
names = { en = "Channel", de = "Kanal", zh = "渠道" }

[[dimension]]
fact = "payments"
field = "channel"

[[dimension]]
fact = "parcels"
field = "store"
label = true

[[amount]]
fact = "orders"
field = "shipping_minor"
names = { en = "Shipping" }
"""


def test_a_file_says_dimensions_and_amounts_with_defaults() -> None:
    declared = parse_declared(FILE, "own.toml")
    names = (("en", "Channel"), ("de", "Kanal"), ("zh", "渠道"))
    assert declared == Declared(
        (
            Dimension("orders", "channel", Window.MINUTE, 150, label=True, rank=True, names=names),
            Dimension("payments", "channel", Window.FESTIVAL, KEYS_LIMIT),
            Dimension("parcels", "store", Window.FESTIVAL, LABEL_LIMIT, label=True),
        ),
        (Amount("orders", "shipping_minor", (("en", "Shipping"),)),),
    )
    assert parse_declared("", "empty.toml") == Declared() == load_declared(None)


def test_the_audit_reads_the_same_out_of_it(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(FILE, encoding="utf-8")
    ours, theirs = load_declared(file), read_declared(file)
    assert theirs.dimensions == {
        (d.fact, d.field): (60_000 if d.window is Window.MINUTE else None, d.limit) for d in ours.dimensions
    }
    assert theirs.amounts == {"orders": {"shipping_minor"}}


WRONG = """
[[dimension]]
fact = "order"
field = "Channel"
windows = "minute"

[[dimension]]
fact = "orders"
field = "platform"
limit = 0

[[dimension]]
fact = "orders"
field = "platform"
label = true
limit = 201

[[dimension]]
fact = "orders"
field = "money"

[[amount]]
fact = "parcels"
field = "shipping"
label = true
names = { fr = "x" }

[[amount]]
field = "gross_minor"
names = {}

[amounts]
"""


def test_all_that_is_wrong_is_told_at_once_by_line() -> None:
    with pytest.raises(UsageError) as raised:
        parse_declared(WRONG, "own.toml")
    assert str(raised.value).splitlines() == [
        "own.toml: line 3: `dimension[0].fact`: 'order' is none of orders, payments, parcels, recycling",
        (
            "own.toml: line 4: `dimension[0].field`: 'Channel' is no field's name: a small letter, then up to 31 small "
            "letters, digits or underscores"
        ),
        "own.toml: line 5: `dimension[0].windows` is not known here: did you mean `window`?",
        "own.toml: line 10: `dimension[1].limit`: 0 is no whole number from 1 to 50000",
        "own.toml: line 16: `dimension[2].limit`: 201 is no whole number from 1 to 200 where `label` is true",
        "own.toml: line 20: `dimension[3].field`: money is a key of the totals: take another name",
        "own.toml: line 23: `amount[0].fact`: 'parcels' is none of orders, payments",
        (
            "own.toml: line 24: `amount[0].field`: 'shipping' is no amount's name: it ends in _minor, as "
            "shipping_minor does"
        ),
        "own.toml: line 25: `amount[0].label` is not known here: an amount is a metric by itself",
        "own.toml: line 26: `amount[0].names`: no language of the screen is fr: there are en, de, zh",
        "own.toml: line 28: `amount[1]`: `fact` is missing",
        'own.toml: line 30: `amount[1].names`: expected a table such as { en = "Channel" }',
        "own.toml: line 32: `amounts` is not known here: did you mean `amount`?",
    ]


@pytest.mark.parametrize("key", ["label", "rank"])
def test_a_flag_is_true_or_false(key: str) -> None:
    with pytest.raises(UsageError, match=f"`dimension\\[0\\].{key}`: 'yes' is neither true nor false"):
        parse_declared(table("dimension", fact="orders", field="channel", **{key: "yes"}), "own.toml")


def table(kind: str, **keys: str) -> str:
    """Return one table of a file."""
    return "\n".join([f"[[{kind}]]", *(f'{name} = "{value}"' for name, value in keys.items()), ""])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            table("dimension", fact="orders", field="a") * 2,
            "line 6: `dimension[1].field`: a of orders is declared twice",
        ),
        ("".join(table("dimension", fact="orders", field=f"d{n}") for n in range(9)), "at most 8 dimensions can be"),
        ("".join(table("amount", fact="orders", field=f"a{n}_minor") for n in range(5)), "at most 4 amounts can be"),
        ("".join(table("amount", fact=f, field="a_minor") for f in ("orders", "payments")), "an amount is of one fact"),
        (
            table("dimension", fact="orders", field="fee") + table("amount", fact="orders", field="fee_minor"),
            "fee is declared as a dimension",
        ),
        ("dimension = 1", "`dimension`: write it as [[dimension]], each time anew"),
        ('[[dimension]]\nfact = "orders"\nfield = "a"\nrank = 1', "`dimension[0].rank`: 1 is neither true nor false"),
        ('[[dimension]]\nfact = "orders"\nfield = "a"\nwindow = "second"', "'second' is none of festival, minute"),
        ('[[dimension]]\nfact = "orders"\nfield = "a"\nnames = { en = "" }', "'' is no name"),
        ("[[dimension]", "not TOML"),
    ],
)
def test_what_cannot_be_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_declared(text, "own.toml")
    assert told in str(raised.value)


def test_one_field_of_several_facts_is_one_dimension() -> None:
    text = "".join(table("dimension", fact=f, field=f"d{n}") for n in range(8) for f in ("orders", "payments"))
    assert len(parse_declared(text, "own.toml").dimensions) == 16


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="byte 0 is not UTF-8"):
        load_declared(tmp_path / "bad.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_declared(tmp_path)
    assert run(["board", "--declarations", str(tmp_path / "none.toml")]) == 2
    assert "--declarations: " in capsys.readouterr().err


def test_the_check_names_what_is_declared_and_what_is_wrong_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.toml"
    place = ["--broker", "127.0.0.1:1", "--declarations", str(file), "--json"]
    for text, status in ((FILE, 3), (WRONG, 2)):
        file.write_text(text, encoding="utf-8")
        assert run(["check", *place]) == status
        checks = [one for one in json.loads(capsys.readouterr().out)["checks"] if one["name"] == "declarations"]
        if text == FILE:
            (check,) = checks
            assert check["ok"]
            assert (
                check["detail"] == "channel of orders, channel of payments, store of parcels, shipping_minor of orders"
            )
        else:
            assert len(checks) == 13
            assert not any(one["ok"] for one in checks)
