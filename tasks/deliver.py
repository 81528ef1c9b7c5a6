"""Deliver: claim notices under a lease, send them, mark each. At least once, under a message id that does not change."""

from __future__ import annotations

import logging
import smtplib
from email.message import EmailMessage
from email.utils import formataddr

from sqlalchemy.orm import Session, sessionmaker

from config.settings import Settings
from tasks.channels import Channel, channel
from workflow import letters, outbox

log = logging.getLogger(__name__)

BATCH = 20  # far less than a lease holds


def deliver_all(make: sessionmaker[Session], settings: Settings, *, limit: int = BATCH) -> int:
    """Send one batch; returns how many notices were taken. Nothing is sent inside a transaction."""
    with make.begin() as session:
        notices = outbox.claim(session, limit=limit)
    if not notices:
        return 0
    try:
        with channel(settings.mail) as out:
            for notice in notices:
                _deliver(make, settings, out, notice)
    except (OSError, smtplib.SMTPException) as error:  # the relay itself: what is not marked is tried again
        log.warning("mail relay: %r", error)
        with make.begin() as session:
            for notice in notices:
                outbox.failed(session, notice, f"relais de messagerie : {error!r}")
    return len(notices)


def _deliver(make: sessionmaker[Session], settings: Settings, out: Channel, notice: outbox.Outgoing) -> None:
    if notice.void is not None:
        with make.begin() as session:
            outbox.void(session, notice.id, notice.void)
        return
    if not notice.people:
        with make.begin() as session:
            outbox.failed(session, notice, f"personne au siège « {notice.target} », et aucune boîte aux lettres")
        return
    try:
        out.send(compose(notice, settings))
    except smtplib.SMTPServerDisconnected:
        raise
    except (OSError, smtplib.SMTPException) as error:
        with make.begin() as session:
            outbox.failed(session, notice, repr(error))
        return
    with make.begin() as session:
        outbox.sent(session, notice)


def compose(notice: outbox.Outgoing, settings: Settings) -> EmailMessage:
    """The message of a notice; its Message-ID is the row's, so that a repeat can be recognised."""
    subject, body = letters.letter(notice)
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"] = settings.mail_from
    message["To"] = ", ".join(formataddr((" ".join(name.split()), mail)) for name, mail in notice.people)
    message["Message-ID"] = f"<{notice.message_id}@{settings.mail_from.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Coupe-File-Event"] = f"{notice.reference}/{notice.seq}/{notice.target}"
    message.set_content(body)
    return message
