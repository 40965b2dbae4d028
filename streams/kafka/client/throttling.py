"""How long brokers have held this process's requests back, for want of quota: added up from their answers.

Written by every connection, in whichever thread, read by who tells it (`streams.kafka.cluster.watch`) and by metrics.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

PRODUCE, FETCH, OTHER = "produce", "fetch", "other"
REQUESTS: Final = (PRODUCE, FETCH, OTHER)
"""Kinds of requests that Kafka has quotas for, as the metric has them."""
QUOTAS: Final = {
    PRODUCE: "producer_byte_rate",
    FETCH: "consumer_byte_rate",
    OTHER: "request_percentage or controller_mutation_rate",
}
"""What to raise for each."""
_KINDS: Final = {0: PRODUCE, 1: FETCH}


class Throttling:
    """Milliseconds by kind of request, since the process began."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._ms: Counter[str] = Counter()

    def add(self, api_key: int, throttled_ms: int) -> None:
        """Note what an answer to a request of that key said."""
        with self._lock:
            self._ms[_KINDS.get(api_key, OTHER)] += throttled_ms

    def seconds(self) -> dict[str, float]:
        """Return the seconds by kind of request, all kinds."""
        with self._lock:
            return {kind: self._ms[kind] / 1000 for kind in REQUESTS}


throttling = Throttling()
"""What this process was told."""
