"""`coupe-file file …`: join a file to a dossier, list them, take one; erase, and put the folder in order."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session, sessionmaker

from cli import database, say
from cli.chosen import settings
from cli.door import Command, Group
from cli.options import As, By, Json, Key, Reason, Ref, operator, person
from states.attachment import AUDIENCES, HOLDER
from states.dossier import SYSTEM
from states.errors import BadInput, Refused
from workflow import access, attachments, custody, operations
from workflow.vault import Arrival, Vault

BLOCK = 1 << 20
STANDINGS = {
    "ready": "prête",
    "waiting": "attend l'antivirus",
    "infected": "malveillante, bloquée",
    "erased": "effacée",
}
FOR = {"holder": "le porteur aussi", "state": "le porteur et l'État", "inside": "les administrations"}
files = typer.Typer(cls=Group, help="Les pièces jointes aux dossiers.", no_args_is_help=True, rich_markup_mode=None)
File = Annotated[
    str, typer.Argument(metavar="ID", help="L'identifiant de la pièce, que « file list » montre.", show_default=False)
]


def vault(make: sessionmaker[Session]) -> Vault:
    """The folder of the files of this database."""
    return Vault(settings().files_folder(make.kw["bind"].url.database))


@files.command(cls=Command)
def add(
    ref: Ref,
    path: Annotated[Path, typer.Argument(metavar="FICHIER", help="Le fichier à joindre.", show_default=False)],
    audience: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="QUI",
            help="Qui pourra la lire : holder (le porteur aussi), state (le porteur et l'État seulement) ou inside (entre administrations).",
        ),
    ] = HOLDER,
    as_: As = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Joint un fichier à un dossier, comme la page du dossier le fait : mêmes sortes, mêmes bornes."""
    if audience not in AUDIENCES:
        raise BadInput(
            "audience", f"« {audience[:60]} » n'est aucun d'eux", field="--for", accepted=", ".join(AUDIENCES)
        )
    chosen = settings()
    limit = attachments.bounds(chosen)
    with database.sessions() as make:
        kept = vault(make)
        with kept.arrival() as arrival:
            _read(path, arrival, limit.file)
            with make.begin() as session:
                actor = person(session, as_)
                dossier = access.find(session, ref, actor)
                idem = f"cli:{actor.person}:{key}" if key else None
                done = attachments.add(session, kept, dossier, arrival, name=path.name, audience=audience, actor=actor, limit=limit,
                                       idem=idem)  # fmt: skip
            sha256 = arrival.sha256.hex()
        database.wrote()
    if json:
        say.document({"id": done.id, "seq": done.seq, "sha256": sha256, "repeated": done.repeated})
        return
    say.line(f"Pièce {done.id} : {'déjà jointe' if done.repeated else 'jointe'}, SHA-256 {sha256}.", style="green")


def _read(path: Path, arrival: Arrival, most: int) -> None:
    try:
        with path.open("rb") as file:
            while chunk := file.read(BLOCK):
                if arrival.size + len(chunk) > most:
                    raise attachments.too_long(most)
                arrival.write(chunk)
    except OSError as error:
        raise BadInput("file", f"{path} : {error.strerror}", field="FICHIER", accepted="un fichier lisible") from None
    arrival.ended()


@files.command("list", cls=Command)
def listed(ref: Ref, as_: As = None, json: Json = False) -> None:
    """Montre les pièces d'un dossier que cette personne peut lire, et qui les a téléchargées."""
    scans = settings().clamd is not None
    with database.reading() as session:
        actor = person(session, as_)
        found = attachments.listed(session, access.find(session, ref, actor), actor, scans=scans)
    if json:
        say.document({"scans": scans, "files": [_told(file) for file in found]})
        return
    if not found:
        say.line("Aucune pièce.")
    else:
        say.table(
            ("ID", "Nom", "Poids", "Pour", "Jointe", "État", "Téléchargée par"),
            [
                (
                    str(file.id), file.name or "(nom effacé)", attachments.size(file.size),
                    FOR[file.audience], say.short(file.at),
                    STANDINGS[file.standing], ", ".join(dict.fromkeys(one.name or one.unit or one.role for one in file.readers)),
                )
                for file in found
            ],
        )  # fmt: skip
    if not scans:
        say.line("Les pièces ne sont pas examinées par un antivirus : COUPE_FILE_CLAMD.", style="yellow")


def _told(file: attachments.File) -> dict[str, Any]:
    reads = [{"at": one.at, "person": one.person, "unit": one.unit, "role": one.role} for one in file.readers]
    return {
        "id": file.id, "seq": file.seq, "name": file.name, "sha256": file.sha256, "bytes": file.size, "type": file.type,
        "audience": file.audience, "at": file.at, "standing": file.standing, "scanned": file.scanned, "reads": reads,
    }  # fmt: skip


@files.command(cls=Command)
def get(
    ref: Ref,
    file: File,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FICHIER", help="Où l'écrire ; à défaut, sous son nom, ici.", show_default=False),
    ] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Prend une pièce d'un dossier ; que cette personne l'a fait est gardé et montré. Rien n'est écrasé."""
    scans = settings().clamd is not None
    with database.sessions() as make, make.begin() as session:
        actor = person(session, as_)
        found = attachments.taken(session, access.find(session, ref, actor), _id(file), actor, scans=scans)
        to = out or Path(found.name or str(found.id))
        _copy(vault(make).path(found.sha256), to)
    if json:
        say.document({"file": str(to), "bytes": found.size, "sha256": found.sha256})
        return
    say.line(f"{to} : {attachments.size(found.size)}.", style="green")


def _copy(kept: Path, to: Path) -> None:
    try:
        with kept.open("rb") as source, to.open("xb") as target:
            shutil.copyfileobj(source, target)
    except FileExistsError:
        raise BadInput("file", f"{to} existe déjà", field="--out", accepted="un fichier à créer") from None
    except OSError as error:
        raise Refused("storage", f"{error.filename} : {error.strerror}", field="--out") from None


@files.command(cls=Command)
def erase(ref: Ref, ids: Annotated[list[str], typer.Argument(metavar="ID", help="Les pièces à effacer.", show_default=False)],
          reason: Reason, by: By = None, json: Json = False) -> None:  # fmt: skip
    """Efface des pièces : leur nom, et leurs octets si aucun autre dossier ne les a. Le journal reste entier et vérifiable.

    Pour une pièce malveillante, ou pour ce qu'une personne a le droit de faire effacer. On ne revient pas dessus.
    """
    wanted, why, who = [_id(one) for one in ids], operations.reason(reason), operator(by)
    with database.sessions() as make:
        with make.begin() as session:
            dossier = access.find(session, ref, SYSTEM)
            attachments.check_of(session, dossier, wanted)
            gone = attachments.erase(session, wanted)
            subject = {"dossier": dossier, "files": [str(one) for one in wanted]}
            operations.record(session, "file.erase", who=who, why=why, subject=subject)
        done = custody.forget(make, vault(make), gone)
    if json:
        say.document({"erased": len(wanted), "contents": done})
        return
    say.line(
        f"{say.count(len(wanted), 'pièce effacée', 'pièces effacées')}, {say.count(done, 'contenu', 'contenus')}.",
        style="green",
    )


@files.command(cls=Command)
def tidy(by: By = None, json: Json = False) -> None:
    """Efface du dossier des pièces ce que rien ne nomme depuis une heure : envois coupés, restes d'un arrêt brutal."""
    who = operator(by)
    with database.sessions() as make:
        done = custody.tidy(make, vault(make))
        if done:
            with make.begin() as session:
                operations.record(session, "file.tidy", who=who, subject={"files": done})
    if json:
        say.document({"erased": done})
        return
    say.line(f"{say.count(done, 'fichier effacé', 'fichiers effacés')}.")


def _id(given: str) -> uuid.UUID:
    try:
        return uuid.UUID(given)
    except ValueError:
        raise BadInput(
            "file", f"« {given[:60]} » n'est pas un identifiant", field="ID", accepted="celui que « file list » montre"
        ) from None
