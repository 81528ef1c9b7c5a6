"""What many commands take: who acts, how to answer, which key; and text that comes from a file or a pipe."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from cli import completion
from states.dossier import SYSTEM, Actor
from states.errors import BadInput, shown
from states.fields import instant

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="QUI",
        envvar="COUPE_FILE_AS",
        help="Qui agit : login, login:rôle, login@unité ou login@unité:rôle.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", metavar="", help="Dire ce qui changerait, sans rien écrire.", show_default=False),
]
Verb = Annotated[
    str,
    typer.Argument(
        metavar="VERBE",
        help="Le déclencheur, tel que sa définition le nomme.",
        show_default=False,
        autocompletion=completion.verbs,
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="CHAMP=VALEUR", help="Un champ ; autant de fois qu'il y en a.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Répondre par un document JSON.", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="CLÉ",
        help="Clé d'idempotence : le même envoi répété sous cette clé n'est fait qu'une fois.",
        show_default=False,
    ),
]
Ref = Annotated[
    str, typer.Argument(metavar="DOSSIER", help="La référence du dossier (64-0117) ou son numéro.", show_default=False)
]
By = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="QUI", help="Qui le décide ; à défaut, le compte qui lance la commande.", show_default=False
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="MOTIF", help="Pourquoi ; le motif est gardé.", show_default=False)
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="INSTANT",
        help="Tel qu'à cet instant : une date, ou un instant avec son fuseau (par défaut : maintenant).",
        show_default=False,
    ),
]
MAX_BYTES = 1_000_000
MAX_NAME = 64


def person(session: Session, name: str | None) -> Actor:
    """The person who acts. Raises BadInput: nobody named, unknown, not in office; the clock acts by its sweep alone."""
    from workflow import access, business_time

    if not name:
        raise BadInput(
            "actor",
            "qui agit ? obligatoire et absent",
            field="--as",
            accepted="login, login:rôle, login@unité ou login@unité:rôle",
        )
    if name == "system":
        raise BadInput(
            "actor",
            "l'horloge n'agit que par « coupe-file sweep »",
            field="--as",
            accepted="le login d'une personne de l'annuaire",
        )
    return access.actor(session, name, business_time.now(session))


def operator(given: str | None) -> str:
    """Who operates the machine: the name given, else the account that runs this command. Raises BadInput."""
    if given is None:
        account = os.environ.get("SUDO_USER")
        if not account:
            try:
                account = pwd.getpwuid(os.geteuid()).pw_name
            except KeyError:
                account = f"uid {os.geteuid()}"
        return account
    if not given.strip() or len(given) > MAX_NAME or not given.isprintable():
        raise BadInput("by", "nom vide ou illisible", field="--by", accepted="un nom ou un login")
    return given.strip()


def reader(session: Session, name: str | None) -> Actor:
    """Whoever reads: without a name, the operator, who sees every dossier and no text."""
    from workflow import access, business_time

    return access.actor(session, name, business_time.now(session)) if name else SYSTEM


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """`champ=valeur`, each field once. Raises BadInput."""
    found: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise BadInput(
                "set", f"« {item[:60]} » n'est pas de la forme champ=valeur", field=option, accepted="champ=valeur"
            )
        if name in found:
            raise BadInput(
                "set", f"le champ {name} est donné deux fois", field=option, accepted="chaque champ une fois"
            )
        found[name] = value
    return found


def merged(*sources: tuple[str, dict[str, str]]) -> dict[str, str]:
    """The fields of several options as one. Raises BadInput when two give the same field."""
    found: dict[str, str] = {}
    for option, values in sources:
        for name, value in values.items():
            if name in found:
                raise BadInput(
                    "twice", "donné deux fois", field=name, accepted=f"{option} ou l'option du champ, pas les deux"
                )
            found[name] = value
    return found


def from_file(option: str, path: str) -> str:
    """The text of a file, or of stdin for `-`: UTF-8, whole. Raises BadInput naming the option."""
    body = bytes_of(option, path, MAX_BYTES)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise BadInput(
            "encoding", f"le texte n'est pas en UTF-8 (ligne {line})", field=option, accepted="du texte UTF-8"
        ) from None


def bytes_of(option: str, path: str, most: int) -> bytes:
    """The bytes of a file, or of stdin for `-`. Raises BadInput: absent, unreadable, too large."""
    try:
        if path == "-":
            body = sys.stdin.buffer.read(most + 1)
        else:
            with Path(path).open("rb") as file:
                body = file.read(most + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "nom de fichier interdit"
        raise BadInput(
            "file",
            f"fichier illisible : « {path[:200]} » ({why})",
            field=option,
            accepted="un fichier, ou - pour l'entrée",
        ) from None
    if len(body) > most:
        raise BadInput("file", f"plus de {most} octets", field=option, accepted=f"{most} octets au plus")
    return body


def day(given: str | None, option: str) -> date | None:
    """A day as it is typed. Raises BadInput."""
    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise BadInput(
            "date", f"« {shown(given)} » n'est pas une date", field=option, accepted="une date AAAA-MM-JJ"
        ) from None


def moment(given: str | None) -> datetime | None:
    """An instant as it is typed; a date alone is the end of that day in Paris. Raises BadInput."""
    if given is None:
        return None
    if len(given) == len("2026-01-01"):
        found = day(given, "--at")
        assert found is not None  # noqa: S101  (given)
        return datetime.combine(found + timedelta(days=1), time(), ZoneInfo("Europe/Paris"))
    return instant("--at", given)
