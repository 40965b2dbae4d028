"""Certificates for tests, made with openssl: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
HERE = ("localhost", "127.0.0.1")


class Issued(NamedTuple):
    """A certificate and its key, PEM."""

    cert: Path
    key: Path

    def bundle(self) -> str:
        """Return both in one text, as Kafka's stores of PEM have it."""
        return self.key.read_text("ascii") + self.cert.read_text("ascii")


class Authority:
    """Signs certificates; `ca` is what its friends trust."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        """Make the authority's own."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.ca, self._key = directory / f"{name}.pem", directory / f"{name}.key"
        _openssl("req", "-x509", *KEY, "-nodes", "-days", "2", "-subj", f"/CN={name}", *_out(self.ca, self._key))

    def issue(self, name: str, *, hosts: tuple[str, ...] = HERE, days: int = 2, password: str = "") -> Issued:
        """Return a certificate for hosts and addresses; one of `days` below 0 has expired."""
        issued = Issued(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        request, extensions = self._directory / f"{name}.csr", self._directory / f"{name}.ext"
        hidden = ("-passout", f"pass:{password}") if password else ("-nodes",)
        _openssl("req", *KEY, *hidden, "-subj", f"/CN={name}", *_out(request, issued.key))
        names = [f"{'IP' if host[0].isdigit() else 'DNS'}:{host}" for host in hosts]
        extensions.write_text(f"subjectAltName = {','.join(names)}\n", "ascii")
        signed = ("-CA", str(self.ca), "-CAkey", str(self._key), "-CAcreateserial", "-days", str(days))
        _openssl("x509", "-req", "-in", str(request), *signed, "-extfile", str(extensions), "-out", str(issued.cert))
        return issued


def _out(file: Path, key: Path) -> tuple[str, ...]:
    return "-out", str(file), "-keyout", str(key)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)  # noqa: S607 - of PATH, as everywhere
