"""Scan: contents claimed under a lease, shown to the antivirus, each with what it said. Nothing is sent inside a transaction."""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session, sessionmaker

from config.settings import Settings
from tasks import antivirus
from workflow import scans
from workflow.scans import Waiting
from workflow.vault import Vault

log = logging.getLogger(__name__)
BATCH = 4  # far less than a lease holds


def scan_all(make: sessionmaker[Session], settings: Settings, vault: Vault, *, limit: int = BATCH) -> int:
    """Have one batch of contents scanned; returns how many were taken. None where no antivirus is configured."""
    if settings.clamd is None:
        return 0
    with make.begin() as session:
        claimed = scans.claim(session, limit=limit)
    for one in claimed:
        found, why = _scanned(settings.clamd, vault, one)
        with make.begin() as session:
            if why:
                log.warning("a content of %s bytes was not scanned: %s", one.size, why)
                scans.failed(session, one, why)
            else:
                scans.scanned(session, one.sha256, found)
    return len(claimed)


def _scanned(address: str, vault: Vault, one: Waiting) -> tuple[str | None, str]:
    """What was found, and why nothing could be said; both empty for a clean content."""
    try:
        with vault.path(one.sha256).open("rb") as file:
            return antivirus.scan(address, file), ""
    except antivirus.NotScanned as error:
        return None, str(error)
    except OSError as error:
        return None, f"fichier illisible ({error.strerror})"
