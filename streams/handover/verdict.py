"""What an audit said of a festival: the one that was just made, else the last one that was recorded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.audit.verdict import Verdict, decode_verdict, verdicts_of
from streams.engine.sealed.container import SealError
from streams.engine.topic_names import AUDITS
from streams.errors import UnreachableError
from streams.kafka.client.log_reader import LogReader, StalledError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.audit.result import AuditResult
    from streams.engine.sealed.contents import Sealed
    from streams.settings import Settings

log = logging.getLogger("festival.report")

PLACE = TopicPartition(AUDITS, 0)


def verdict_of(result: AuditResult, festival_id: str, audited_ms: int) -> Verdict:
    """Return the verdict on a festival of an audit that has just ended and compared it."""
    return next(verdict for verdict in verdicts_of(result, audited_ms) if verdict.festival == festival_id)


def sealed_verdict(sealed: Sealed) -> Verdict | None:
    """Return what the audit said of the state that was sealed; None where there was none.

    Raises `SealError` where the file does not say it.
    """
    audit, header = sealed.audit, sealed.header
    if audit is None or header.exact is None or header.audited_ms is None:
        return None
    try:
        counted = audit["differing"], audit["positions"], audit["from"]
    except KeyError as error:
        raise SealError(f"this is no sealed festival: audit.json does not say {error}") from error
    return Verdict(header.festival, header.ledger, header.exact, *counted, header.audited_ms)


def newest(records: Iterable[tuple[bytes | None, bytes | None]], festival_id: str) -> Verdict | None:
    """Return the last verdict on a festival among keys and values in order; what cannot be read is passed over."""
    found = None
    for key, value in records:
        if key != festival_id.encode():
            continue
        try:
            found = None if value is None else decode_verdict(key, value)
        except (ValueError, RecursionError) as error:
            log.warning("a recorded verdict cannot be read", extra={"error": str(error)})
    return found


async def recorded_verdict(settings: Settings, festival_id: str) -> Verdict | None:
    """Return the last recorded verdict, None where there is none, or the topic may not be read.

    Raises `UnreachableError` where the broker stops answering.
    """
    reader = await LogReader.open(settings, is_patient=False)
    try:
        if not await reader.partition_count(AUDITS):
            return None
        records = [record async for record in reader.records(PLACE)]
    except StalledError as error:
        raise UnreachableError(f"the broker has stopped answering while {AUDITS} was read: try again") from error
    except KafkaError as error:
        log.warning("the recorded verdicts cannot be read", extra={"topic": AUDITS, "error": repr(error)})
        return None
    finally:
        await reader.close()
    return newest(records, festival_id)
