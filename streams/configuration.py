"""Every setting, declared once: how it is given, read and described.

`streams.settings` reads them, the command line makes its flags and its help of them, and
`python -m streams.configuration` writes the page `docs/settings.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from streams import setting_values as values
from streams.security_configuration import REGISTRY, SECURITY
from streams.setting_values import Setting

DAY_MS = 24 * 60 * 60 * 1000
ANY_HOST = "*"


BROKER: Setting[str | None] = Setting(
    "broker",
    values.broker,
    None,
    "Kafka's bootstrap servers.",
    flag="--broker",
    metavar="HOST:PORT[,HOST:PORT]",
    unset="the embedded Kafka that runs here",
)
PREFIX = Setting(
    "prefix",
    values.prefix,
    "",
    "Put before topics, ledger, consumer group and transactional ids; letters, digits, '.', '_' and '-'.",
    flag="--prefix",
    metavar="TEXT",
    unset="nothing",
)
FESTIVALS_DIR: Setting[Path | None] = Setting(
    "festivals_dir",
    values.directory,
    None,
    "A directory of festival files, besides the built-in ones.",
    flag="--festivals",
    metavar="DIR",
    unset="only the built-in ones",
)
DECLARATIONS: Setting[Path | None] = Setting(
    "declarations",
    values.file,
    None,
    "A file of the dimensions and amounts that are counted besides the built-in ones.",
    flag="--declarations",
    metavar="FILE",
    unset="only the built-in ones",
)
DATA_DIR: Setting[Path | None] = Setting(
    "data_dir",
    Path,
    None,
    "Where the embedded Kafka has its data and address, and the audit its last result; a worker keeps nothing there "
    "that it cannot lose.",
    flag="--data",
    metavar="DIR",
    unset="data in a checkout, else festival in $XDG_DATA_HOME",
)
NAME: Setting[str | None] = Setting(
    "name",
    values.worker_name,
    None,
    "A worker's name: its place in the group, locked on this machine.",
    flag="--name",
    metavar="NAME",
    unset="made of host and web port",
)
WEB_HOST = Setting("web_host", str, "127.0.0.1", "Address to serve HTTP on.", flag="--web-host", metavar="HOST")
WEB_PORT = Setting(
    "web_port",
    values.whole(0, 65_535),
    6066,
    "Port to serve HTTP on; one that is given and taken is an error.",
    flag="--web-port",
    metavar="PORT",
    unset="6066, or the next free one",
)
WEB_ALLOWED_HOSTS: Setting[tuple[str, ...] | None] = Setting(
    "web_allowed_hosts",
    values.hosts,
    None,
    "Names and addresses a browser may ask this server by, separated by commas, `*` for any; a request with another "
    "`Host` gets 421. The port does not count.",
    unset="on loopback localhost, 127.0.0.1, [::1]; else any",
)
WEB_CONNECTIONS: Setting[int | None] = Setting(
    "web_connections",
    values.whole(1, 1_000_000),
    None,
    "How many HTTP connections may be open at once; fewer where the limit of open files would leave less than 256.",
    unset="256 in a worker, 4096 in a board",
)
WEB_PATH = Setting(
    "web_path",
    values.web_path,
    "/",
    "Path under which everything lies that is served, `/livez` and `/metrics` too: for a proxy that has other things "
    "beside it.",
)
WEB_FRAME_ANCESTORS = Setting(
    "web_frame_ancestors",
    values.frame_ancestors,
    "'none'",
    "Which pages may hold the screen in a frame, as `frame-ancestors` of Content-Security-Policy has it: `'none'`, or "
    "`'self'` and addresses such as `https://intranet.example.com`, separated by spaces.",
)
WEB_CONFIG: Setting[Path | None] = Setting(
    "web_config",
    Path,
    None,
    "A file that says who may read what is served over HTTP, and over TLS or not: YAML as of Prometheus' "
    "exporter-toolkit ([access](access.md)). Read again when it changes.",
    flag="--web-config",
    metavar="FILE",
    unset="everybody, without TLS",
)
PUBLISH = Setting(
    "publish",
    values.yes_or_no,
    default=False,
    meaning="Whether boards publish the committed totals on the topic festival.totals, which `festival topics` makes "
    "under this setting: yes or no.",
    unset="no",
)
SHOW = Setting(
    "show",
    values.yes_or_no,
    default=True,
    flag="--show",
    meaning="Whether a worker shows the totals, so reads the whole ledger beside its counting: yes or no. With no, "
    "boards show them, and the worker its own metrics and whether it is ready.",
    unset="yes",
)
CHECKPOINT_INTERVAL_MS = Setting(
    "checkpoint_interval_ms",
    values.whole(10, 60_000),
    500,
    "Milliseconds between two checkpoints of a partition; longer where a worker has more than 16.",
)
SESSION_TIMEOUT_MS = Setting(
    "session_timeout_ms",
    values.whole(1_000, 30 * 60_000),
    6_000,
    "After this silence, in milliseconds, a worker's partitions go to others.",
)
SETTLE_MS = Setting(
    "settle_ms",
    values.whole(0, 3650 * DAY_MS),
    30 * DAY_MS,
    f"How many milliseconds after its end a festival's events still count (a day has {DAY_MS}); the sources keep "
    "5 days more.",
)
DEDUP_HORIZON_MINUTES = Setting(
    "dedup_horizon_minutes",
    values.whole(0, 24 * 60),
    10,
    "How many minutes a resend is known as one, in Kafka's record time.",
)
REJECTED_RETENTION = Setting(
    "rejected_retention",
    values.whole(1, 3650),
    90,
    "How many days the `.rejected` topics that `festival topics` makes keep a record; audits compare what is younger.",
)
LOG_LEVEL = Setting(
    "log_level",
    values.choice("debug", "info", "warning", "error"),
    "info",
    "How much is logged: debug, info, warning or error.",
    flag="--log-level",
    metavar="LEVEL",
)
LOG_FORMAT = Setting(
    "log_format",
    values.choice("text", "json"),
    "text",
    "How it is logged, on stderr, a line per event: text or json.",
    flag="--log-format",
    metavar="FORMAT",
)
HASH_KEY_FILE: Setting[Path | None] = Setting(
    "hash_key_file",
    values.file,
    None,
    "Where set, bridge, import and replay replace `buyer` and `user` by a keyed hash (HMAC-SHA-256, 32 hex digits) "
    "before they send them. The key is the file's bytes without a final line end.",
    unset="none",
)

CHROMIUM: Setting[Path | None] = Setting(
    "chromium",
    Path,
    None,
    "The Chromium that prints a report as PDF.",
    unset="`chromium`, `chromium-browser` or `google-chrome` of PATH",
)
COMMON = (BROKER, PREFIX, FESTIVALS_DIR, DECLARATIONS, DATA_DIR, LOG_LEVEL, LOG_FORMAT)
"""Flags of every command."""
WEB = (WEB_HOST, WEB_PORT)
"""Flags of those that serve."""
SETTINGS: tuple[Setting[object], ...] = (
    BROKER,
    PREFIX,
    FESTIVALS_DIR,
    DECLARATIONS,
    DATA_DIR,
    NAME,
    WEB_HOST,
    WEB_PORT,
    WEB_ALLOWED_HOSTS,
    WEB_CONNECTIONS,
    WEB_PATH,
    WEB_FRAME_ANCESTORS,
    WEB_CONFIG,
    PUBLISH,
    SHOW,
    CHECKPOINT_INTERVAL_MS,
    SESSION_TIMEOUT_MS,
    SETTLE_MS,
    DEDUP_HORIZON_MINUTES,
    REJECTED_RETENTION,
    LOG_LEVEL,
    LOG_FORMAT,
    CHROMIUM,
    *SECURITY,
    *REGISTRY,
    HASH_KEY_FILE,
)

_INTRODUCTION = f"""# Settings

Written by `python -m streams.configuration > docs/settings.md` from the declarations in `streams/configuration.py`; a
test compares.

Each setting is an environment variable, some are a flag of the commands as well, which wins; an empty variable is none.
All are checked before anything starts, and whatever is wrong is told at once (exit status 2). Every process of one
cluster needs the same `{PREFIX.variable}`, `{SETTLE_MS.variable}`, `{DEDUP_HORIZON_MINUTES.variable}`,
`{DECLARATIONS.variable}` and festival files: they decide counts, and a worker whose own differ refuses to count. What a
worker's user must be allowed on a cluster with ACLs stands in [operations](operations.md).
"""


def markdown() -> str:
    """Return the page `docs/settings.md`."""
    rows = [
        f"| `{s.variable}` | {f'`{s.flag}`' if s.flag else ''} | {s.unset or f'`{s.default}`'} | {s.meaning} |"
        for s in SETTINGS
    ]
    table = "\n".join(["| variable | flag | default | meaning |", "|---|---|---|---|", *rows])
    return f"{_INTRODUCTION}\n{table}\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
