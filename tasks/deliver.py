"""Deliver: claim notices under a lease, send them, mark each. At least once, under a message id that does not change."""

from __future__ import annotations

import logging
import re
import smtplib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formataddr
from typing import Protocol, TypeVar
from urllib.parse import quote

from sqlalchemy.orm import Session, sessionmaker

from config.settings import Settings
from tasks.channels import Channel, channel
from workflow import (
    acknowledgements,
    digests,
    invitations,
    letters,
    links,
    minutes,
    monthly,
    outbox,
    reactions,
    typeset,
)

log = logging.getLogger(__name__)

_ADDRESS = re.compile(r"[!#-'*+./0-9=?A-Z^_`a-z{|}~-]+@[0-9A-Za-z.-]+", re.ASCII)
MINUTE = timedelta(minutes=1)
BATCH = 20  # far less than a lease holds


def deliver_all(make: sessionmaker[Session], settings: Settings, *, limit: int = BATCH) -> int:
    """Send one batch of each kind of letter; returns how many were taken. Nothing is sent inside a transaction.

    Links to sign in go first: somebody waits for them.
    """
    return (
        _links(make, settings, limit)
        + _invitations(make, settings, limit)
        + _minutes(make, settings, limit)
        + _notices(make, settings, limit)
        + _digests(make, settings, limit)
    )


class _Claimed(Protocol):
    @property
    def id(self) -> int: ...


L = TypeVar("L", bound=_Claimed)


def _each(
    make: sessionmaker[Session],
    claimed: Sequence[L],
    send: Callable[[L], str],
    failed: Callable[[Session, L, str], None],
    sent: Callable[[Session, int], None],
) -> int:
    """Send letters that go one by one and note what became of each, whose error is its own; returns how many."""
    for letter in claimed:
        try:
            why = send(letter)
        except Exception as error:  # noqa: BLE001  (a letter's error is its own)
            why = repr(error)
        with make.begin() as session:
            if why:
                failed(session, letter, why)
            else:
                sent(session, letter.id)
    return len(claimed)


def _links(make: sessionmaker[Session], settings: Settings, limit: int) -> int:
    with make.begin() as session:
        claimed = links.claim(session, limit=limit)
    return _each(make, claimed, lambda link: _send_link(link, settings), links.failed, links.sent)


def _send_link(link: links.Link, settings: Settings) -> str:
    """Send one link; returns why it did not leave, or nothing."""
    if not _ADDRESS.fullmatch(link.mail):
        return "adresse illisible"
    with channel(settings.mail) as out:
        refused = out.send(compose_link(link, settings))
    return "; ".join(f"{mail} : {words}" for mail, words in refused.items())


def compose_link(link: links.Link, settings: Settings) -> EmailMessage:
    """The message of a link to sign in."""
    address = f"{settings.base_url.rstrip('/')}/connexion/lien/{link.secret}"
    subject, body = letters.sign_in(address, links.GOOD_FOR // MINUTE)
    return _message(subject, body, settings, [(link.name, link.mail)], link.message_id)


def _invitations(make: sessionmaker[Session], settings: Settings, limit: int) -> int:
    with make.begin() as session:
        claimed = invitations.claim(session, limit=limit)
    return _each(
        make, claimed, lambda invitation: _send_invitation(invitation, settings), invitations.failed, invitations.sent
    )


def _send_invitation(invitation: invitations.Letter, settings: Settings) -> str:
    """Send one invitation; returns why it did not leave, or nothing."""
    if not _ADDRESS.fullmatch(invitation.mail):
        return "adresse illisible"
    with channel(settings.mail) as out:
        refused = out.send(compose_invitation(invitation, settings))
    return "; ".join(f"{mail} : {words}" for mail, words in refused.items())


def compose_invitation(invitation: invitations.Letter, settings: Settings) -> EmailMessage:
    """The message of an invitation."""
    address = f"{settings.base_url.rstrip('/')}/invitation/{invitation.secret}"
    subject, body = letters.invitation(
        invitation.inviter, invitation.reference, invitation.side, address, invitations.GOOD_FOR.days
    )
    return _message(subject, body, settings, [("", invitation.mail)], invitation.message_id)


def _minutes(make: sessionmaker[Session], settings: Settings, limit: int) -> int:
    with make.begin() as session:
        claimed = minutes.claim(session, limit=limit)
    return _each(make, claimed, lambda letter: _send_minutes(letter, settings), minutes.failed, minutes.sent)


def _send_minutes(letter: minutes.Minutes, settings: Settings) -> str:
    """Send the minutes of a meeting to one unit; returns why they did not leave, or nothing."""
    people = [(name, mail) for name, mail in letter.people if _ADDRESS.fullmatch(mail)]
    if not people:
        return "personne à joindre dans cette administration, ni boîte aux lettres lisible"
    subject, body = minutes.compose(letter, settings.base_url)
    with channel(settings.mail) as out:
        refused = out.send(_message(subject, body, settings, people, letter.message_id))
    left = len(refused) < len(people)
    return "" if left else "; ".join(f"{mail} : {said}" for mail, said in refused.items())


def deliver_monthly(make: sessionmaker[Session], settings: Settings, *, limit: int = BATCH) -> int:
    """Send the reports of the month that are due, one letter for each manager; returns how many were taken."""
    with make.begin() as session:
        claimed = monthly.claim(session, limit=limit)
    return _each(make, claimed, lambda letter: _send_monthly(make, letter, settings), monthly.failed, monthly.sent)


def _send_monthly(make: sessionmaker[Session], letter: monthly.Monthly, settings: Settings) -> str:
    """Send one report; returns why it did not leave, or nothing."""
    if not _ADDRESS.fullmatch(letter.mail):
        return "adresse illisible"
    subject, body = monthly.written(make, letter, settings.base_url)
    message = _message(subject, body, settings, [(letter.name, letter.mail)], letter.message_id)
    message["X-Coupe-File-Event"] = f"report/{letter.month:%Y-%m}/manager:{letter.person}"
    with channel(settings.mail) as out:
        refused = out.send(message)
    return "; ".join(f"{mail} : {words}" for mail, words in refused.items())


def _notices(make: sessionmaker[Session], settings: Settings, limit: int) -> int:
    with make.begin() as session:
        notices = outbox.claim(session, limit=limit)
    left = list(notices)
    while left:
        try:
            with channel(settings.mail) as out:
                while left and _deliver(make, settings, out, left[0]):
                    left.pop(0)
        except (OSError, smtplib.SMTPException) as error:  # the relay itself: no letter is to blame, all of them wait
            log.warning("mail relay: %r", error)
            with make.begin() as session:
                for notice in left:
                    outbox.postponed(session, notice, f"relais de messagerie : {error!r}")
            break
        if left:  # the relay hung up on this one: the others get another connection
            left.pop(0)
    return len(notices)


def _deliver(make: sessionmaker[Session], settings: Settings, out: Channel, notice: outbox.Outgoing) -> bool:
    """Send one notice and say what became of it; False when the connection did not survive it."""
    if notice.void is not None:
        with make.begin() as session:
            outbox.void(session, notice.id, notice.void)
        return True
    with make() as session:
        already = outbox.told(session, notice)
    fresh = [(name, mail) for name, mail in notice.people if mail not in already]
    if notice.people and not fresh:  # one person in two seats reads of one event once
        with make.begin() as session:
            outbox.void(session, notice.id, "déjà envoyé à la même adresse pour ce même événement")
        return True
    alive, link = True, False
    enclosed = _enclosed(make, notice, settings)
    try:
        people = [(name, mail) for name, mail in fresh if _ADDRESS.fullmatch(mail)]
        refused = out.send(compose(notice, people, settings, enclosed)) if people else {}
        why = "" if people else f"personne à joindre au siège « {notice.target} », ni boîte aux lettres lisible"
    except Exception as error:  # noqa: BLE001  (a letter's error is its own)
        alive = not isinstance(error, smtplib.SMTPServerDisconnected)
        link = not alive or (isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException))
        why = repr(error)
    with make.begin() as session:
        if link:
            outbox.failed(session, notice, why, most=outbox.LINK_ATTEMPTS)
        elif why:
            outbox.failed(session, notice, why)
        else:
            told = [mail for _, mail in people if mail not in refused]
            troubles = [f"{mail} : {words}" for mail, words in refused.items()]
            if enclosed is not None and enclosed.lost:
                troubles.append(f"parti sans son accusé en PDF : {enclosed.lost}")
            if notice.acknowledges and told:  # the dossier is locked before its notice, as everywhere
                reactions.acknowledged(session, notice.dossier_id, notice.seq)
            outbox.sent(session, notice, told, "; ".join(troubles))
    return alive


@dataclass(frozen=True, slots=True)
class Enclosed:
    """The acknowledgement that goes with a letter; `lost` is why it could not be made, if it could not."""

    title: str = ""
    name: str = ""
    body: bytes = b""
    lost: str = ""


def _enclosed(make: sessionmaker[Session], notice: outbox.Outgoing, settings: Settings) -> Enclosed | None:
    """The acknowledgement that the event gave, for its holder; a letter never waits for one that cannot be made."""
    if notice.target != "holder":
        return None
    try:
        with make() as session:
            found = acknowledgements.letter(session, notice.dossier_id, notice.seq, operator=settings.operator)
        return None if found is None else Enclosed(found[0].title, found[0].name, typeset.pdf(found[1]))
    except Exception as error:
        log.exception("acknowledgement of %s/%s", notice.reference, notice.seq, extra={"dossier": notice.dossier_id})
        return Enclosed(lost=repr(error))


def _digests(make: sessionmaker[Session], settings: Settings, limit: int) -> int:
    """Send the digests that are ready, each letter by itself; how many lines were taken."""
    with make.begin() as session:
        claimed = digests.claim(session, limit=limit)
    for digest in claimed:
        told: dict[int, list[str]] = {}
        wrong: dict[int, str] = {}
        relay = ""
        for letter in digest.letters:
            try:
                why = _send_digest(letter, settings, told)
            except (OSError, smtplib.SMTPException) as error:
                relay = why = f"relais de messagerie : {error!r}"
            except Exception as error:  # noqa: BLE001  (a letter's error is its own)
                why = repr(error)
            if why:
                wrong |= {line.id: why for line in letter.lines}
        with make.begin() as session:
            for line in digest.lines:
                if line.id in digest.void:
                    outbox.void(session, line.id, digest.void[line.id])
                elif told.get(line.id):
                    outbox.sent(session, line, told[line.id], wrong.get(line.id, ""))
                elif relay:
                    outbox.postponed(session, line, relay)
                else:
                    nobody = f"personne à joindre au siège « {line.target} », ni boîte aux lettres lisible"
                    outbox.failed(session, line, wrong.get(line.id, nobody))
    return sum(len(digest.lines) for digest in claimed)


def _send_digest(letter: digests.Letter, settings: Settings, told: dict[int, list[str]]) -> str:
    """Send one letter and note who was told of each of its lines; returns who was refused."""
    people = [(name, mail) for name, mail in letter.people if _ADDRESS.fullmatch(mail)]
    if not people:
        return "adresse illisible"
    if letter.digest:
        subject, body = letters.digest(letter.lines)
        message = _message(subject, body, settings, people, letter.message_id)
        message["X-Coupe-File-Event"] = " ".join(f"{line.reference}/{line.seq}" for line in letter.lines)
    else:
        message = compose(letter.lines[0], people, settings)
    with channel(settings.mail) as out:
        refused = out.send(message)
    for line in letter.lines:
        told.setdefault(line.id, []).extend(mail for _, mail in people if mail not in refused)
    return "; ".join(f"{mail} : {words}" for mail, words in refused.items())


def compose(
    notice: outbox.Outgoing, people: Sequence[tuple[str, str]], settings: Settings, enclosed: Enclosed | None = None
) -> EmailMessage:
    """The message of a notice; its Message-ID is the row's, so that a repeat can be recognised."""
    subject, body = letters.letter(notice)
    where = f"{settings.base_url.rstrip('/')}/dossiers/{quote(notice.reference)}"
    told = "" if enclosed is None else letters.LOST if enclosed.lost else letters.ENCLOSED.format(enclosed.title)
    message = _message(subject, f"{body}{told}Ouvrir le dossier : {where}\n", settings, people, notice.message_id)
    if enclosed is not None and enclosed.body:
        message.add_attachment(enclosed.body, maintype="application", subtype="pdf", filename=enclosed.name)
        message.set_boundary(f"==={notice.message_id.hex}===")  # a repeat is the same, byte for byte
    message["X-Coupe-File-Event"] = " ".join(f"{notice.reference}/{notice.seq}/{notice.target}".split())
    return message


def _message(
    subject: str, body: str, settings: Settings, people: Sequence[tuple[str, str]], message_id: uuid.UUID
) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"] = settings.mail_from
    message["To"] = ", ".join(formataddr((" ".join(name.split()), mail)) for name, mail in people)
    message["Message-ID"] = f"<{message_id}@{settings.mail_from.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    return message
