"""What one more declared dimension costs an order: the same orders are counted with and without it, in turn.

`python -m bench.dimension [ROUNDS]`: each round counts one batch a side, in changing order; the median of the ratios of
CPU time is told. Both sides read the same records, so the field costs its bytes on both.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from dataclasses import replace

import orjson

from streams.domain.declarations import Declarations
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.domain.ledger import BATCH_LIMIT_RECORDS, Ledger
from streams.domain.rollups import Window
from streams.festivals import load_festivals
from streams.native import IS_BUILT

DAY = "singles-day-2019"
BASE = Declared()
SIDES = {
    "one dimension, festival": Declared((Dimension("orders", "channel"),)),
    "one dimension, minute": Declared((Dimension("orders", "channel", Window.MINUTE),)),
    "one amount": Declared((), (Amount("orders", "shipping_minor"),)),
}
_ROUNDS = 60


def batch(number: int, start_ms: int) -> list[bytes]:
    """Return the orders of one batch: 16 channels, 2,000 merchants, a few seconds of the day."""
    draw = random.Random(number)  # noqa: S311 - a load, not a secret
    return [
        orjson.dumps(
            {
                "type": "order_placed",
                "event_id": f"singles-day-2019-{number}-{place}",
                "ts": start_ms + number * 2_000 + place // 4,
                "order_id": f"o-{number}-{place}",
                "platform": draw.choice(("tmall", "taobao", "lazada", "aliexpress")),
                "merchant": f"merchant-{int(draw.paretovariate(1.1)) % 2_000}",
                "market": draw.choice(("CN", "RU", "ES", "FR", "US")),
                "currency": "CNY",
                "amount_minor": draw.randrange(1_000, 90_000),
                "coupon_minor": draw.choice((0, 0, 500)),
                "category": f"category-{draw.randrange(40)}",
                "brand": f"brand-{int(draw.paretovariate(1.1)) % 500}",
                "channel": f"channel-{int(draw.paretovariate(1.2)) % 16}",
                "shipping_minor": draw.choice((0, 490, 990)),
            }
        )
        for place in range(BATCH_LIMIT_RECORDS)
    ]


def ledger(declared: Declared) -> Ledger:
    """Return an empty ledger of one day."""
    day = replace(load_festivals()[DAY], facts=("orders",))
    return Ledger(Declarations({DAY: day}, 30 * 86_400_000, 10, declared.rollups, facts=declared.facts))


def spent_ns(counter: Ledger, values: list[bytes], time_ms: int) -> int:
    """Return the CPU time that counting a batch takes."""
    began = time.process_time_ns()
    counter.apply("orders", values, [time_ms] * len(values))
    return time.process_time_ns() - began


def compared(declared: Declared, rounds: int) -> tuple[float, float, float]:
    """Return the median ratio, and CPU nanoseconds an order without and with."""
    start_ms = load_festivals()[DAY].start_ms
    without, beside = ledger(BASE), ledger(declared)
    ratios: list[float] = []
    base: list[float] = []
    more: list[float] = []
    for number in range(rounds + 3):
        values, time_ms = batch(number, start_ms), start_ms + number * 2_000 + 3_000
        sides = [(without, base), (beside, more)]
        for counter, spent in sides if number % 2 else sides[::-1]:
            spent.append(spent_ns(counter, values, time_ms) / len(values))
        if number >= 3:
            ratios.append(more[-1] / base[-1])
    return statistics.median(ratios), statistics.median(base), statistics.median(more)


def main() -> None:
    """Compare each side with none."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS
    sys.stdout.write(f"compiled part: {IS_BUILT}, {rounds} rounds of {BATCH_LIMIT_RECORDS} orders\n")
    for name, declared in SIDES.items():
        ratio, base, more = compared(declared, rounds)
        sys.stdout.write(f"{name}: {ratio - 1:+.1%} ({base:.0f} ns an order, {more:.0f} ns with it)\n")


if __name__ == "__main__":
    main()
