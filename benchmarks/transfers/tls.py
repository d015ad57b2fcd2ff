"""Certificates for one measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files: of the server, and of who signed it."""

    certificate: Path
    key: Path
    authority: Path


def make_tls(folder: Path) -> Tls:
    """A certificate for localhost, with an elliptic-curve key as servers have them now."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    made = Tls(
        certificate=folder / "server.pem", key=folder / "key.pem", authority=folder / "ca.pem"
    )
    issued.private_key_pem.write_to_path(made.key)
    for part in issued.cert_chain_pems:
        part.write_to_path(made.certificate, append=True)
    authority.cert_pem.write_to_path(made.authority)
    return made
