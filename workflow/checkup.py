"""What an operator is told of the database: each point well, to be corrected, or to be decided, with the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from workflow import business_time, operations, reconcile, schema

Verdict = Literal["ok", "fix", "decide"]
SKEW = timedelta(seconds=2)
BACKUP_OLD = timedelta(hours=50)  # a nightly one that failed once
TRIED_OLD = timedelta(days=92)
MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Finding:
    """One point that was looked at: `code` for a machine, `what` and `words` for a person; then what to do, and with what."""

    code: str
    what: str
    verdict: Verdict
    words: str
    remedy: str = ""
    command: str = ""


def age(seconds: float) -> str:
    """A length of time, roughly, in words."""
    for unit, words in ((DAY, "j"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {words}"
    return f"{max(seconds, 0):.0f} s"


def database(session: Session) -> Iterator[Finding]:
    """Everything that the database can say of itself, of the clock, of the letters and of the proof."""
    yield from _server(session)
    yield (tables := _tables(session))
    yield from _clocks(session)
    if tables.verdict != "ok" and schema.standing(session).behind:
        return
    yield _business(session)
    yield from _work(reconcile.health(session))
    yield from _copies(session)


_SERVER = """
select current_setting('server_version') as version, current_setting('server_encoding') as encoding,
       current_setting('TimeZone') as zone, current_setting('fsync') as fsync,
       current_setting('full_page_writes') as pages, current_setting('synchronous_commit') as commit,
       pg_database_size(current_database()) as size, current_database() as name
"""


def _server(session: Session) -> Iterator[Finding]:
    row = session.execute(text(_SERVER)).one()
    yield Finding("server", "PostgreSQL", "ok", f"{row.version.split()[0]}, base « {row.name} », {_bytes(row.size)}")
    if row.encoding == "UTF8":
        yield Finding("encoding", "Encodage", "ok", "UTF-8")
    else:
        remedy = "sauvegarder, créer une base en UTF-8, restaurer"
        yield Finding("encoding", "Encodage", "fix", f"{row.encoding} : des textes seront refusés", remedy,
                      "createdb --encoding=UTF8 --template=template0 NOM")  # fmt: skip
    if row.zone in ("UTC", "Etc/UTC"):
        yield Finding("timezone", "Fuseau des sessions", "ok", "UTC")
    else:
        yield Finding("timezone", "Fuseau des sessions", "decide", f"{row.zone} : les dates écrites à la main s'y liraient",
                      "mettre la base en UTC", f'alter database "{row.name}" set timezone to \'UTC\'')  # fmt: skip
    lost = [name for name, value in (("fsync", row.fsync), ("full_page_writes", row.pages), ("synchronous_commit", row.commit))
            if value == "off"]  # fmt: skip
    if lost:
        yield Finding("durability", "Écritures sûres", "fix",
                      f"{', '.join(lost)} à « off » : une coupure de courant perd des actes",
                      "remettre à « on » dans postgresql.conf, puis recharger", "select pg_reload_conf()")  # fmt: skip
    else:
        yield Finding(
            "durability", "Écritures sûres", "ok", f"fsync, pages entières, synchronous_commit « {row.commit} »"
        )


def _tables(session: Session) -> Finding:
    found = schema.standing(session)
    if found.behind:
        words = (
            "aucune table" if found.found is None else f"version {found.found}, ce programme attend la {found.wanted}"
        )
        return Finding("schema", "Tables", "fix", words, "mettre les tables à jour", "coupe-file migrate")
    if found.ahead:
        words = f"version {found.found}, plus récente que ce programme ({found.wanted})"
        return Finding("schema", "Tables", "fix", words, "mettre ce programme à jour")
    return Finding("schema", "Tables", "ok", f"version {found.found}")


def _clocks(session: Session) -> Iterator[Finding]:
    began = monotonic()
    before = business_time.real_now()
    there = session.execute(text("select clock_timestamp()")).scalar_one()
    travel = timedelta(seconds=monotonic() - began)
    skew = abs(there - (before + travel / 2))
    if skew > SKEW + travel:
        yield Finding("skew", "Heure de cette machine", "fix", f"{skew.total_seconds():.0f} s d'écart avec la base",
                      "synchroniser les deux machines (chrony, ntp)", "timedatectl set-ntp true")  # fmt: skip
    else:
        yield Finding("skew", "Heure de cette machine", "ok", "la même que celle de la base")


def _business(session: Session) -> Finding:
    row = session.execute(
        text("select business_now() as now, clock_timestamp() as real, rate, running from business_clock")
    ).one()
    if row.running and row.rate == 1 and abs(row.now - row.real) < SKEW:
        return Finding("business_clock", "Temps des dossiers", "ok", "l'heure réelle")
    words = f"{row.now:%d/%m/%Y %H:%M} UTC, " + (f"{row.rate:g} fois l'heure réelle" if row.running else "arrêté")
    return Finding("business_clock", "Temps des dossiers", "decide", f"{words} : ce n'est pas l'heure réelle",
                   "normal pour une démonstration, jamais pour de vrais dossiers", "coupe-file clock show")  # fmt: skip


def _work(seen: reconcile.Health) -> Iterator[Finding]:
    late = reconcile.LATE.total_seconds()

    def aged(code: str, what: str, found: float | None, most: float, none: str, remedy: str, command: str) -> Finding:
        if found is None:
            return Finding(code, what, "ok", none)
        bad = found > most
        return Finding(
            code, what, "fix" if bad else "ok", f"depuis {age(found)}", remedy if bad else "", command if bad else ""
        )

    restart = "relancer le battement et les ouvriers"
    if seen.tick_age is None:
        yield Finding(
            "tick", "Battement de l'horloge", "fix", "jamais", "lancer le battement et les ouvriers", "coupe-file up"
        )
    else:
        yield aged(
            "tick",
            "Battement de l'horloge",
            seen.tick_age,
            reconcile.TICK_STALE.total_seconds(),
            "",
            restart,
            "coupe-file up",
        )
    yield aged("oldest_due", "Dossier échu le plus ancien", seen.oldest_due, late, "aucun n'attend",
               "faire passer l'horloge", "coupe-file sweep")  # fmt: skip
    yield aged("oldest_pending", "Événement sans suite le plus ancien", seen.oldest_pending,
               reconcile.UNHEARD.total_seconds(), "aucun n'attend", "tirer les suites", "coupe-file react")  # fmt: skip
    if seen.held:
        yield Finding("held", "Envois", "fix", f"retenus : {seen.held} ; {seen.undelivered} messages attendent",
                      "s'assurer que cette base est la seule à envoyer, puis laisser partir", "coupe-file outbox release")  # fmt: skip
    else:
        most = 0.0 if (seen.overdue_delivery or 0) > late else reconcile.UNDELIVERED.total_seconds()
        yield aged("oldest_undelivered", "Message à envoyer le plus ancien", seen.oldest_undelivered, most,
                   "aucun n'attend", "voir pourquoi il attend", "coupe-file outbox list")  # fmt: skip
    for code, what, count, verdict, remedy, command in _COUNTED:
        found = getattr(seen, count)
        good, none = not found, "aucune" if what.startswith(_FEMININE) else "aucun"
        yield Finding(code, what, "ok" if good else verdict, none if good else str(found), "" if good else remedy,
                      "" if good else command)  # fmt: skip
    yield _proof(seen)


_FEMININE = ("Suites", "Définitions")
_COUNTED: tuple[tuple[str, str, str, Verdict, str, str], ...] = (
    ("stuck", "Dossiers mis de côté", "stuck", "fix", "lire l'erreur, puis réessayer", "coupe-file stuck list"),
    ("skipped", "Dossiers laissés de côté par décision", "skipped", "decide", "les reprendre quand la cause est levée",
     "coupe-file stuck list"),
    ("dead_notices", "Messages abandonnés", "dead_notices", "fix", "lire pourquoi, puis remettre en file ou annuler",
     "coupe-file outbox list --state dead"),
    ("dead_reactions", "Suites abandonnées", "dead_reactions", "fix", "reprendre les suites abandonnées",
     "coupe-file react --again"),
    ("suspended", "Définitions suspendues", "suspended_definitions", "fix", "lire pourquoi, publier une version corrigée",
     "coupe-file workflow list"),
)  # fmt: skip


def _proof(seen: reconcile.Health) -> Finding:
    if seen.problems:
        return Finding("proof", "Vérification continue", "fix", f"{seen.problems} écarts",
                       "voir lesquels, et restaurer si le journal a été touché", "coupe-file verify")  # fmt: skip
    if seen.proof_age is None:
        return Finding("proof", "Vérification continue", "decide", "jamais passée", "lancer les ouvriers, ou vérifier maintenant",
                       "coupe-file verify")  # fmt: skip
    if seen.proof_age > reconcile.PROOF_STALE.total_seconds():
        return Finding("proof", "Vérification continue", "fix", f"arrêtée depuis {age(seen.proof_age)}",
                       "relancer les ouvriers", "coupe-file up")  # fmt: skip
    return Finding("proof", "Vérification continue", "ok", f"0 écart, il y a {age(seen.proof_age)}")


def _copies(session: Session) -> Iterator[Finding]:
    done = operations.last(session, ("backup", "restore.tried"))
    now = business_time.real_now()
    command = "coupe-file backup FICHIER"
    if "backup" not in done:
        yield Finding("backup", "Sauvegarde", "decide", "aucune par ce programme", "sauvegarder, ou s'assurer qu'un autre outil le fait",
                      command)  # fmt: skip
    else:
        yield _dated("backup", "Sauvegarde", done["backup"], now, BACKUP_OLD, "fix", "sauvegarder chaque nuit", command)
    command = "coupe-file restore FICHIER --essai"
    if "restore.tried" not in done:
        yield Finding("restore", "Restauration essayée", "decide", "jamais", "essayer une sauvegarde : sans essai, ce n'en est pas une",
                      command)  # fmt: skip
    else:
        yield _dated("restore", "Restauration essayée", done["restore.tried"], now, TRIED_OLD, "decide",
                     "essayer chaque trimestre", command)  # fmt: skip


def _dated(
    code: str,
    what: str,
    done: tuple[datetime, Any],
    now: datetime,
    most: timedelta,
    verdict: Verdict,
    remedy: str,
    command: str,
) -> Finding:
    at, subject = done
    words = f"il y a {age((now - at).total_seconds())}" + (f", {subject['said']}" if subject.get("said") else "")
    old = now - at > most
    return Finding(code, what, verdict if old else "ok", words, remedy if old else "", command if old else "")


def _bytes(size: int) -> str:
    for unit, words in ((10**9, "Go"), (10**6, "Mo")):
        if size >= unit:
            return f"{size / unit:.1f} {words}".replace(".", ",")
    return f"{size // 1000} ko"
