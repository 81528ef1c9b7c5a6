"""The evidence of an effect: one ZIP with the figures, what they mean, the definitions, the event log that they come from, and
its proof. Units and rungs, no text and no person.

Streamed, whatever its size. Made again as of the same instant, it is the same bytes, but for the day that its `LISEZMOI.txt`
says it was made.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from config.settings import program
from states.dossier import Actor
from workflow import counters, effect, effect_file, export, report, sheets, verify
from workflow import words as french
from workflow.apply import connection
from workflow.effect import Made
from workflow.effect_tables import CAUTION, MEANINGS, NOWHERE, TITLE, asked_words

CHUNK = 200
_STAMP = (1980, 1, 1, 0, 0, 0)
"""The date of every file inside: the first that the format can say."""
_HEADS = """
select d.reference, e.seq, encode(e.hash, 'hex') from unnest(%(ids)s::bigint[]) with ordinality as one (id, place)
join dossiers d on d.id = one.id join lateral (
    select seq, hash from events where dossier_id = d.id and at <= %(at)s order by seq desc limit 1) e on true order by one.place
"""
_BODIES = "select name, version, digest, body from definitions where digest = any(:digests) order by name, version"


def name(made: Made) -> str:
    """What the file is called."""
    return f"coupe-file-preuve-{effect_file.day(made)}.zip"


def stream(
    sessions: sessionmaker[Session], made: Made, *, actor: Actor, when: datetime, operator: str | None
) -> Iterator[bytes]:
    """The ZIP, piece by piece; `when` is the instant at which it is made. Raises NotTypeset."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as packed:
        for path, body in _files(sessions, made, actor, when, operator):
            info = zipfile.ZipInfo(path, _STAMP)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with packed.open(info, "w", force_zip64=True) as file:
                for piece in body:
                    file.write(piece)
                    yield from pipe.taken()
    yield from pipe.taken()


class _Pipe(io.RawIOBase):
    """What is written and not yet taken; it cannot be sought in, so the ZIP says the sizes after each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from pieces


def _files(
    sessions: sessionmaker[Session], made: Made, actor: Actor, when: datetime, operator: str | None
) -> Iterator[tuple[str, Iterable[bytes]]]:
    at = made.effect.now
    with sessions() as session:
        wanted, known = report.wanted(session, made.asked), export.units(session)
        digests = [one.digest for one in made.versions]
        bodies = session.execute(text(_BODIES), {"digests": digests}).all()

    def keys() -> Iterator[int]:
        return (key for key, _, _ in effect.of(sessions, wanted, actor=actor, at=at, near=made.near))

    yield "LISEZMOI.txt", [_readme(made, when, operator).encode()]
    for form in effect_file.FORMS:
        yield f"chiffres.{form}", _figures(made, form, operator)
    yield "definitions-des-chiffres.txt", [_meanings().encode()]
    for row in bodies:
        yield f"procedures/{row.name}-{row.version}.json", [_json({"digest": row.digest, "definition": row.body})]
    yield (
        "journal.xes",
        (piece.encode() for piece in export.xes(sessions, actor=actor, at=at, wanted=wanted, known=known)),
    )
    yield "fins-de-journal.csv", (line.encode() for line in sheets.as_csv(_heads(sessions, keys(), at)))
    yield "verification.json", [_json(proof(sessions, keys()))]


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z) + b"\n"


def _figures(made: Made, form: str, operator: str | None) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="coupe-file-") as folder:
        path = Path(folder) / f"chiffres.{form}"
        effect_file.write(path, made, form, operator=operator)
        yield path.read_bytes()


def _chunks(keys: Iterable[int]) -> Iterator[list[int]]:
    given = iter(keys)
    while ids := list(islice(given, CHUNK)):
        yield ids


def _heads(sessions: sessionmaker[Session], keys: Iterable[int], at: datetime) -> Iterator[sheets.Row]:
    """The end of each journal: its last event and the hash that seals all of them."""
    yield ("Dossier", "Dernier événement", "Empreinte")
    for ids in _chunks(keys):
        with sessions() as session:
            yield from connection(session).execute(_HEADS, {"ids": ids, "at": at}).fetchall()


def proof(sessions: sessionmaker[Session], keys: Iterable[int]) -> dict[str, Any]:
    """What `verify` and `report verify` say of some dossiers: their journals, and what the counters hold of each."""
    dossiers, problems, differences = 0, list[str](), list[str]()
    for ids in _chunks(keys):
        with sessions() as session:
            session.execute(text("set transaction isolation level repeatable read, read only"))
            problems += [f"{one.dossier_id} : {one.proof} : {one.text}" for one in verify.verify_ids(session, ids)]
            differences += [f"{one.dossier_id} : {one.text}" for one in counters.verify_ids(session, ids)]
        dossiers += len(ids)
    return {"dossiers": dossiers, "journal_problems": problems, "counter_differences": differences}


def _meanings() -> str:
    parts = [f"{one.title}\n\nDéfinition. {one.definition}\nCalcul. {one.reckoning}\n" for one in MEANINGS.values()]
    return "\n".join(parts)


def _readme(made: Made, when: datetime, operator: str | None) -> str:
    at = made.effect.now
    options = {"first": "--from", "last": "--to", "unit": "--unit", "territory": "--territory", "departement": "--departement",
               "topic": "--topic", "rung": "--rung", "version": "--definition"}  # fmt: skip
    given = " ".join(f"{option} {value}" for asked, option in options.items() if (value := getattr(made.asked, asked)))
    command = " ".join(
        part for part in ("coupe-file report effect", given, f"--at {at.isoformat()} --output preuve.zip") if part
    )
    versions = [f"- {one.name} : {one.dossiers} dossiers, empreinte {one.digest}" for one in made.versions]
    lines = chain(
        [f"{TITLE} – dossier de preuve", "", operator or effect_file.UNOFFICIAL, f"Fait le : {french.on(when, french.PARIS)}",
         f"Tel que su le : {french.on(at, french.PARIS)} ({at.isoformat()})", f"Programme : coupe-file {program()}", ""],
        ["Ce qui est demandé"], (f"- {label} : {value}" for label, value in asked_words(made.asked)),
        ["", CAUTION, *([] if made.territories else [NOWHERE]), "", "Ce qui est ici"],
        (f"- {path} : {what}" for path, what in CONTENTS.items()),
        ["", "Procédures", *(versions or ["- aucune : pas de donnée"]), "", "Refaire ce dossier", f"    {command}", "", SAME, ""],
    )  # fmt: skip
    return "\n".join(lines)


SAME = (
    "Le même instant donne les mêmes octets, sauf la ligne « Fait le » de ce fichier, tant que le programme est de la même "
    "version et que rien n'a été détruit ni renommé. Aucun fichier ne contient de texte saisi ni de personne."
)
CONTENTS = {
    "chiffres.csv, .json, .xlsx, .pdf": "les mêmes chiffres ; une valeur vide est une absence de donnée, ou trop peu de dossiers",
    "definitions-des-chiffres.txt": "ce que chaque tableau compte, et comment",
    "procedures/": "chaque version de procédure sous laquelle un dossier est, telle qu'elle a été publiée",
    "journal.xes": "les événements dont tout est calculé (IEEE 1849) : l'unité et le rôle, jamais la personne",
    "fins-de-journal.csv": "l'empreinte qui scelle le journal de chaque dossier",
    "verification.json": "le journal de chaque dossier et ce que les compteurs en gardent, recalculés à l'instant : les listes vides sont l'absence d'écart",
}
