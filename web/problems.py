"""A refusal over HTTP: its status, and what is said of it to a machine (RFC 9457)."""

from __future__ import annotations

from typing import Any

from states.errors import BadInput, CoupeFileError, Refused, Stale

BUSY = ("locked", "busy", "slow", "stopped", "starting", "crowded", "unreachable", "storage")


def status_of(error: CoupeFileError) -> int:
    """The HTTP status of a refusal."""
    if isinstance(error, Stale):
        return 409
    if error.code == "internal":
        return 500
    if error.code in BUSY:
        return 503
    if error.code == "unknown" and isinstance(error, Refused):
        return 404
    if error.code in ("role", "csrf", "scope", "read_only"):
        return 403
    if error.code == "often":
        return 429
    return 422 if isinstance(error, BadInput) else 409


def said(error: CoupeFileError, status: int) -> dict[str, Any]:
    """The members of a problem."""
    body = {"type": f"urn:coupe-file:{error.code}", "title": error.message, "status": status, "code": error.code}
    body |= {name: value for name, value in (("field", error.field), ("accepted", error.accepted)) if value}
    if isinstance(error, Stale):
        body |= {"seen": error.seen, "version": error.version}
    return body
