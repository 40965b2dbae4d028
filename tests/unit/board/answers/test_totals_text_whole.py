"""The whole text of `festival totals`, line by line: nothing is told twice, left out, or out of line."""

from __future__ import annotations

import re
from dataclasses import replace

from msgspec.structs import replace as replaced

from streams.board.answers.totals import totals_of
from streams.board.answers.totals_text import table, totals_text
from streams.board.view.committed_view import CommittedView
from streams.domain.rollups import OTHER
from streams.engine.judgement import Held, Judgement, OpenTransaction
from streams.engine.memory import CellLedger
from streams.engine.status import HeldReason
from streams.festivals import load_festivals

DAY = replace(load_festivals()["singles-day-2014"], display=())
"""Told in no other currency: `test_board_text.py` has those lines."""
START = DAY.start_ms
JUDGEMENT = Judgement(partitions=2, lag_records=0)
HELD = Held(1, HeldReason.LOG_DELETED, "orders", START + 61_001, "it is gone")
HANGING = OpenTransaction("orders", 0, 512, START + 7)


def a_day() -> CellLedger:
    """Return a ledger of two partitions with something of each fact but parcels."""
    ledger = CellLedger(2)
    for second, orders, gross in ((0, 30, 3_501_900_000_000), (7_200, 7, 100_000)):
        cells = {"orders": orders, "gross_minor": gross, "coupons_minor": 50, "couponed": 3}
        ledger.add(0, DAY, "orders_by_second", ("CNY",), START + second * 1_000, **cells)
    cells = {"captured": 2, "paid_minor": 1_234_567, "failed": 1, "failed_minor": 9}
    ledger.add(1, DAY, "payments_by_second", ("CNY",), START, **cells)
    ledger.add(1, DAY, "payer_by_second", ("JPY",), START, payer_paid_minor=1_000, duty_minor=77)
    ledger.add(1, DAY, "recycling_by_second", (), START, boxes=6, scans=2, points=222)
    ledger.add(0, DAY, "orders_by_merchant", ("m1", "CNY"), START, orders=30, gross_minor=70_000)
    ledger.add(0, DAY, "orders_by_merchant", ("m2", "CNY"), START, orders=1_000, gross_minor=60_000)
    newest = {"orders": START + 8_000_000}
    outcomes = {"orders": {"duplicate": 12, "rejected": 3}}
    for partition in (0, 1):
        ledger.commit(partition, {"orders": 7}, {"orders": START + 8_000_001}, newest, outcomes)
    return ledger


def lines(ledger: CellLedger, judgement: Judgement = JUDGEMENT) -> list[str]:
    """Return the lines, each as far as it fits here."""
    view = CommittedView()
    view.feed(ledger.drain())
    text = totals_text(totals_of(view.snapshot(), DAY, by="merchant", judgement=judgement), DAY)
    return [re.sub(" {40,}", " … ", line)[:110] for line in text.splitlines()]


WHOLE = """\
Singles' Day 2014 (singles-day-2014)
complete, 0 records behind, ledger g1
as of 2014-11-11 23:59:59.999 Asia/Shanghai
newest committed record 2014-11-10 18:13:20.001 UTC

orders                      37
cancelled                    0
payments captured            2
payments failed              1
payments refunded            0
boxes                        6
scans                        2
points                     222
different buyers    0 (0 to 0)
records duplicates          24
records rejected             6
records late                 0
records expired              0
records outside              0

money              gross  coupons  credits                net  cancelled_net       paid  failed  refunded
CNY    35,019,001,000.00     1.00     0.00  35,019,000,999.00           0.00  12,345.67    0.09      0.00

payer   paid  refunded  transport  duty
JPY    1,000         0          0    77

gross in CNY  35,019,001,000.00
net in CNY    35,019,000,999.00
paid in CNY           12,345.67

peak second … 30 orders at 2014-11-11 00:00:00.000 Asia/Shanghai
peak minute … 30 orders at 2014-11-11 00:00:00.000 Asia/Shanghai
passed 6,114,600,000.00 CNY … 2014-11-11 00:00:01.000 Asia/Shanghai
passed 12,229,200,000.00 CNY … 2014-11-11 00:00:01.000 Asia/Shanghai
passed 35,019,000,000.00 CNY … 2014-11-11 00:00:01.000 Asia/Shanghai
passed all of Singles' Day 2013 … 2014-11-11 00:00:01.000 Asia/Shanghai
against Singles' Day 2013 at the same time … +334.5%
forecast in CNY … 134,418,089,361.01 (97,027,165,916.41 to 194,355,739,642.70)
forecast from                               the curve of Singles' Day 2013, and its growth on the edition befo
IMPLAUSIBLE … average order value

merchant  orders  cancelled  captured  failed  refunded  gross CNY  net CNY  paid CNY
m1            30          0         0       0         0     700.00   700.00      0.00
m2         1,000          0         0       0         0     600.00   600.00      0.00
""".splitlines()


def test_a_whole_day_is_told_in_its_parts_one_below_the_other() -> None:
    assert lines(a_day()) == WHOLE


def test_a_day_that_lacks_a_rate_and_has_too_many_merchants_is_told_in_lower_bounds_without_a_forecast() -> None:
    ledger = a_day()
    ledger.add(1, DAY, "orders_by_second", ("CHF",), START, orders=1, gross_minor=5, cancelled=1, cancelled_net_minor=5)
    ledger.add(0, DAY, "orders_by_merchant", (OTHER, "CHF"), START, orders=8, gross_minor=7)
    told = lines(ledger)
    assert told[told.index("") + 1 :] == BOUNDS


BOUNDS = """\
orders                      38
cancelled                    1
payments captured            2
payments failed              1
payments refunded            0
boxes                        6
scans                        2
points                     222
different buyers    0 (0 to 0)
records duplicates          24
records rejected             6
records late                 0
records expired              0
records outside              0

money              gross  coupons  credits                net  cancelled_net       paid  failed  refunded
CHF                 0.05     0.00     0.00               0.05           0.05       0.00    0.00      0.00
CNY    35,019,001,000.00     1.00     0.00  35,019,000,999.00           0.00  12,345.67    0.09      0.00

payer   paid  refunded  transport  duty
JPY    1,000         0          0    77

gross in CNY  at least 35,019,001,000.00
net in CNY    at least 35,019,000,999.00
paid in CNY           at least 12,345.67
no rate for CHF: these are lower bounds

peak second                                 31 orders at 2014-11-11 00:00:00.000 Asia/Shanghai
peak minute                                 31 orders at 2014-11-11 00:00:00.000 Asia/Shanghai
passed 6,114,600,000.00 CNY                              2014-11-11 00:00:01.000 Asia/Shanghai
passed 12,229,200,000.00 CNY                             2014-11-11 00:00:01.000 Asia/Shanghai
passed 35,019,000,000.00 CNY                             2014-11-11 00:00:01.000 Asia/Shanghai
passed all of Singles' Day 2013                          2014-11-11 00:00:01.000 Asia/Shanghai
against Singles' Day 2013 at the same time … +334.5%
IMPLAUSIBLE … average order value

merchant     orders  cancelled  captured  failed  refunded  gross CNY  net CNY  paid CNY
≥ m1             30          0         0       0         0     700.00   700.00      0.00
≥ m2          1,000          0         0       0         0     600.00   600.00      0.00
≥ __other__       8          0         0       0         0       0.00     0.00      0.00
≥: the limit of distinct values was reached, so a row is a lower bound
""".splitlines()


def test_whoever_is_held_or_waits_is_told_at_the_head() -> None:
    judgement = Judgement(partitions=2, lag_records=None, held=(HELD,), open_transactions=(HANGING,))
    told = lines(a_day(), judgement)
    assert told[1].startswith("INCOMPLETE: some partitions have no committed total, are held, or knew the festival ")
    assert told[4] == "HELD: partition 1 (log_deleted) since 2014-11-10 16:01:01.001 UTC: it is gone"
    assert told[5] == (
        "WAITING: orders[0] stands at offset 512, where a producer (its transactional id is not told) has left a transa"
    )
    assert [*told[:1], *told[2:4], *told[6:]] == [*WHOLE[:1], *WHOLE[2:]]


def test_a_table_has_its_first_column_to_the_left_and_all_others_to_the_right() -> None:
    assert table([("a", "b", "c"), ("long", "x", "1,000"), ("m", "yyy", "")]) == (
        "a       b      c\nlong    x  1,000\nm     yyy       "
    )


def test_a_sealed_state_is_told_with_its_digest_and_whether_it_was_exact() -> None:
    view = CommittedView()
    view.feed(a_day().drain())
    totals = totals_of(view.snapshot(), DAY, judgement=JUDGEMENT)
    assert "sealed" not in totals_text(totals, DAY)
    told = totals_text(replaced(totals, sealed="ab12", exact=False), DAY)
    assert "\nsealed as ab12\nNOT EXACT: " in told
