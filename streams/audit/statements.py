"""The SQL of the audit, made from the declarations. Names in it were checked by `streams.audit.plan`.

Tables: `events_T` holds the admitted records of topic T (partition `part`, offset `off`, the minute of stream
time `minute`, whether it is late `is_late`, festival time `ft`). `sightings_T` holds those whose id was seen more than
once, `repeats_T` the offsets of duplicates: they are taken out of `events_T` before rollups are made.
"""

# ruff: noqa: S608 - every name and number in these texts comes from `plan`, which admits plain names only

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.audit.plan import AHEAD_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.audit.calendar import Edition
    from streams.audit.plan import Distinct, Measure, Plan, Rollup

OTHER = "__other__"
NONE = "__none__"
OWN_FIELDS = ("ts", "type", "event_id")
"""Fields that stand in columns of their own names."""
HIGH_UNIT = 2**62
"""What one unit of a page's high part stands for."""


def column(field: str) -> str:
    """Return the column of a field: a declared one may be called as SQL's own words and our columns are."""
    return field if field in OWN_FIELDS else f"f_{field}"


def create_events(topic: str, columns: Iterable[tuple[str, str]]) -> str:
    """Return the table of a topic's admitted records; `columns` are names and SQL types of declared fields."""
    declared = "".join(f", {column(name)} {sql_type}" for name, sql_type in columns)
    return (
        f"CREATE TABLE events_{topic} (part INTEGER, off BIGINT, minute BIGINT, is_late BOOLEAN, "
        f"ts BIGINT, ft BIGINT, type VARCHAR, event_id VARCHAR{declared})"
    )


def create_sightings(topic: str) -> str:
    """Return the table of every record whose id the topic holds more than once."""
    return f"""
        CREATE TABLE sightings_{topic} AS
        WITH again AS (SELECT event_id FROM events_{topic} GROUP BY event_id HAVING count(*) > 1)
        SELECT part, off, minute, event_id FROM events_{topic} SEMI JOIN again USING (event_id)"""


def create_repeats(topic: str, horizon_minutes: int) -> str:
    """Return the duplicates: an id whose latest sighting in its partition lies within the horizon."""
    return f"""
        CREATE TABLE repeats_{topic} AS
        WITH sightings AS (
            SELECT part, off, minute - lag(minute) OVER (PARTITION BY part, event_id ORDER BY off) AS apart
            FROM sightings_{topic})
        SELECT part, off FROM sightings WHERE apart <= {horizon_minutes}"""


def create_cuts(topic: str) -> str:
    """Return the table of a topic's partitions whose log has lost its beginning, and from when on it is sure."""
    return f"CREATE TABLE cuts_{topic} (part INTEGER, minute BIGINT)"


def leave_out(table: str, topic: str) -> str:
    """Return what leaves the records of such partitions out of a table that come before it."""
    return f"""
        DELETE FROM {table}_{topic} USING cuts_{topic}
        WHERE {table}_{topic}.part = cuts_{topic}.part AND {table}_{topic}.minute < cuts_{topic}.minute"""


def drop_repeats(topic: str) -> str:
    """Return what takes the duplicates out of the table of records."""
    return f"""
        DELETE FROM events_{topic} USING repeats_{topic} r
        WHERE events_{topic}.part = r.part AND events_{topic}.off = r.off"""


def find_ids_in_two_partitions(topic: str, horizon_minutes: int) -> str:
    """Return one row: how many ids were seen in two partitions within the horizon, and two sightings of one of them.

    The sightings of an id are put in the order of their minutes, and each is compared with the one before it. That is
    enough: any two in two partitions have such neighbours between them, no further apart.
    """
    return f"""
        WITH across AS (SELECT event_id FROM sightings_{topic} GROUP BY event_id HAVING min(part) <> max(part)),
        sightings AS (
            SELECT event_id, part, off, minute - lag(minute) OVER earlier AS apart,
                lag(part) OVER earlier AS other_part, lag(off) OVER earlier AS other_off
            FROM sightings_{topic} SEMI JOIN across USING (event_id)
            WINDOW earlier AS (PARTITION BY event_id ORDER BY minute, part, off))
        SELECT count(DISTINCT event_id), min([event_id, other_part::VARCHAR, other_off::VARCHAR,
            part::VARCHAR, off::VARCHAR])
        FROM sightings WHERE part <> other_part AND apart <= {horizon_minutes}"""


def count_outcomes(topic: str, plan: Plan, editions: Iterable[Edition]) -> str:
    """Return rows (part, outcome, records, late records) of a topic; a rejected record is not in them."""
    inside = [(e, _inside(e)) for e in editions if topic in e.facts]
    counted = " OR ".join(f"({test} AND {_in_time(e, plan)})" for e, test in inside) or "false"
    within = " OR ".join(f"({test})" for _, test in inside) or "false"
    return f"""
        SELECT part,
            CASE WHEN r.off IS NOT NULL THEN 'duplicate' WHEN {counted} THEN 'counted'
                 WHEN {within} THEN 'expired' ELSE 'outside' END AS outcome,
            count(*), count(*) FILTER (r.off IS NULL AND is_late)
        FROM events_{topic} LEFT JOIN repeats_{topic} r USING (part, off) GROUP BY part, outcome"""


def create_recount(rollup: Rollup, plan: Plan, edition: Edition) -> str:
    """Return the cells of one rollup of one festival as table `recount`; `pieces` is there.

    Which values a partition had room for follows from all of its log. Where that has lost its beginning, the ledger
    is asked.
    """
    window = f"(ft - {edition.start_ms}) // {rollup.window_ms}" if rollup.window_ms else "0"
    dimension = f"coalesce({_dimension(rollup.dimension, plan)}, '{NONE}')" if rollup.dimension else "''"
    currency = column(rollup.currency) if rollup.currency else "''"
    fields = sorted(
        {name for measure in rollup.measures for _, name in measure.terms}
        | {name for measure in rollup.measures for name in measure.if_any}
    )
    carried = "".join(f", coalesce({column(name)}, 0) AS {column(name)}" for name in fields)
    sums = ", ".join(f"{_sum(measure)} AS m{i}" for i, measure in enumerate(rollup.measures))
    totals = ", ".join(f"sum(m{i}) AS m{i}" for i in range(len(rollup.measures)))
    return f"""
        CREATE TEMP TABLE recount AS
        WITH entering AS (
            SELECT part, off, type, {window} AS win, {dimension} AS dim, {currency} AS cur{carried}
            FROM events_{rollup.fact}
            WHERE {_inside(edition)} AND {_in_time(edition, plan)} AND {currency} IS NOT NULL),
        cells AS MATERIALIZED (
            SELECT part, win, dim, cur, min(off) AS first_off, {sums} FROM entering GROUP BY part, win, dim, cur),
        arrivals AS (
            SELECT part, dim, row_number() OVER (PARTITION BY part ORDER BY min(first_off)) AS arrival
            FROM cells GROUP BY part, dim),
        full_up AS (SELECT DISTINCT part FROM pieces SEMI JOIN cuts_{rollup.fact} USING (part) WHERE dim = '{OTHER}'),
        named AS (
            SELECT part, dim FROM arrivals
            WHERE CASE WHEN part IN (FROM full_up) THEN (part, dim) IN (SELECT (part, dim) FROM pieces)
                ELSE arrival <= {rollup.limit} END)
        SELECT c.part, win, coalesce(named.dim, '{OTHER}') AS dim, cur, {totals}
        FROM cells c LEFT JOIN named ON c.part = named.part AND c.dim = named.dim
        GROUP BY c.part, win, coalesce(named.dim, '{OTHER}'), cur"""


def add_partitions(rollup: Rollup) -> str:
    """Return what adds the partitions of table `recount`, once each has told apart the first values that it saw."""
    sums = ", ".join(f"sum(m{i}) AS m{i}" for i in range(len(rollup.measures)))
    return (
        "CREATE OR REPLACE TEMP TABLE recount AS "
        f"SELECT 0::INTEGER AS part, win, dim, cur, {sums} FROM recount GROUP BY ALL"
    )


def count_distinct(distinct: Distinct, plan: Plan, edition: Edition) -> str:
    """Return one row: how many different texts there are, whole texts compared."""
    return f"""
        SELECT count(DISTINCT {column(distinct.field)})
        FROM events_{distinct.fact}
        WHERE {_inside(edition)} AND {_in_time(edition, plan)} AND {_of_type(distinct.types)}"""


def create_pieces(rollup: Rollup) -> str:
    """Return the table that takes the cells of pages as they lie there."""
    parts = ", ".join(f"low{i} BIGINT, high{i} BIGINT" for i in range(len(rollup.measures)))
    return f"CREATE TEMP TABLE pieces (part INTEGER, win BIGINT, dim VARCHAR, cur VARCHAR, {parts})"


def create_compared(rollup: Rollup, edition: Edition) -> str:
    """Return the table `compared`: per cell and measure what the ledger holds (w) and what was recounted (r).

    Where a log has lost its beginning, a cell may hold more than was recounted, unless its window begins after all that
    is gone: w is at most r then.
    """
    sure = f"{edition.start_ms} + win * {rollup.window_ms} >= c.minute * 60000 + {AHEAD_MS}"
    is_sure = f"(c.part IS NULL OR {sure})" if rollup.window_ms else "c.part IS NULL"
    numbers = range(len(rollup.measures))
    written = "".join(f", low{i}, high{i}, 0::HUGEINT AS m{i}" for i in numbers)
    recounted = "".join(f", 0::BIGINT, 0::BIGINT, m{i}::HUGEINT" for i in numbers)
    sums = "".join(
        f", sum(low{i})::HUGEINT + sum(high{i})::HUGEINT * {HIGH_UNIT} AS w{i}, sum(m{i}) AS r{i}" for i in numbers
    )
    pairs = "".join(f", CASE WHEN {is_sure} THEN w{i} ELSE least(w{i}, r{i}) END AS w{i}, r{i}" for i in numbers)
    return f"""
        CREATE TEMP TABLE compared AS
        WITH both_sides AS (
            SELECT part, win, dim, cur{written} FROM pieces
            UNION ALL SELECT part, win, dim, cur{recounted} FROM recount),
        cells AS (SELECT part, win, dim, cur{sums} FROM both_sides GROUP BY part, win, dim, cur)
        SELECT part, win, dim, cur{pairs} FROM cells LEFT JOIN cuts_{rollup.fact} c USING (part)"""


def summarise(rollup: Rollup) -> str:
    """Return one row: per measure the cells that are not 0 on both sides, then the sum of what they differ by."""
    return "SELECT {} FROM compared".format(
        ", ".join(
            f"count(*) FILTER (w{i} <> 0 OR r{i} <> 0), coalesce(sum(abs(w{i} - r{i})), 0)::VARCHAR"
            for i in range(len(rollup.measures))
        )
    )


def list_differences(index: int, limit: int) -> str:
    """Return rows (part, win, dim, cur, in the ledger, recounted) of one measure's cells that differ."""
    return f"""
        SELECT part, win, dim, cur, w{index}::VARCHAR, r{index}::VARCHAR FROM compared
        WHERE w{index} <> r{index} ORDER BY part, win, dim, cur LIMIT {limit}"""


def sum_recounted(rollup: Rollup) -> str:
    """Return rows (currency, measure 0, measure 1, …) over all partitions and windows."""
    sums = ", ".join(f"sum(m{i})::VARCHAR" for i in range(len(rollup.measures)))
    return f"SELECT cur, {sums} FROM recount GROUP BY cur"


def compare_rejected(from_ms: int) -> str:
    """Return rows of bad records that were not set aside exactly once with the same bytes, and of good ones that were.

    One that came before `from_ms` may be gone again.
    """
    return f"""
        WITH found AS (
            SELECT topic, part, off, count(*) AS copies, any_value(reason) AS reason, any_value(content) AS content
            FROM set_aside GROUP BY ALL)
        SELECT topic, part, off, coalesce(found.copies, 0), e.reason, found.reason, e.content = found.content
        FROM rejections e FULL JOIN found USING (topic, part, off)
        WHERE e.reason IS NULL OR (found.copies IS NULL AND e.record_ms >= {from_ms}) OR found.copies <> 1
            OR e.reason <> found.reason OR e.content <> found.content
        ORDER BY topic, part, off"""


def leave_out_gone() -> tuple[str, ...]:
    """Return what leaves out what may have been set aside of records that are gone: at the offsets that `reused` names.

    What stands there for a record that is bad for the same reason, with the same bytes, is kept once.
    """
    of_reused = (
        "SELECT s.rowid FROM set_aside s JOIN reused u ON s.topic = u.topic AND s.part = u.part AND s.off >= u.off"
    )
    same = "e.topic = s.topic AND e.part = s.part AND e.off = s.off AND e.reason = s.reason AND e.content = s.content"
    return (
        f"DELETE FROM set_aside WHERE rowid IN ({of_reused} ANTI JOIN rejections e ON {same})",
        f"""DELETE FROM set_aside WHERE rowid IN ({of_reused}) AND rowid NOT IN (
            SELECT min(rowid) FROM set_aside GROUP BY topic, part, off)""",
    )


def count_gone(from_ms: int) -> str:
    """Return one row: how many bad records from before `from_ms` are set aside no more."""
    return f"""
        SELECT count(*) FROM rejections e ANTI JOIN set_aside USING (topic, part, off)
        WHERE e.record_ms < {from_ms}"""


def _sum(measure: Measure) -> str:
    of_type = _of_type(measure.types)
    if measure.if_any:
        of_type += " AND ({})".format(" OR ".join(f"{column(name)} > 0" for name in measure.if_any))
    if not measure.terms:
        return f"count(*) FILTER ({of_type})"
    expression = " + ".join(f"{sign} * {column(name)}" for sign, name in measure.terms)
    return f"coalesce(sum({expression}) FILTER ({of_type}), 0)"


def _of_type(types: Iterable[str]) -> str:
    return "type IN ({})".format(", ".join(f"'{name}'" for name in types))


def _dimension(name: str, plan: Plan) -> str:
    """Return the column of a dimension, or what a derived one is made of; NULL where an event has none."""
    derived = plan.derived.get(name)
    if derived is None:
        return column(name)
    units = f"({column(derived.until)} - {column(derived.since)}) // {derived.unit_ms}"
    beyond = f"CASE WHEN {units} > {derived.most} THEN '{derived.most + 1}+' ELSE ({units})::VARCHAR END"
    return f"CASE WHEN {_of_type(derived.types)} AND {column(derived.since)} IS NOT NULL THEN {beyond} END"


def _inside(edition: Edition) -> str:
    return f"ft >= {edition.start_ms} AND ft < {edition.end_ms}"


def _in_time(edition: Edition, plan: Plan) -> str:
    return f"ts <= {edition.end_ms + plan.settle_ms}"
