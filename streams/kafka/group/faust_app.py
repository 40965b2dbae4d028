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


def build_app(settings: Settings, directory: Path, group: str = GROUP) -> BatchApp:
    """Return the Faust app of the member that the settings name; `directory` is its own."""
    assert settings.name is not None
    digest = hashlib.sha256(settings.name.encode()).hexdigest()[:16]
    app = BatchApp(
        settings.prefix + group,
        broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
        # Members tell each other apart by it, so it depends on the name only; nothing listens there.
        canonical_url=f"http://{digest}.invalid",
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
