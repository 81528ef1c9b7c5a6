"""`coupe-file workflow publish, show, diff, suspend, resume`: the life of a version."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from cli import completion, database, say, shipped
from cli.options import Json
from config import yamltext
from states.definition import PHASES, Definition, parse
from states.difference import GROUPS, differences
from states.errors import BadInput, Refused
from workflow import definitions
from workflow.models import DefinitionRow

STATES = {"draft": "projet", "published": "publiée", "suspended": "suspendue"}
MAX_NAME = 100
MAX_DIGITS = 7
MAX_REASON = 300
Kept = Annotated[
    str,
    typer.Argument(
        metavar="NOM@VERSION",
        help="Une version que la base contient : coupe-file@2 ; le nom seul dit la dernière.",
        show_default=False,
    ),
]
_ANY = "Un fichier YAML, le nom d'une définition livrée, ou une version de la base : coupe-file@2."
Given = Annotated[
    str,
    typer.Argument(
        metavar="FICHIER|NOM[@VERSION]", help=_ANY, show_default=False, autocompletion=completion.definitions
    ),
]


def standing(state: str, why: str | None, *, published: bool) -> str:
    """Where a version is in its life: « publiée », « projet suspendu : … »."""
    words = "projet suspendu" if state == "suspended" and not published else STATES[state]
    return words + (f" : {why}" if why else "")


def title(row: DefinitionRow) -> str:
    """« coupe-file, version 2 »."""
    return f"{row.name}, version {row.version}"


def kept(session: Session, given: str, field: str = "NOM@VERSION") -> DefinitionRow:
    """The version of the database that `name@version` names, or the latest for `name`; `name@version#digest` says which
    of several drafts. Raises BadInput, Refused.
    """
    name, at, rest = given.partition("@")
    version, _, digest = rest.partition("#")
    number = int(version) if version.isascii() and version.isdecimal() and len(version) <= MAX_DIGITS else 0
    if not 0 < len(name) <= MAX_NAME or (at and not number):
        raise BadInput("version", f"« {given[:60]} » illisible", field=field, accepted="nom@version : coupe-file@2")
    order = (DefinitionRow.version.desc(), DefinitionRow.published_at.is_(None), DefinitionRow.id.desc())
    rows = session.execute(select(DefinitionRow).where(DefinitionRow.name == name).order_by(*order)).scalars().all()
    found = [row for row in rows if row.version == (number or rows[0].version) and row.digest.startswith(digest)]
    if not found:
        raise Refused("unknown", f"« {given[:60]} » n'est pas dans la base", field=field, accepted=_near(session, name))
    if len(found) > 1 and found[0].published_at is None:
        raise Refused(
            "ambiguous",
            f"{len(found)} projets portent le nom {name} et la version {found[0].version}",
            field=field,
            accepted=", ".join(f"{name}@{row.version}#{row.digest[:12]}" for row in found),
        )
    return found[0]


def _near(session: Session, name: str) -> str:
    rows = session.execute(
        select(DefinitionRow.name, DefinitionRow.version).distinct().order_by(DefinitionRow.name, DefinitionRow.version)
    ).all()
    every = [f"{row.name}@{row.version}" for row in rows]
    near = [f"{row.name}@{row.version}" for row in rows if row.name == name]
    return (
        ", ".join(near or difflib.get_close_matches(name, every, n=3, cutoff=0.4) or every) or "rien : chargez-en une"
    )


def in_database(given: str) -> bool:
    """Whether a word names a version of the database rather than a file or a shipped definition."""
    if given in shipped.files() or Path(given).exists():
        return False
    return "@" in given or ("/" not in given and "." not in given)


def publish(given: Given, json: Json = False) -> None:
    """Publie une définition : elle ne change plus, et les dossiers déposés ensuite la suivent. Deux fois n'en font qu'une."""
    data = None if in_database(given) else shipped.sound(given)[1]
    with database.writing() as session:
        key = kept(session, given).id if data is None else definitions.add(session, data).id
        changed = definitions.publish(session, key)
        row = session.get_one(DefinitionRow, key)
        session.refresh(row)
    since = row.body["effective"]["from"]
    if json:
        say.document(
            {"id": row.name, "version": row.version, "digest": row.digest, "state": row.state, "published": changed,
             "effective_from": since}
        )  # fmt: skip
    elif changed:
        say.line(
            f"{title(row)} : publiée (empreinte {row.digest[:12]}). En vigueur pour les dépôts à partir du {_day(since)}.",
            style="green",
        )
    else:
        say.line(f"{title(row)} : déjà publiée, à l'identique.", style="green")


def _day(given: str) -> str:
    year, month, day = given.split("-")
    return f"{day}/{month}/{year}"


def show(given: Kept, json: Json = False) -> None:
    """Écrit en YAML une version de la base : ce qui est dit, sans ce qui va de soi."""
    with database.reading() as session:
        row = kept(session, given)
        definition = definitions.get(session, row.id).compiled.definition
    if json:
        say.document(
            {"id": row.name, "version": row.version, "digest": row.digest, "state": row.state, "why": row.why,
             "published_at": row.published_at, "definition": definition.meaning()}
        )  # fmt: skip
        return
    why = f"# {title(row)} : {standing(row.state, row.why, published=row.published_at is not None)}"
    say.raw(f"{say.safe(why)}\n# empreinte {row.digest}\n{yamltext.write(_ordered(definition.brief()))}")


def _ordered(data: dict[str, Any]) -> dict[str, Any]:
    """The initial state first, then by phase: the order in which a dossier meets them."""
    states = sorted(
        data["states"].items(), key=lambda item: (item[0] != data["initial"], PHASES.index(item[1]["phase"]))
    )
    return {**data, "states": dict(states)}


def diff(
    first: Annotated[
        str, typer.Argument(metavar="AVANT", help=_ANY, show_default=False, autocompletion=completion.definitions)
    ],
    second: Annotated[
        str, typer.Argument(metavar="APRÈS", help=_ANY, show_default=False, autocompletion=completion.definitions)
    ],
    json: Json = False,
) -> None:
    """Dit en français ce qui change d'une définition à l'autre : chaque différence de sens, et rien d'autre."""
    old, new = _both(first, second)
    found = differences(old, new)
    if json:
        said = [dataclasses.asdict(difference) for difference in found]
        say.document({"same": not found, "from": _named(old), "to": _named(new), "differences": said})
        return
    if not found:
        say.line("Ces deux définitions disent la même chose.", style="green")
        return
    for group in GROUPS:
        sentences = [difference.sentence for difference in found if difference.group == group]
        if sentences:
            say.line(f"{group.capitalize()}", style="bold")
            for sentence in sentences:
                say.line(f"  {sentence}.")


def _named(definition: Definition) -> dict[str, Any]:
    return {"id": definition.id, "version": definition.version, "digest": definition.digest()}


def _both(first: str, second: str) -> tuple[Definition, Definition]:
    """Two definitions; the database is only asked when one of them is there."""
    read = {given: parse(shipped.sound(given)[1]) for given in (first, second) if not in_database(given)}
    if len(read) < len({first, second}):
        with database.reading() as session:
            for given in {first, second} - read.keys():
                read[given] = definitions.get(session, kept(session, given).id).compiled.definition
    return read[first], read[second]


def suspend(
    given: Kept,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", metavar="MOTIF", help="Pourquoi, en quelques mots ; « health » le dira.", show_default=False
        ),
    ],
    json: Json = False,
) -> None:
    """Arrête l'horloge de tous les dossiers d'une version ; les personnes continuent d'agir. « health » passe au rouge."""
    words = " ".join(reason.split())
    if not 0 < len(words) <= MAX_REASON:
        raise BadInput(
            "reason", "le motif est vide ou trop long", field="--reason", accepted=f"1 à {MAX_REASON} signes"
        )
    with database.writing() as session:
        row = kept(session, given)
        definitions.suspend(session, row.id, words)
    if json:
        say.document({"id": row.name, "version": row.version, "digest": row.digest, "state": "suspended", "why": words})
        return
    say.line(
        f"{title(row)} : suspendue. Ses délais ne déclenchent plus rien, ses dossiers restent ouverts aux personnes."
    )
    say.line(f"Aucun dossier ne s'y dépose d'ici sa reprise : coupe-file workflow resume {row.name}@{row.version}")


def resume(given: Kept, json: Json = False) -> None:
    """Remet en marche l'horloge d'une version suspendue : elle rattrape ce qui est échu."""
    with database.writing() as session:
        row = kept(session, given)
        changed = definitions.resume(session, row.id)
        session.refresh(row)
    if json:
        say.document(
            {"id": row.name, "version": row.version, "digest": row.digest, "state": row.state, "resumed": changed}
        )
    elif changed:
        say.line(
            f"{title(row)} : reprise ({STATES[row.state]}). L'horloge rattrape ce qui est échu à son prochain passage.",
            style="green",
        )
    else:
        say.line(f"{title(row)} n'est pas suspendue ({STATES[row.state]}).")
