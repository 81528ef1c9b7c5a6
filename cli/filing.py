"""Submit: one dossier by its options, or a file of them, all or none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from cli import completion, database, say, sheet, view
from cli.options import As, Json, Key, from_file, merged, pairs, person
from cli.shipped import OWN
from states import fields
from states.definition import Definition
from states.dossier import SYSTEM
from states.errors import BadInput
from workflow import business_time, definitions, directory, dossiers
from workflow.dossiers import Submission, Submitted
from workflow.models import Person
from workflow.view import load

PARTIES, KEY = "parties", "key"
SILENCE = "Le silence gardé sur cette demande ne vaut pas acceptation."


def submit(
    topic: Annotated[
        str | None, typer.Option("--topic", metavar="SUJET", help="Le sujet, par son code.", show_default=False)
    ] = None,
    commune: Annotated[
        str | None,
        typer.Option("--commune", metavar="INSEE", help="La commune du site, par son code INSEE.", show_default=False),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXTE", help="Le titre du dossier.", show_default=False)
    ] = None,
    blockage: Annotated[
        str | None, typer.Option("--blockage", metavar="TEXTE", help="Ce qui bloque.", show_default=False)
    ] = None,
    blockage_file: Annotated[
        str | None,
        typer.Option(
            "--blockage-file",
            metavar="FICHIER",
            help="Ce qui bloque, lu dans un fichier, ou - pour l'entrée standard.",
            show_default=False,
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="CHAMP=VALEUR", help="Un autre champ, pour une autre définition.", show_default=False
        ),
    ] = None,
    party: Annotated[
        list[str] | None,
        typer.Option(
            "--party", metavar="LOGIN", help="Un porteur du dossier ; autant de fois qu'il y en a.", show_default=False
        ),
    ] = None,
    definition: Annotated[
        str,
        typer.Option(
            "--definition", metavar="NOM", help="La définition suivie.", autocompletion=completion.definitions
        ),
    ] = OWN,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="CSV",
            help="Un fichier CSV (UTF-8, avec en-tête) : un dossier par ligne, tous ou aucun.",
            show_default=False,
        ),
    ] = None,
    as_: As = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Dépose un dossier, ou tous ceux d'un fichier CSV.

    Colonnes du fichier : celles de la définition (topic, commune, title, blockage), et au besoin parties (logins
    séparés par des espaces) et key (clé d'idempotence de la ligne).
    """
    options = {"topic": topic, "commune": commune, "title": title, "blockage": blockage}
    args = merged(
        ("--set", pairs(given or [], "--set")),
        ("l'option", {name: value for name, value in options.items() if value is not None}),
        (
            "--blockage-file",
            {"blockage": from_file("--blockage-file", blockage_file)} if blockage_file is not None else {},
        ),
    )
    if file is not None:
        if args or party:
            raise BadInput(
                "file", "--file se donne seul", field="--file", accepted="le fichier, avec --as, --definition et --key"
            )
        _submit_file(file, definition, as_=as_, key=key, json=json)
        return
    with database.writing() as session:
        actor = person(session, as_)
        parties = _people(session, party or [], "--party")
        (done,) = dossiers.submit(session, [Submission(args, definition, parties, key)], actor=actor)
        seen = load(session, done.dossier_id, actor if parties or actor.role == "holder" else SYSTEM)
    if json:
        say.document({**view.summary(seen), "repeated": done.repeated})
        return
    if done.repeated:
        say.line("Déjà déposé sous cette clé : rien n'a été ajouté.", style="green")
    else:
        say.line(f"Dossier {done.reference} enregistré. {SILENCE}", style="green")
    view.four_lines(seen)
    if not parties and actor.role != "holder" and not done.repeated:
        say.aside(
            "Aucun porteur n'est lié à ce dossier : personne ne sera tenu au courant de ce côté (--party LOGIN au dépôt)."
        )


def _people(session: Session, logins: Sequence[str], field: str) -> tuple[int, ...]:
    """The keys of people by login. Raises BadInput naming those that come near."""
    known: dict[str, int] = {
        row.login: row.id
        for row in session.execute(select(Person.login, Person.id).where(Person.login.in_(list(logins))))
    }
    for login in logins:
        if login not in known:
            every = session.execute(select(Person.login)).scalars().all()
            near = difflib.get_close_matches(login, every, n=3, cutoff=0.4)
            raise BadInput(
                "unknown",
                f"personne inconnue : « {login[:60]} »",
                field=field,
                accepted=", ".join(near) or "le login d'une personne de l'annuaire",
            )
    return tuple(dict.fromkeys(known[login] for login in logins))


def _submit_file(file: str, name: str, *, as_: str | None, key: str | None, json: bool) -> None:
    with database.writing() as session:
        actor = person(session, as_)
        rules = definitions.for_submission(session, name, business_time.now(session)).compiled.definition
        asked = rules.submission
        lines = sheet.read(file, needed=asked.needs, optional=(*asked.optional, PARTIES, KEY))
        submissions = _checked(session, rules, name, lines, file, key)
        done = dossiers.submit(session, submissions, actor=actor)
    _tell(done, lines, json=json)


def _checked(
    session: Session, rules: Definition, name: str, lines: Sequence[sheet.Line], file: str, key: str | None
) -> list[Submission]:
    """Every line as a submission, or every error of the file at once."""
    found, problems, keys = [], [], dict[str, int]()
    for line in lines:
        cells = dict(line.cells)
        logins, own = cells.pop(PARTIES, "").split(), cells.pop(KEY, "") or (f"{key}:{line.number}" if key else None)
        args = {column: value for column, value in cells.items() if value}
        try:
            fields.check(rules, rules.submission, directory.resolve(session, rules, args))
            parties = _people(session, logins, PARTIES)
            if own is not None and own in keys:
                raise BadInput("key", f"la même clé qu'en ligne {keys[own]}", field=KEY, accepted="une clé par dossier")  # noqa: TRY301
        except BadInput as error:
            hint = f" ; accepté : {error.accepted}" if error.accepted else ""
            problems.append((line.number, error.field, f"{error.message}{hint}"))
            continue
        if own is not None:
            keys[own] = line.number
        found.append(Submission(args, name, parties, own))
    shown = "entrée" if file == "-" else file.rpartition("/")[2]
    if problems:
        raise sheet.SheetError(shown, problems)
    if not found:
        raise sheet.SheetError(shown, [(1, None, "aucun dossier sous l'en-tête")])
    return found


def _tell(done: Sequence[Submitted], lines: Sequence[sheet.Line], *, json: bool) -> None:
    repeated = sum(one.repeated for one in done)
    if json:
        rows: list[dict[str, Any]] = [
            {"line": line.number, "id": one.dossier_id, "reference": one.reference, "repeated": one.repeated}
            for line, one in zip(lines, done, strict=True)
        ]
        say.document({"dossiers": rows, "submitted": len(done) - repeated, "repeated": repeated})
        return
    say.line(
        say.count(len(done) - repeated, "dossier enregistré", "dossiers enregistrés")
        + (f", {repeated} l'étaient déjà" if repeated else "")
        + f". {SILENCE}",
        style="green",
    )
    say.table(("Ligne", "Dossier"), [(str(line.number), one.reference) for line, one in zip(lines, done, strict=True)])
