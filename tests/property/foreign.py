"""Records of foreign topics as they are drawn: most have what the maps look for, and any of it may be anything."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

TEXTS = st.sampled_from(
    ["", "a", "b", "n", "x", "void", "LOST", "NEW", "EUR", "eur", "JPY", "XYZ", "__x", "c", "u", "r", "d"]
)
NUMBERS = st.sampled_from(
    ["1", "12,5", "12.5", "-3", "1e3", "0.005", " 7 ", "€ 5", "20261110", "2026-11-10", "2026-11-10T11:00:00-05:00"]
)
INTEGERS = st.integers(-5, 50) | st.sampled_from([1_794_326_400_250, 1_794_326_400_250_999, 10**13, 10**18, 10**90])
FLOATS = st.sampled_from([0.0, 1.5, 84.1, 12.3400000004, 12.34001, 1e300, 5.0])
SCALED = st.builds(
    lambda n, scale: {"scale": scale, "value": base64.b64encode(n.to_bytes(8, "big", signed=True)).decode()},
    st.integers(-10, 10**6),
    st.integers(-2, 4),
)
MONEY = st.fixed_dictionaries(
    {},
    optional={
        "currency_code": st.sampled_from(["EUR", "JPY", ""]),
        "units": st.integers(-2, 100) | st.sampled_from(["12", "x"]),
        "nanos": st.sampled_from([0, 500_000_000, 10_000_000, 1, -5, 10**9]),
    },
)
LEAVES = st.none() | st.booleans() | TEXTS | NUMBERS | INTEGERS | FLOATS | SCALED | MONEY
KEYS = [
    "id",
    "op",
    "status",
    "at",
    "day",
    "shop",
    "land",
    "how",
    "cur",
    "total",
    "payer",
    "paid",
    "freight",
    "duty",
    "why",
]
KEYS += ["n", "kind", "coupon", "credit", "who", "price", "lines", "items", "before", "after", "payload"]
LIKELY: dict[str, Any] = {
    "id": st.sampled_from(["k1", 7]),
    "op": st.sampled_from(["c", "u", "r", "d"]),
    "status": st.sampled_from(["LOST", "NEW", None]),
    "at": st.sampled_from([1_794_326_400_250, 1_794_326_400_250_999, "2026-11-10T11:00:00Z"]),
    "shop": st.sampled_from(["a", "b"]),
    "land": st.just("de"),
    "how": st.just(["card"]),
    "cur": st.sampled_from(["EUR", "eur", "JPY", None]),
    "total": st.sampled_from(["12,5", 12, 12.34, "0,001"]),
    "payer": st.sampled_from([None, "CNY"]),
    "paid": SCALED,
    "freight": MONEY,
    "duty": st.integers(0, 50) | st.just(12500),
    "why": st.sampled_from([None, "declined"]),
    "n": st.integers(0, 6),
    "kind": st.sampled_from(["n", "x", "draft"]),
    "coupon": st.integers(0, 5),
    "price": st.sampled_from(["3.5", 4, 1.25, "0.005", None]),
}


def objects(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects in which most keys have what the maps look for, and any of them anything."""
    inner = objects(depth - 1) if depth else st.just({})
    fields: dict[str, Any] = {key: LIKELY.get(key, LEAVES) | LEAVES for key in KEYS}
    fields |= dict.fromkeys(("before", "after", "payload"), inner | st.none())
    fields |= dict.fromkeys(("items", "lines"), st.lists(inner, max_size=3) | LEAVES)
    likely: dict[str, Any] = {**LIKELY, "after": inner, "items": st.lists(inner, max_size=2)}
    likely["lines"] = st.lists(inner, max_size=2)
    mixed = st.sampled_from(sorted(fields)).flatmap(lambda key: fields[key].map(lambda value: {key: value}))
    return st.tuples(st.fixed_dictionaries(likely), st.lists(mixed, max_size=2)).map(
        lambda made: {key: value for part in (made[0], *made[1]) for key, value in part.items()}
    )


HEADERS = st.lists(
    st.tuples(st.sampled_from(["h", "g"]), st.none() | st.sampled_from([b"", b"shop", b"\xff"])), max_size=2
)


def nearly(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects of good values, strategies or objects of such, in which a few are anything or left out."""

    def drawn(one: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a strategy or an object
        return st.fixed_dictionaries({k: drawn(v) for k, v in one.items()}) if isinstance(one, dict) else one

    changes = st.lists(st.tuples(st.sampled_from(_paths(good)), LEAVES | st.just(LEFT_OUT)), max_size=2)
    return st.tuples(drawn(good), changes).map(lambda made: _changed(*made))


LEFT_OUT = object()


def _paths(good: dict[str, Any]) -> list[tuple[str, ...]]:
    inner = [(key, *path) for key, value in good.items() if isinstance(value, dict) for path in _paths(value)]
    return [*((key,) for key in good), *inner]


def _changed(found: dict[str, Any], changes: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    for path, value in changes:
        place: Any = found
        for key in path[:-1]:
            place = place.get(key) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            continue
        if value is LEFT_OUT:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value
    return found
