"""`coupe-file doctor`: everything that an installation rests on, one line a point, with the remedy."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

import typer
from rich.text import Text
from sqlalchemy import text
from sqlalchemy.orm import Session

from cli import database, say
from config import log_lines
from config.settings import Settings, program, tolerant
from local.folder import LocalError, home
from local.postgres import Postgres
from local.supervisor import announced
from local.valkey import Valkey
from states.dossier import SYSTEM
from states.errors import CoupeFileError
from workflow import checkup, custody, schema, webhooks
from workflow.checkup import Finding, Verdict
from workflow.unavailable import explain
from workflow.vault import Vault

Check = Callable[[Settings], Iterator[Finding]]
WORDS: dict[Verdict, tuple[str, str]] = {
    "ok": ("OK", "green"),
    "fix": ("À CORRIGER", "bold red"),
    "decide": ("À DÉCIDER", "yellow"),
}
WIDE = max(len(words) for words, _ in WORDS.values())
PATIENCE = "8s"
TIGHT, LITTLE = 0.1, 2_000_000_000


def examine(elsewhere: Sequence[Check], *, json: bool) -> None:
    """Look at every point, say each as it is known, and fail when one is to be corrected. `elsewhere`: broker and mail."""
    found: list[Finding] = []
    for one in _findings(elsewhere):
        found.append(one)
        if not json:
            _line(one)
    wrong = sum(one.verdict == "fix" for one in found)
    if json:
        say.document({"ok": not wrong, "findings": [dataclasses.asdict(one) for one in found]})
    else:
        open_ = sum(one.verdict == "decide" for one in found)
        say.line()
        say.line(
            f"{say.count(len(found), 'point vu', 'points vus')} : {wrong} à corriger, {open_} à décider.",
            style="red" if wrong else "green",
        )
    if wrong:
        raise typer.Exit(1)


def _line(one: Finding) -> None:
    words, style = WORDS[one.verdict]
    remedy = f" → {one.remedy}" if one.remedy else ""
    remedy += f" : {one.command}" if one.command else ""
    told = Text.assemble(
        (f"{words:{WIDE}}", style), "  ", (one.what, "bold"), f" : {say.safe(one.words)}", (remedy, style)
    )
    say.console().print(told)


def _findings(elsewhere: Sequence[Check]) -> Iterator[Finding]:
    settings, wrong = tolerant()
    for one in wrong:
        yield Finding("settings", one.name, "fix", one.message, f"accepté : {one.accepted}")
    if not wrong:
        yield Finding("settings", "Réglages", "ok", "lus, et tous connus")
    yield from _versions()
    bad = {one.name.removeprefix("COUPE_FILE_").lower() for one in wrong}
    called: list[str] = []
    if "database_url" not in bad:
        yield from _database(settings, called)
    found = _running(settings) if settings.redis_url is None and "redis_url" not in bad else settings
    for look in elsewhere:
        yield from look(found)
    yield _disk(settings)
    yield _calls(found, called)
    yield _secrets(settings)


# --- this machine -----------------------------------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    yield Finding("program", "Programme", "ok", f"coupe-file {program()}, Python {platform.python_version()}")
    pins = [re.fullmatch(r"(celery)==([\w.]+).*", wanted) for wanted in importlib.metadata.requires("coupe-file") or ()]
    for name, wanted in (pin.groups() for pin in pins if pin):
        there = importlib.metadata.version(name)
        if there == wanted:
            yield Finding("celery", "Celery", "ok", there)
        else:
            yield Finding("celery", "Celery", "fix", f"{there}, ce programme est éprouvé avec {wanted}",
                          "installer la version éprouvée", f"pip install {name}=={wanted}")  # fmt: skip
    yield Finding("tzdata", "Fuseaux horaires", "ok", f"tzdata {importlib.metadata.version('tzdata')}")


def _disk(settings: Settings) -> Finding:
    if settings.database_url is not None:
        return Finding(
            "disk", "Place sur le disque", "ok", "celui de la base n'est pas visible d'ici ; à suivre sur sa machine"
        )
    base = next(path for path in (home(settings.home), *settings.home.parents) if path.exists())
    usage = shutil.disk_usage(base)
    left = f"{usage.free / 1e9:.1f} Go libres sur {usage.total / 1e9:.0f}".replace(".", ",")
    if usage.free < LITTLE or usage.free < usage.total * TIGHT:
        return Finding(
            "disk", "Place sur le disque", "fix", left, "faire de la place : pleine, la base s'arrête", f"df -h {base}"
        )
    return Finding("disk", "Place sur le disque", "ok", left)


def _calls(settings: Settings, webhooks: Sequence[str]) -> Finding:
    named = [
        ("base", _host(settings.database_url)),
        ("courtier", _host(settings.redis_url)),
        ("messagerie", _host(settings.mail)),
        ("antivirus", _host(settings.clamd)),
        *(("webhook", host) for host in webhooks),
    ]
    listed = ", ".join(f"{what} {host}" for what, host in named if host)
    return Finding("calls", "Aucun appel sortant hors liste", "ok", listed or "aucun appel hors de cette machine")


def _host(address: str | None) -> str | None:
    """The host that an address makes this program call; none for a socket, a folder or the terminal."""
    if address is None or "://" not in address:
        return None
    parts = urlsplit(address)
    asked = parse_qs(parts.query).get("host", [""])[0]
    return parts.hostname or (asked if asked and not asked.startswith("/") else None)


def _secrets(settings: Settings) -> Finding:
    """Try it: what the log would write of our own addresses must not hold their passwords."""
    given = [
        address
        for address in (settings.database_url, settings.redis_url, settings.mail)
        if address and "://" in address
    ]
    kept = [address for address in given if (secret := _password(address)) and secret in log_lines.redacted(address)]
    if kept:
        return Finding("secrets", "Secrets hors du journal technique", "fix", "le mot de passe d'une adresse s'y lirait",
                       "écrire l'adresse avec son mot de passe codé en pour-cent")  # fmt: skip
    return Finding(
        "secrets", "Secrets hors du journal technique", "ok", "mots de passe masqués, essayé sur les adresses d'ici"
    )


def _password(address: str) -> str | None:
    _, at, _ = address.partition("://")[2].rpartition("@")
    return address.partition("://")[2].rpartition("@")[0].partition(":")[2] or None if at else None


# --- the database -----------------------------------------------------------------------------------------------------


def _database(settings: Settings, called: list[str]) -> Iterator[Finding]:
    """What the database can say; the hosts that its webhooks call are added to `called`."""
    if settings.database_url is None and not (Postgres(home(settings.home)).data).exists():
        yield Finding("database", "Base de données", "decide", "aucune : ni adresse, ni base embarquée",
                      "en créer une ici, ou donner COUPE_FILE_DATABASE_URL", "coupe-file migrate")  # fmt: skip
        return
    try:
        with (
            database.address(current=False, by=settings) as url,
            database.bound(url, pooled=settings.pooled) as made,
            schema.sessions(made)() as session,
        ):
            yield Finding("database", "Base de données", "ok", "répond")
            yield from _looked(session)
            if not schema.standing(session).behind:
                yield from custody.findings(
                    schema.sessions(made),
                    Vault(settings.files_folder(made.url.database)),
                    scanned=settings.clamd is not None,
                )
                found = webhooks.listed(session, SYSTEM)
                called += sorted({one.host for one in found if one.disabled_at is None})
                yield from webhooks.findings(found)
    except Exception as error:
        said = _said(error)
        if said is None:
            raise
        yield Finding("database", "Base de données", "fix", said.message, _remedy(said), "coupe-file doctor")


def _looked(session: Session) -> Iterator[Finding]:
    session.execute(text("set transaction read only"))
    session.execute(text("select set_config('statement_timeout', :most, true)"), {"most": PATIENCE})
    yield from checkup.database(session)


def _said(error: Exception) -> CoupeFileError | None:
    if isinstance(error, CoupeFileError):
        return error
    if isinstance(error, LocalError):
        return CoupeFileError("local", f"la base embarquée ne peut pas servir : {error}")
    return explain(error)


def _remedy(said: CoupeFileError) -> str:
    return f"accepté : {said.accepted}" if said.accepted else "corriger, puis regarder de nouveau"


def _running(settings: Settings) -> Settings:
    """With what the installation that runs on this folder says of itself: where its portal and its broker are."""
    base = home(settings.home)
    server, found = Valkey(base), announced(base) or {}
    known = {"redis_url": server.url} if server.path.exists() else {}
    if found.get("base_url"):
        known["base_url"] = str(found["base_url"])
    return settings.model_copy(update={**known, "demo": bool(found.get("demo"))})
