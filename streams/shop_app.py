"""The Faust app of a shop: agents of its own beside those that count, in a consumer group of their own.

`streams.faust` makes it, a shop's module registers agents with it, and a worker runs it beside its counting. It is
Faust as it comes: single records, tables, offsets committed after the fact. Counting shares the process and the event
loop with it, and nothing else: no consumer, no producer, no offset.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import faust
from faust.exceptions import AlreadyConfiguredWarning, ImproperlyConfigured

from streams.engine.topic_names import SHOP_GROUP
from streams.kafka.group.faust_app import broker_urls, member_url
from streams.process import stop_limit, use_uvloop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.app import WorkerParts
    from streams.security import Security
    from streams.settings import Settings

log = logging.getLogger("festival.shop")

NO_BROKER = "no-broker-is-set.invalid:9092"
"""Faust's own default is localhost:9092: `faust send` would write to whatever cluster listens there."""
STOP_SECONDS = 4.0
"""Longest orderly stop, after the final checkpoints of the count."""


class ShopApp(faust.App):
    """A Faust app whose worker is one that counts; a shop registers agents, timers, tasks and tables with it."""

    def worker_init(self) -> None:
        """Call before a command makes its event loop."""
        super().worker_init()
        use_uvloop()

    def worker_init_post_autodiscover(self) -> None:
        """Call once the shop's modules are imported. Faust's would set up a web server, and none is started."""
        self.on_worker_init.send()

    def page(self, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401 - whatever Faust's takes
        """Refuse: the web server of this process shows the count."""
        raise ImproperlyConfigured(
            "no page of a shop's is served beside the counting: give it an app and a worker of its own"
        )

    def connect(self, settings: Settings) -> None:
        """Say where the broker is, once it has been looked up; no web server of Faust's is started."""
        _set(self, broker=broker_urls(settings.bootstrap_servers), web_enabled=False)

    @asynccontextmanager
    async def beside(self, parts: WorkerParts) -> AsyncIterator[None]:
        """Run in this event loop while the context is open; an app with which nothing was registered is not started.

        What ends it is logged and ends nothing else: the count goes on without it.
        """
        if not (self.agents or self._app_tasks or self._extra_services):
            yield
            return
        _set(self, datadir=parts.directory, canonical_url=member_url(parts.settings.name or ""))
        running = asyncio.create_task(self._run())
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            with stop_limit(STOP_SECONDS, failure):
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await self.stop()

    async def _run(self) -> None:
        failure: BaseException | None
        try:
            await self.start()
            await self.wait_until_stopped()
            failure = self.crash_reason
        except Exception as error:  # noqa: BLE001 - whatever a shop's code raises
            failure = error
        log.error(
            "the shop's own agents have ended, the count goes on: start the worker again to have them back",
            exc_info=failure,
        )


def build_shop_app(settings: Settings, worker: type[faust.Worker]) -> ShopApp:
    """Return an app that connects as the settings say; `worker` is the class that `faust worker` runs.

    A shop may set whatever else Faust has settings for (`app.conf`) before the app is started.
    """
    return ShopApp(
        settings.prefix + SHOP_GROUP,
        broker=broker_urls(settings.broker or NO_BROKER),
        broker_credentials=_credentials(settings.security),
        datadir=str(settings.data_dir / "faust"),
        autodiscover=False,
        Worker=worker,
    )


def _set(app: ShopApp, **values: object) -> None:
    """Set what is known only once a worker starts: Faust warns, as parts may have used the value before. None has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AlreadyConfiguredWarning)
        for name, value in values.items():
            setattr(app.conf, name, value)


def _credentials(security: Security) -> Any:  # noqa: ANN401 - untyped Faust
    """Return how Faust's own clients log in; None: they need not."""
    options = security.client_options()
    context = options.get("ssl_context")
    if security.has_token:
        return faust.auth.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if security.has_sasl:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
