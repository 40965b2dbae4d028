"""A broker with a door of each kind: TLS with client certificates, SCRAM, tokens; and who gives out tokens."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, quote_plus

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.broker.properties import LOOPBACK
from tests.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

LOGIN = "org.apache.kafka.common.security"
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
USER, PASSWORD = "festival", "open sesame"  # of tests
REAUTH_MS = 2_000
"""At most so long a connection with a token lives."""


class SecuredKafka(EmbeddedKafka):
    """An embedded Kafka with more listeners; `address` is the open one, for the test itself."""

    def __init__(self, directory: Path) -> None:
        """Make the certificates, start nothing."""
        users = [f"--add-scram={mechanism}=[name={USER},password={PASSWORD}]" for mechanism in SCRAM]
        super().__init__(directory / "kafka", port=any_free_port(), format_options=users)
        self.authority = Authority(directory / "known")
        self.stranger = Authority(directory / "unknown")
        self.ports = {name: any_free_port() for name in ("TLS", "SCRAM", "OAUTH", "EXPIRED", "OTHER")}
        self._stores = directory
        self._certificates = {
            "TLS": self.authority.issue("tls"),
            "SCRAM": self.authority.issue("scram"),
            "OAUTH": self.authority.issue("oauth"),
            "EXPIRED": self.authority.issue("expired", days=-1),
            "OTHER": self.authority.issue("other", hosts=("kafka.example.com",)),
        }

    def door(self, name: str) -> str:
        """Return HOST:PORT of a listener."""
        return f"{LOOPBACK}:{self.ports[name]}"

    def _write_files(self) -> None:
        super()._write_files()
        doors = [f"{name}://{self.door(name)}" for name in self.ports]
        kinds = {name: "SASL_SSL" if name in ("SCRAM", "OAUTH") else "SSL" for name in self.ports}
        listeners = [f"CLIENT://{self.address}", *doors]
        properties = {
            "listeners": ",".join([*listeners, f"CONTROLLER://{LOOPBACK}:{self._controller_port}"]),
            "advertised.listeners": ",".join(listeners),
            "listener.security.protocol.map": ",".join(
                ["CLIENT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{name}:{kind}" for name, kind in kinds.items())]
            ),
            "listener.name.tls.ssl.client.auth": "required",
            "listener.name.scram.sasl.enabled.mechanisms": ",".join(SCRAM),
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.connections.max.reauth.ms": str(REAUTH_MS),
            "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{LOGIN}.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="broker";',
        }
        for mechanism in SCRAM:
            key = f"listener.name.scram.{mechanism.lower()}.sasl.jaas.config"
            properties[key] = f"{LOGIN}.scram.ScramLoginModule required;"
        for name, issued in self._certificates.items():
            store = self._stores / f"{name}.pem"
            store.write_text(issued.bundle(), "ascii")
            place = f"listener.name.{name.lower()}.ssl"
            properties |= {f"{place}.keystore.type": "PEM", f"{place}.keystore.location": str(store)}
            properties |= {f"{place}.truststore.type": "PEM", f"{place}.truststore.location": str(self.authority.ca)}
        with (self.directory / "server.properties").open("a", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in properties.items())


class TokenServer:
    """Gives out tokens by client credentials, signed by nobody, as Kafka takes them for tests; a context."""

    def __init__(self, life_seconds: int = 3) -> None:
        """Listen; `secret` may be changed."""
        self.given = 0
        self.secret = "s3cret/+"  # noqa: S105 - a test's
        self.scopes: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                known = base64.b64encode(f"festival:{quote_plus(outer.secret)}".encode())
                if self.headers["Authorization"] != f"Basic {known.decode()}":
                    self._answer(401, {"error": "invalid_client"})
                    return
                assert form["grant_type"] == ["client_credentials"]
                outer.scopes += form.get("scope", [])
                outer.given += 1
                self._answer(200, {"access_token": unsigned(life_seconds), "expires_in": life_seconds})

            def _answer(self, status: int, document: dict[str, object]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/token"

    def __enter__(self) -> Self:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def unsigned(life_seconds: int) -> str:
    """Return a token of this moment that nobody has signed."""
    now = time.time()
    parts = [{"alg": "none"}, {"sub": "festival", "scope": "count", "iat": now, "exp": now + life_seconds}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
