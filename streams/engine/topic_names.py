"""What the topics and the group are called, without the prefix of a cluster's settings."""

from __future__ import annotations

SOURCES = ("orders", "payments", "parcels", "recycling")
"""The topics that are counted: those of the facts, as a test sees to. What decides a count is not imported here."""
LEDGER = "festival.ledger"
SEEN = "festival.seen"
IMPORTS = "festival.imports"
AUDITS = "festival.audits"
"""One partition: the newest verdict on each festival."""
TOTALS = "festival.totals"
"""One partition: the totals of each festival, where boards publish them."""
PUBLISHERS = "festival-totals"
"""The consumer group of the boards that publish, and the transactional id of the one that writes."""
BRIDGE = "festival.bridge"
"""The progress of bridges."""
BRIDGE_REJECTED = "festival.bridge.rejected"
GROUP = "festival"
"""The consumer group of the workers."""
SHOP_GROUP = "festival-shop"
"""The consumer group of a shop's own Faust agents, which run beside the counting."""


def rejected_topic(source: str) -> str:
    """Return the name of the topic that takes the rejected records of `source`."""
    return f"{source}.rejected"
