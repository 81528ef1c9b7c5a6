"""`coupe-file verify FILE`: the journal of one dossier, proved without a database."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import typer

from cli import say
from states.errors import BadInput
from workflow.journal_file import READABLE, Report, verified

LONGEST = 100_000_000
"""A file of more bytes is not read."""


def prove_file(file: Path | None, before: Path | None, *, json: bool) -> None:
    """Say what a file proves; the exit code is 1 when it proves that something was changed. Raises BadInput."""
    if file is None:
        raise BadInput("missing", "« --before » compare deux fichiers", field="FICHIER", accepted=READABLE)
    found = verified(_read(file), None if before is None else _read(before))
    if json:
        say.document({"ok": not found.problems, **dataclasses.asdict(found)})
    else:
        _say(found, compared=before is not None)
    if found.problems:
        raise typer.Exit(1)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
    except OSError as error:
        raise BadInput("file", f"{path} : {error.strerror}", field="FICHIER", accepted=READABLE) from None
    if len(raw) > LONGEST:
        raise BadInput("length", f"{path} : plus de {LONGEST} octets", field="FICHIER", accepted=READABLE)
    return raw


def _say(found: Report, *, compared: bool) -> None:
    events, texts = say.count(found.events, "événement"), say.count(found.texts, "texte")
    say.line(f"Dossier {found.reference} (n° {found.dossier}) : {events}, {texts}.")
    if found.withheld:
        say.line(
            f"Par leur seule empreinte, ce lecteur ne pouvant pas les lire : {say.count(found.withheld, 'événement')}."
        )
    if found.unread:
        say.line(f"Effacés depuis, et donc invérifiables : {say.count(found.unread, 'texte')}.")
    for problem in found.problems:
        say.line(f"Écart : {problem}", style="red")
    if found.problems:
        return
    say.line("La chaîne est entière, sans lacune, et chaque texte est celui qu'elle scelle.", style="green")
    if compared:
        say.line("Le journal gardé d'avant en est bien le début.", style="green")
    say.line(f"Dernière empreinte : {found.head}")
