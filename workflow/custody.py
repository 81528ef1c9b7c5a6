"""What is in the folder of files, held against what the rows say: a file without its row, a row without its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from workflow import scans
from workflow.attachments import size
from workflow.checkup import Finding, age
from workflow.vault import ARRIVING, Vault
from workflow.verify import Problem

CHUNK = 500
YOUNG = timedelta(hours=1)
"""A file younger than this may belong to a transaction that is not committed yet."""
PROOF = "files"

_CONTENTS = """
select c.sha256, c.size, (select array_agg(distinct f.dossier_id) from files f
                           where f.sha256 = c.sha256 and f.erased_at is null) as dossiers
from contents c where c.gone_at is null and c.sha256 > :last order by c.sha256 limit :chunk
"""


def audit(make: sessionmaker[Session], vault: Vault, *, read: bool = True) -> Iterator[Problem]:
    """Every difference between rows and folder; with `read` each file is hashed again. A stray file belongs to no
    dossier: its problem bears the number 0.
    """
    last = b""
    while True:
        with make() as session:
            rows = session.execute(text(_CONTENTS), {"last": last, "chunk": CHUNK}).all()
        if not rows:
            break
        last = bytes(rows[-1].sha256)
        for row in rows:
            wrong = vault.wrong(bytes(row.sha256), row.size, read=read)
            for dossier in (row.dossiers or [0]) if wrong else ():
                yield Problem(dossier, PROOF, f"pièce {bytes(row.sha256).hex()[:12]} : {wrong}")
    for path in strays(make, vault):
        yield Problem(0, PROOF, f"un fichier que rien ne nomme est dans le dossier des pièces : {path.name[:12]}")


def strays(make: sessionmaker[Session], vault: Vault) -> Iterator[Path]:
    """Files that no dossier has, or has any more, and that are no longer being written."""
    found: list[bytes] = []
    for kept in vault.every():
        if kept.age > YOUNG.total_seconds():
            found.append(kept.sha256)
        if len(found) == CHUNK:
            yield from _unknown(make, vault, found)
            found = []
    yield from _unknown(make, vault, found)
    yield from vault.abandoned(YOUNG.total_seconds())


def _unknown(make: sessionmaker[Session], vault: Vault, found: Sequence[bytes]) -> Iterator[Path]:
    with make() as session:
        rows = session.execute(
            text("select sha256 from contents where gone_at is null and sha256 = any(:found)"), {"found": list(found)}
        )
        known = {bytes(row.sha256) for row in rows}
    yield from (vault.path(one) for one in found if one not in known)


def forget(make: sessionmaker[Session], vault: Vault, contents: Sequence[bytes]) -> int:
    """Erase the bytes of contents that no dossier has; one that somebody has added again meanwhile stays. Returns how many."""
    return sum(_removed(make, vault, one) for one in contents)


_CLAIMED = "insert into contents (sha256, size, gone_at) values (:one, 1, clock_timestamp()) on conflict do nothing"


def _removed(make: sessionmaker[Session], vault: Vault, one: bytes) -> bool:
    """Remove a content while its key is held: whoever adds it in this moment waits, and then puts it back."""
    with make() as session:  # nothing of it is committed: the key is held, no more
        session.execute(text(_CLAIMED), {"one": one})
        held = "select gone_at is not null from contents where sha256 = :one for update"
        gone: bool = session.execute(text(held), {"one": one}).scalar_one()
        if gone:
            vault.remove(one)
        session.rollback()
    return gone


def tidy(make: sessionmaker[Session], vault: Vault) -> int:
    """Erase the files that no dossier has; returns how many."""
    done = 0
    for path in list(strays(make, vault)):
        if path.parent.name == ARRIVING:
            path.unlink(missing_ok=True)
            done += 1
        else:
            done += _removed(make, vault, bytes.fromhex(path.name))
    return done


def findings(make: sessionmaker[Session], vault: Vault, *, scanned: bool) -> Iterator[Finding]:
    """What an operator is told of the files: whether they can be kept, are there, and were looked at."""
    what = "Pièces jointes"
    refused = vault.writable()
    if refused is not None:
        yield Finding(
            "files", what, "fix", refused, "donner un dossier où écrire dans COUPE_FILE_FILES", f"ls -ld {vault.folder}"
        )
        return
    with make() as session:
        row = session.execute(
            text(
                "select count(*) as number, coalesce(sum(size), 0)::bigint as total from contents where gone_at is null"
            )
        ).one()
        seen = scans.standing(session)
    problems = list(audit(make, vault, read=False))
    lost, stray = sum(one.dossier_id != 0 for one in problems), sum(one.dossier_id == 0 for one in problems)
    if lost:
        yield Finding("files", what, "fix", f"{lost} sans leur fichier", "les reprendre de la sauvegarde du dossier des pièces",
                      "coupe-file verify")  # fmt: skip
    else:
        yield Finding("files", what, "ok", f"{row.number} contenus, {size(row.total)}" if row.number else "aucune")
    if stray:
        yield Finding(
            "files_stray", "Fichiers que rien ne nomme", "decide", str(stray), "les effacer", "coupe-file file tidy"
        )
    if not scanned:
        return
    if seen.oldest is not None and seen.oldest > scans.LATE.total_seconds():
        why = f" ({seen.why})" if seen.why else ""
        yield Finding("files_waiting", "Pièces à examiner", "fix", f"{seen.waiting}, depuis {age(seen.oldest)}{why}",
                      "démarrer clamd et les ouvriers ; jusque-là elles restent fermées", "coupe-file scan")  # fmt: skip
    else:
        yield Finding(
            "files_waiting", "Pièces à examiner", "ok", f"{seen.waiting} en attente" if seen.waiting else "aucune"
        )
    if seen.infected:
        yield Finding("files_infected", "Pièces malveillantes", "decide", f"{seen.infected} fermées", "prévenir qui les a jointes ; les effacer",
                      "coupe-file file erase")  # fmt: skip
