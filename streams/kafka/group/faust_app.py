"""The Faust app of a member: group membership and agents, and nothing else of Faust."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from streams.engine.topic_names import GROUP
from streams.kafka.group.assignor import ColocatingAssignor
from streams.kafka.group.transport import BatchApp, ConsumerOnly, NoTables

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings


def broker_urls(servers: str) -> list[str]:
    """Return addresses (HOST:PORT, separated by commas) as Faust has them."""
    return [f"kafka://{server}" for server in servers.split(",")]


def member_url(name: str) -> str:
    """Return what the members of a group tell each other apart by; nothing listens there."""
    return f"http://{hashlib.sha256(name.encode()).hexdigest()[:16]}.invalid"


def build_app(settings: Settings, directory: Path, group: str = GROUP) -> BatchApp:
    """Return the Faust app of the member that the settings name; `directory` is its own."""
    assert settings.name is not None
    app = BatchApp(
        settings.prefix + group,
        broker=broker_urls(settings.bootstrap_servers),
        canonical_url=member_url(settings.name),
        datadir=str(directory),
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        PartitionAssignor=ColocatingAssignor,
        table_standby_replicas=0,
        TableManager=NoTables,
        stream_wait_empty=False,
    )
    app.boot_strategy = ConsumerOnly(app)
    app.settings = settings
    return app
