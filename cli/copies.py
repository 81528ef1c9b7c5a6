"""Back up and restore: the whole database in one file, written whole or not at all, and a restore that is tried.

What was restored sends nothing until an operator says `outbox release`: the original may still be sending.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

import psycopg
import typer
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import make_url, text

from cli import database, say
from cli.chosen import settings
from cli.options import By, Json, operator
from config.log_lines import redacted
from local import binaries
from local.folder import LocalError
from states.errors import BadInput, Refused
from workflow import definitions, installation, operations, schema, sweep, upgrade, verify

MANY_DUE = 1_000_000
MINUTE = 60
_STEP = re.compile(r"pg_restore: (?:creating|processing|executing)")
_EMPTY = """
select not exists (select from pg_class c join pg_namespace s on s.oid = c.relnamespace
                   where s.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f'))
"""
_UNKNOWN = """
select count(*) from dossiers where wake_at <= (select business_now()) and not stuck and definition_id <> all(:known)
"""
File = Annotated[Path, typer.Argument(metavar="FICHIER", help="Le fichier de la sauvegarde.", show_default=False)]


def backup(file: File, by: By = None, json: Json = False) -> None:
    """Sauvegarde toute la base dans un fichier, entier ou absent, pendant que tout continue."""
    if file.exists():
        raise BadInput("file", f"« {file} » existe déjà", field="FICHIER", accepted="le nom d'un fichier à créer")
    began = monotonic()
    with database.address(current=False) as url:
        _refuse_pooled()
        major, found = _server(url)
        if found.found is None:
            raise Refused("empty", "cette base n'a pas de tables : il n'y a rien à sauvegarder")
        with _whole(file) as draft:
            with _watching("Sauvegarde", draft):
                _run([_program("pg_dump", major), "--format=custom", "--no-password", f"--file={draft}"], url)
            _contents(draft, major)
            size = draft.stat().st_size
        with database.bound(url) as made, schema.sessions(made).begin() as session:
            said = {"file": file.name, "bytes": size, "said": _bytes(size)}
            operations.record(session, "backup", who=operator(by), subject=said)
    seconds = monotonic() - began
    if json:
        say.document({"file": str(file), "bytes": size, "tables": found.found, "seconds": round(seconds, 1)})
    else:
        say.line(f"Sauvegarde écrite : {file} ({_bytes(size)}, {length(seconds)}).", style="green")
        say.line(f"Une sauvegarde se prouve en la restaurant : coupe-file restore {file} --essai")


def restore(
    file: File,
    trial: Annotated[
        bool,
        typer.Option(
            "--essai",
            metavar="",
            help="Dans une base provisoire, vérifiée puis supprimée : rien d'autre ne change.",
            show_default=False,
        ),
    ] = False,
    by: By = None,
    json: Json = False,
) -> None:
    """Restaure une sauvegarde dans une base vide et la vérifie ; les envois y sont retenus.

    Le code de sortie est 1 quand la vérification trouve un écart.
    """
    if not file.is_file():
        raise BadInput(
            "file", f"« {file} » n'est pas un fichier", field="FICHIER", accepted="une sauvegarde de « backup »"
        )
    began, who = monotonic(), operator(by)
    with database.address(current=False) as url:
        _refuse_pooled()
        major, found = _server(url)
        steps = _contents(file, major)
        version = _version(file, major)
        schema.Standing(version, found.wanted).refuse_ahead()
        with _scratch(url) if trial else _emptied(url) as target:
            with say.steps("Restauration", steps) as step:
                keep = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--verbose"]
                command = [_program("pg_restore", major), *keep, "--no-password"]
                _run(command, target, after=[str(file)], line=lambda line: step() if _STEP.match(line) else None)
            if version != found.wanted:
                upgrade.migrate(target)
            if not trial:
                with database.bound(target) as made, schema.sessions(made).begin() as session:
                    installation.hold(session, f"base restaurée de « {file.name} »")
            seen = _proved(target)
            seconds = monotonic() - began
            if trial and found.behind:
                say.aside("La base courante n'est pas à jour de ce programme : l'essai n'y est pas noté.")
            elif not (trial and seen.problems):
                said = f"{say.count(len(seen.problems), 'écart')}, {length(seconds)}"
                subject = {"file": file.name, "problems": len(seen.problems), "dossiers": seen.dossiers, "said": said}
                with database.bound(url) as made, schema.sessions(made).begin() as session:
                    operations.record(session, "restore.tried" if trial else "restore", who=who, subject=subject)
    _say(seen, seconds, trial=trial, json=json)
    if seen.problems or seen.forgotten:
        raise typer.Exit(1)


class _Seen:
    """What a restored database is found to be."""

    def __init__(self) -> None:
        self.problems: list[verify.Problem] = []
        self.dossiers = self.events = self.due = self.forgotten = self.letters = 0


def _proved(url: str) -> _Seen:
    """Verify everything, count what is due and in the clock's reach, and the letters that wait."""
    seen = _Seen()
    with database.bound(url) as made:
        make = schema.sessions(made)
        with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("set statement_timeout = 0"))
            connection.execute(text("analyze"))
        with make() as session:
            total = session.execute(text("select count(*) from dossiers")).scalar_one()
        with say.steps("Vérification", total) as step:
            for part in verify.verify(make):
                seen.problems += part.problems
                step(part.dossiers - seen.dossiers)
                seen.dossiers, seen.events = part.dossiers, part.events
        with make() as session:
            seen.due = len(sweep.due(session, limit=MANY_DUE))
            seen.forgotten = session.execute(text(_UNKNOWN), {"known": definitions.known(session)}).scalar_one()
            seen.letters = session.execute(text("select count(*) from notices where state = 'queued'")).scalar_one()
    return seen


def _say(seen: _Seen, seconds: float, *, trial: bool, json: bool) -> None:
    if json:
        problems = [{"dossier": one.dossier_id, "proof": one.proof, "text": one.text} for one in seen.problems]
        counted = {"dossiers": seen.dossiers, "events": seen.events, "due": seen.due, "forgotten": seen.forgotten}
        more = {"queued": seen.letters, "held": not trial, "trial": trial, "seconds": round(seconds, 1)}
        say.document({"ok": not problems and not seen.forgotten, **counted, **more, "problems": problems})
        return
    good = not seen.problems and not seen.forgotten
    verdict = "journal vérifié" if not seen.problems else "journal à examiner"
    late = "rien d'échu oublié" if not seen.forgotten else f"{seen.forgotten} échus hors de portée de l'horloge"
    head = "Essai de restauration" if trial else "Restauration"
    say.line(
        f"{head} : {verdict}, {say.count(len(seen.problems), 'écart')}, {late}, {length(seconds)}.",
        style="green" if good else "red",
    )
    for one in seen.problems[:20]:
        say.line(f"Dossier n° {one.dossier_id} : {one.text}")
    say.line(
        f"{say.count(seen.dossiers, 'dossier')}, {say.count(seen.events, 'événement')} ; "
        + (f"{say.count(seen.due, 'dossier échu', 'dossiers échus')}, que l'horloge reprendra ; " if seen.due else "")
        + f"{say.count(seen.letters, 'message')} en file."
    )
    if trial:
        say.line(
            "La base d'essai est supprimée ; la date de l'essai est notée."
            if good
            else "La base d'essai est supprimée."
        )
    else:
        say.line(
            "Les envois sont retenus. Quand cette base est la seule à envoyer : coupe-file outbox release", style="bold"
        )


# --- where to, and from where -----------------------------------------------------------------------------------------


def _refuse_pooled() -> None:
    if settings().pooled:
        raise BadInput(
            "settings",
            "une sauvegarde ne passe pas par PgBouncer",
            field="COUPE_FILE_POOLED",
            accepted="false, avec dans COUPE_FILE_DATABASE_URL l'adresse de PostgreSQL lui-même",
        )


def _server(url: str) -> tuple[int, schema.Standing]:
    with database.bound(url) as made, made.connect() as connection:
        number = int(connection.execute(text("show server_version_num")).scalar_one())
        return number // 10_000, schema.standing(connection)


@contextmanager
def _emptied(url: str) -> Iterator[str]:
    """The database itself, which must hold nothing."""
    with database.bound(url) as made, made.connect() as connection:
        if not connection.execute(text(_EMPTY)).scalar():
            raise Refused(
                "not_empty",
                "cette base n'est pas vide : une restauration n'écrase rien",
                field="COUPE_FILE_DATABASE_URL",
                accepted="une base neuve (createdb), ou pour la base embarquée un autre COUPE_FILE_HOME",
            )
    yield url


@contextmanager
def _scratch(url: str) -> Iterator[str]:
    """A database of its own on the same server, gone afterwards."""
    name = f"coupe_file_essai_{uuid.uuid4().hex[:12]}"
    plain = make_url(url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
        try:
            made = sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(name))
            connection.execute(made)
        except psycopg.errors.InsufficientPrivilege:
            raise Refused(
                "createdb",
                "l'essai demande une base provisoire, et cet utilisateur n'a pas le droit d'en créer",
                accepted=f"« alter role {plain.username} createdb », ou une restauration dans une base vide",
            ) from None
        try:
            yield make_url(url).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A draft beside the file, which takes its name when it is whole and on disk; or nothing."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
    except OSError as error:
        raise BadInput(
            "file", f"on ne peut pas écrire dans « {file.parent} » ({error.strerror})", field="FICHIER",
            accepted="un dossier qui existe et où écrire",
        ) from None  # fmt: skip
    draft = Path(name)
    try:
        yield draft
        os.fsync(handle)
        draft.rename(file)
        folder = os.open(file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        os.close(handle)
        draft.unlink(missing_ok=True)


# --- the programs of PostgreSQL ---------------------------------------------------------------------------------------


def _program(name: str, major: int) -> str:
    try:
        return binaries.postgres_client(name, major)
    except LocalError:
        raise Refused(
            "program",
            f"{name} de PostgreSQL {major} ou plus récent est introuvable",
            accepted=f"le paquet postgresql-client-{major} de cette machine",
        ) from None


def _contents(file: Path, major: int) -> int:
    """How many entries a backup has. Raises BadInput for what is no backup."""
    done = subprocess.run(  # noqa: S603  (a program of PostgreSQL, on a file given by the operator)
        [_program("pg_restore", major), "--list", str(file)],
        capture_output=True,
        text=True,
        env=_environment({}),
        check=False,
    )
    if done.returncode:
        raise BadInput("file", f"« {file.name} » n'est pas une sauvegarde entière ({_complaint(done.stderr)})",
                       field="FICHIER", accepted="un fichier écrit par « coupe-file backup »")  # fmt: skip
    return sum(1 for line in done.stdout.splitlines() if line and not line.startswith(";"))


def _version(file: Path, major: int) -> str:
    """Which version of the tables a backup holds, read from it alone. Raises BadInput when it is not one of ours."""
    command = [_program("pg_restore", major), "--data-only", "--table=alembic_version", "--file=-", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment({}), check=False)  # noqa: S603  (as above)
    rows = re.findall(r"^COPY .*? FROM stdin;\n(.*?)^\\\.$", done.stdout, re.MULTILINE | re.DOTALL)
    if done.returncode or not rows or not rows[0].split():
        raise BadInput("file", f"« {file.name} » n'est pas une sauvegarde de coupe-file", field="FICHIER",
                       accepted="un fichier écrit par « coupe-file backup »")  # fmt: skip
    return str(max(rows[0].split()))


def _run(command: Sequence[str], url: str, *, after: Sequence[str] = (), line: object = None) -> None:
    """Run a program on the database, its password in the environment and never in the list of processes."""
    given = conninfo_to_dict(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    secret = {"PGPASSWORD": str(password)} if (password := given.pop("password", None)) else {}
    whole = [*command, f"--dbname={make_conninfo('', **{name: str(value) for name, value in given.items()})}", *after]
    last: deque[str] = deque(maxlen=20)
    with subprocess.Popen(  # noqa: S603  (a program of PostgreSQL, no shell)
        whole, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        env=_environment(secret),
    ) as process:  # fmt: skip
        try:
            for said in process.stderr or ():
                last.append(said)
                if callable(line):
                    line(said)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise Refused("program", f"{Path(command[0]).name} n'a pas abouti : {_complaint(''.join(last))}")


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "TZ": "UTC", **more}


def _complaint(said: str) -> str:
    if "SSL support is not compiled in" in said:
        return "ce programme ne parle pas TLS ; installez le paquet postgresql-client de cette machine"
    if "No space left" in said:
        return "le disque est plein"
    errors = [line for line in said.splitlines() if "error:" in line] or said.splitlines()[-1:]
    return redacted(errors[0].partition("error:")[2].strip() or errors[0])[:300] if errors else "sans explication"


# --- words ------------------------------------------------------------------------------------------------------------


@contextmanager
def _watching(words: str, draft: Path) -> Iterator[None]:
    """On a real terminal: what is being done, how much is written, for how long."""
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Written(ProgressColumn):
        def render(self, task: object) -> Text:  # noqa: ARG002  (rich's signature)
            return Text(_bytes(draft.stat().st_size if draft.exists() else 0))

    columns = (SpinnerColumn(), TextColumn(words), Written(), TimeElapsedColumn())
    with Progress(*columns, console=say.console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        bar.add_task("", total=None)
        yield


def length(seconds: float) -> str:
    """A length of time: « 3 min 12 », « 8 s »."""
    minutes, left = divmod(max(round(seconds), 1), MINUTE)
    hours, minutes_left = divmod(minutes, MINUTE)
    if hours:
        return f"{hours} h {minutes_left:02}"
    return f"{minutes} min {left:02}" if minutes else f"{left} s"


def _bytes(size: int) -> str:
    for unit, name in ((10**9, "Go"), (10**6, "Mo")):
        if size >= unit:
            return f"{size / unit:.1f} {name}".replace(".", ",")
    return f"{max(size // 1000, 1)} ko"
