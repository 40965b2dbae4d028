"""What others saw of a rehearsal: the workers' own delays, and the alerts of a Prometheus that looked on."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from streams.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_SECONDS = 10.0
DELAY = "streams_event_delay_seconds"


@dataclass(frozen=True, slots=True)
class Delays:
    """From a record on Kafka to its committed total: the bound of the histogram's bucket that holds the quantile."""

    records: int
    p50_seconds: float | None
    p99_seconds: float | None
    """None: more than the largest bucket, or no records."""


NO_DELAYS = Delays(0, None, None)


def delays(pages: Iterable[str]) -> Delays:
    """Return the delays of all workers together, out of their pages of metrics."""
    buckets: dict[float, float] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == f"{DELAY}_bucket":
                    bound = float(sample.labels["le"])
                    buckets[bound] = buckets.get(bound, 0) + sample.value
    records = int(buckets.get(float("inf"), 0))

    def quantile(share: float) -> float | None:
        bounds = (bound for bound, count in sorted(buckets.items()) if count >= share * records)
        bound = next(bounds, None) if records else None
        return None if bound == float("inf") else bound

    return Delays(records, quantile(0.5), quantile(0.99))


def page(url: str) -> str:
    """Return the text at a URL; raises `UnreachableError`."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - see `Prometheus`
            text: str = answer.read().decode()
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{url} does not answer: {getattr(error, 'reason', error)}") from error
    return text


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fired."""

    name: str
    severity: str
    festival: str | None


class Prometheus:
    """A Prometheus that scrapes the workers and holds the rules of `deploy/prometheus`."""

    def __init__(self, url: str) -> None:
        """Name it; raises `UsageError` for what is no http address."""
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--prometheus: {url} is no address such as http://127.0.0.1:9090")
        self._url = url.rstrip("/")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query; raises `UnreachableError`."""
        text = page(f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        try:
            result: list[dict[str, Any]] = json.loads(text)["data"]["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise UnreachableError(f"{self._url} answers, but not as a Prometheus does") from error
        return result

    def fired(self, seconds: int) -> list[Alert]:
        """Return the alerts that fired within the last `seconds`, each once."""
        found = self.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])')
        labels = [row["metric"] for row in found]
        alerts = {Alert(x["alertname"], x.get("severity", ""), x.get("festival")) for x in labels}
        return sorted(alerts, key=lambda alert: (alert.name, alert.festival or ""))

    def sees(self, festival: str) -> bool:
        """Return whether it scrapes somebody who counts the festival."""
        return bool(self.query(f"festival_orders{{festival={json.dumps(festival)}}}"))
