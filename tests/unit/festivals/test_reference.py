"""The reference of the festival file has every key that the code reads, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from streams.domain import festivals, sales
from streams.domain.festivals import parse_festival

PAGE = (Path(__file__).parents[3] / "docs" / "festivals.md").read_text("utf-8")


def keys_of(heading: str) -> set[str]:
    """Return the keys of the table under a heading: what stands in the first column."""
    section = PAGE.partition(heading)[2]
    section = re.split(r"^#{2,3} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_every_key_is_documented_and_every_documented_key_is_read() -> None:
    assert keys_of("## Keys") == set(festivals._FIELDS)
    assert keys_of("### `[previous]`") == set(festivals._PREVIOUS_FIELDS)
    assert keys_of("### `[plausible]`") == set(festivals._PLAUSIBLE_FIELDS)
    assert keys_of("### `[replay]`") == set(sales.KEYS)


def test_the_example_is_a_festival() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    festival = parse_festival(example, "docs/festivals.md")
    assert festival.id == "spring-2027"
    assert festival.display == ("USD",)


def test_the_examples_of_a_replay_are_good() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE.partition("### `[replay]`")[2], re.MULTILINE)
    table = "\n".join(f"{key} = {example}" for key, example in rows)
    text = (
        f'id = "x"\nstarts = 2027-03-20T00:00:00\ntimezone = "Europe/Berlin"\nhome_currency = "EUR"\n[replay]\n{table}'
    )
    replayed = parse_festival(text, "docs/festivals.md").sales
    assert replayed is not None
    assert all(getattr(replayed, field) for field in ("platforms", "markets", "currencies", "merchants", "carriers"))
