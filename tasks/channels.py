"""How a letter leaves: by SMTP, to the console, or as files in a folder."""

from __future__ import annotations

import smtplib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

SMTP_SECONDS = 15


class Channel(Protocol):
    """Something that a message can be handed to; it raises when the message did not leave."""

    def send(self, message: EmailMessage) -> dict[str, str]:
        """Hand one message over; returns the recipients that were refused, each with the reason."""
        ...


class Console:
    """Prints, for a trial."""

    def send(self, message: EmailMessage) -> dict[str, str]:
        """Print the letter as its reader would see it."""
        words = message.get_body(("plain",))
        said = words.get_content() if words is not None else ""
        enclosed = "".join(f"--- Pièce jointe : {one.get_filename()}\n" for one in message.iter_attachments())
        sys.stdout.write(f"--- À : {message['To']}\n--- Objet : {message['Subject']}\n{enclosed}{said}\n")
        sys.stdout.flush()
        return {}


class Folder:
    """Writes one .eml a message, named after its message id: a repeat replaces itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def send(self, message: EmailMessage) -> dict[str, str]:
        """Write the file whole, or not at all."""
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        draft = self.path / f".{name}.part"
        draft.write_bytes(message.as_bytes(policy=SMTP))
        draft.rename(self.path / f"{name}.eml")
        return {}


class Relay:
    """An SMTP relay; one connection for a batch."""

    def __init__(self, server: smtplib.SMTP) -> None:
        self.server = server

    def send(self, message: EmailMessage) -> dict[str, str]:
        """Send, or raise smtplib.SMTPException or OSError."""
        refused = self.server.send_message(message)
        return {mail: f"{code} {words.decode(errors='replace')}" for mail, (code, words) in refused.items()}


@contextmanager
def channel(address: str) -> Iterator[Channel]:
    """The channel that `COUPE_FILE_MAIL` names, open for a batch."""
    if address == "console":
        yield Console()
    elif address.startswith("file:"):
        yield Folder(Path(address.removeprefix("file:")))
    else:
        with relay(address) as server:
            yield Relay(server)


def relay(address: str, seconds: float = SMTP_SECONDS) -> smtplib.SMTP:
    """The relay that an address names, greeted, its line kept secret if it offers to, and logged in to if the address says how."""
    parts = urlsplit(address)
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or smtplib.SMTP_SSL_PORT, timeout=seconds)
    else:
        server = smtplib.SMTP(host, parts.port or smtplib.SMTP_PORT, timeout=seconds)
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls()
    if parts.username:
        server.login(unquote(parts.username), unquote(parts.password or ""))
    return server
