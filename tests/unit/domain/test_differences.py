"""What two fingerprints differ in: one clause for each difference, and none for what is equal."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.differences import differences


def named(*names: str, **attributes: object) -> list[dict[str, Any]]:
    """Return entries of these names, all with the same attributes."""
    return [{"name": name, **attributes} for name in names]


@pytest.mark.parametrize(
    ("ledger", "here", "told"),
    [
        ({"settle_ms": 1}, {"settle_ms": 1}, []),
        ({"settle_ms": 1}, {"settle_ms": 2}, ["FESTIVAL_SETTLE_MS: the ledger has 1, here is 2"]),
        ({"rules": 1}, {}, ["rules: the ledger has 1, here is nothing"]),
        ({}, {"rules": 1}, ["rules: the ledger has nothing, here is 1"]),
        (
            {"festivals": {"a": {"start_ms": 0}}},
            {"festivals": {"a": {"start_ms": 1_000}}},
            ["festival a, start: the ledger has 1970-01-01T00:00:00Z, here is 1970-01-01T00:00:01Z"],
        ),
        ({"festivals": {"a": {}}}, {"festivals": {}}, ["festival a removed"]),
        ({"festivals": {}}, {"festivals": {"a": {}}}, ["festival a added"]),
        ({"festivals": {"a": 1}}, {"festivals": {}}, ["festival a: the ledger has 1, here is nothing"]),
        ({"festivals": {}}, {"festivals": {"a": 1}}, ["festival a: the ledger has nothing, here is 1"]),
        ({"festivals": {"a": {}}}, {"festivals": {"a": 1}}, ["festival a: the ledger has {}, here is 1"]),
        ({"start_ms": None}, {"start_ms": 5_000}, ["start: the ledger has null, here is 1970-01-01T00:00:05Z"]),
        (
            {"fields": named("x", default=None)},
            {"fields": named("x", default=0)},
            ["field x, default: the ledger has none (it is required), here is 0"],
        ),
        ({"limit": None}, {"limit": 3}, ["limit: the ledger has null, here is 3"]),
        ({"facts": {"limit": 1}}, {"facts": {"limit": 2}}, ["topic limit: the ledger has 1, here is 2"]),
        (
            {"rollups": named("b", "a", limits=1)},
            {"rollups": named("a", "b", limits=1)},
            ['order of the rollups: the ledger has ["b","a"], here is ["a","b"]'],
        ),
        (
            {"rollups": named("a", "b", limits=1)},
            {"rollups": named("a", limits=2)},
            ["table a, limit: the ledger has 1, here is 2", "table b removed"],
        ),
        (
            {"rollups": []},
            {"rollups": named("orders_by_buyer", fact="orders", dimension="buyer")},
            ["dimension buyer of orders added"],
        ),
        ({"rollups": named("a")}, {"rollups": [1]}, ['rollups: the ledger has [{"name":"a"}], here is [1]']),
        ({"rollups": [1]}, {"rollups": named("a")}, ['rollups: the ledger has [1], here is [{"name":"a"}]']),
        ({"text": "a" * 90}, {"text": ""}, ['text: the ledger has "' + "a" * 79 + ', here is ""']),
    ],
)
def test_each_difference_is_told_once_at_its_place(
    ledger: dict[str, Any], here: dict[str, Any], told: list[str]
) -> None:
    assert differences(ledger, here) == told


def test_the_place_of_what_lies_deep_leads_there() -> None:
    ledger = {"facts": {"orders": {"fields": named("city", kind="text", limits=1)}}}
    here = {"facts": {"orders": {"fields": named("city", kind="text", limits=2)}}}
    assert differences(ledger, here) == ["topic orders, field city, limit: the ledger has 1, here is 2"]
    here["facts"]["orders"]["fields"] = named("city", kind="money", limits=1)
    assert differences(ledger, here) == ['topic orders, field city, kind: the ledger has "text", here is "money"']
