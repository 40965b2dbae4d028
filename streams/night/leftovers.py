"""Topics of rehearsals that were killed or kept: who finds them is told how to remove them.

`festival check` and the next `festival rehearse` name them, `festival rehearse --remove` removes them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from streams.errors import UsageError
from streams.kafka.cluster.topics import open_admin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.settings import Settings

_NAME = re.compile(r"(rehearsal\.\d{8}T\d{6}\.)[^.]")


def rehearsals(prefix: str, topics: Iterable[str]) -> dict[str, list[str]]:
    """Return the topics of each rehearsal beside the real topics of `prefix`, by what its topics begin with."""
    found: dict[str, list[str]] = defaultdict(list)
    for topic in sorted(topics):
        if topic.startswith(prefix) and (match := _NAME.match(topic, len(prefix))) is not None:
            found[prefix + match[1]].append(topic)
    return dict(found)


async def leftovers(settings: Settings) -> list[str]:
    """Return a sentence for each rehearsal whose topics are there; raises `UnreachableError` without a broker."""
    async with open_admin(settings) as admin:
        found = rehearsals(settings.prefix, await admin.list_topics())
    return sentences(settings, found)


def sentences(settings: Settings, found: Mapping[str, list[str]]) -> list[str]:
    """Return what an operator is told of each rehearsal."""
    place = f" --prefix {settings.prefix}" if settings.prefix else ""
    return [
        f"{len(topics)} topics begin with {name}: of a rehearsal that was killed or kept, unless it still runs. Remove "
        f"them with: festival rehearse --broker {settings.bootstrap_servers}{place} --remove {name}"
        for name, topics in found.items()
    ]


async def remove(settings: Settings, name: str) -> int:
    """Delete the topics of the rehearsal whose topics begin with `name`, and no others; return how many it were.

    Raises `UsageError` where there is none of that name, `UnreachableError` without a broker.
    """
    async with open_admin(settings) as admin:
        found = rehearsals(settings.prefix, await admin.list_topics())
        if name not in found:
            known = f"there are {', '.join(found)}" if found else "there is none"
            raise UsageError(f"--remove: no rehearsal's topics begin with {name}; {known}")
        await admin.delete_topics(found[name])
    return len(found[name])
