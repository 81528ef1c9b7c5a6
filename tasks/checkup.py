"""What an operator is told of the broker and of the mail relay. Each answers within seconds or is said not to."""

from __future__ import annotations

import smtplib
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from kombu.connection import Connection

from config.log_lines import told
from config.settings import LOCAL_SENDER, Settings
from tasks import antivirus, channels
from workflow.checkup import Finding

SECONDS = 4.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def bounded(ask: Callable[[], Any]) -> Any:
    """What a call gives within `SECONDS`, or the error that it raised; TimeoutError when it does neither."""
    answer: list[Any] = [TimeoutError(f"sans réponse en {SECONDS:.0f} s")]

    def run() -> None:
        try:
            answer[0] = ask()
        except Exception as error:  # noqa: BLE001  (told to the operator)
            answer[0] = error

    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    asking.join(SECONDS)
    return answer[0]


def portal(settings: Settings) -> Iterator[Finding]:
    """Whether the portal answers where people look for it, and may be trusted there."""
    name, parts = "Portail", urlsplit(settings.base_url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        yield Finding("portal_tls", "Portail, chiffrement", "fix", f"{settings.base_url} : les mots de passe y passent en clair",
                      "mettre un mandataire qui parle TLS devant, et https dans COUPE_FILE_BASE_URL")  # fmt: skip
    said = bounded(lambda: _answered(f"{settings.base_url.rstrip('/')}/readyz"))
    if isinstance(said, HTTPError):
        yield Finding("portal", name, "fix", f"il répond {said.code} : les tables ou l'horloge ne sont pas prêtes",
                      "voir les autres points")  # fmt: skip
    elif isinstance(said, Exception):
        yield Finding("portal", name, "decide", f"personne ne répond à {settings.base_url}", "normal s'il n'est pas en service ici",
                      "coupe-file web")  # fmt: skip
    else:
        yield Finding("portal", name, "ok", f"prêt à {settings.base_url}")
    if settings.operator is None and not settings.demo:
        yield Finding("operator", "Portail, organisme responsable", "decide", "aucun : chaque page dit « non officiel »",
                      "donner COUPE_FILE_OPERATOR")  # fmt: skip


def _answered(address: str) -> str:
    with urlopen(address, timeout=SECONDS / 2) as answer:  # noqa: S310  (the scheme is http or https: the settings say so)
        return str(answer.read(10_000))


def broker(settings: Settings) -> Iterator[Finding]:
    """Whether the broker answers, drops nothing, and keeps what it has over a restart."""
    if settings.redis_url is None:
        yield Finding("broker", "Courtier (Redis ou Valkey)", "decide", "aucun : rien ne part de soi-même",
                      "lancer l'ensemble, ou donner COUPE_FILE_REDIS_URL", "coupe-file up")  # fmt: skip
        return
    said = bounded(lambda: _information(settings.redis_url or ""))
    if isinstance(said, Exception):
        yield Finding("broker", "Courtier (Redis ou Valkey)", "fix", f"injoignable ({told(said)})",
                      "le démarrer, ou corriger COUPE_FILE_REDIS_URL ; rien n'est perdu, tout attend", "")  # fmt: skip
        return
    name = "Valkey" if said.get("valkey_version") else "Redis"
    version = said.get("valkey_version") or said.get("redis_version", "?")
    yield Finding("broker", "Courtier (Redis ou Valkey)", "ok", f"{name} {version}")
    policy = said.get("maxmemory_policy", "?")
    if policy == "noeviction":
        yield Finding("broker_memory", "Courtier, mémoire pleine", "ok", "refuse (noeviction)")
    else:
        yield Finding("broker_memory", "Courtier, mémoire pleine", "fix", f"jette des messages ({policy})",
                      "lui interdire d'en jeter", "redis-cli config set maxmemory-policy noeviction")  # fmt: skip
    if int(said.get("aof_enabled", 0)):
        yield Finding("broker_disk", "Courtier, après un arrêt", "ok", "retrouve ses messages (appendonly)")
    else:
        yield Finding("broker_disk", "Courtier, après un arrêt", "decide", "oublie ses messages : coûte un battement",
                      "écrire sur disque, ou l'accepter", "redis-cli config set appendonly yes")  # fmt: skip


def _information(url: str) -> Any:
    options = {"socket_timeout": SECONDS / 2, "socket_connect_timeout": SECONDS / 2}
    with Connection(url, transport_options=options) as connection:  # type: ignore[no-untyped-call]
        return connection.channel().client.info()


def relay(settings: Settings) -> Iterator[Finding]:
    """Whether letters can leave: the relay is greeted and left, no mail is sent."""
    if settings.mail == "console":
        yield Finding("mail", "Messagerie", "decide", "les messages s'affichent, ils ne partent pas",
                      "donner un relais : COUPE_FILE_MAIL=smtp://relais:25")  # fmt: skip
        return
    if settings.mail.startswith("file:"):
        yield _folder(Path(settings.mail.removeprefix("file:")))
        return
    said = bounded(lambda: _greeting(settings.mail))
    parts = urlsplit(settings.mail)
    where = (
        f"{parts.hostname}:{parts.port or (smtplib.SMTP_SSL_PORT if parts.scheme == 'smtps' else smtplib.SMTP_PORT)}"
    )
    if isinstance(said, Exception):
        yield Finding("mail", "Messagerie", "fix", f"relais {where} : {told(said)}",
                      "démarrer le relais, ou corriger COUPE_FILE_MAIL ; les messages attendent")  # fmt: skip
        return
    yield Finding(
        "mail", "Messagerie", "ok", f"le relais {where} répond{', identifiants acceptés' if parts.username else ''}"
    )
    if not said and parts.hostname not in LOOPBACK:
        yield Finding("mail_tls", "Messagerie, chiffrement", "decide", "le relais ne propose pas STARTTLS",
                      "prendre un relais chiffré (smtps://), ou l'accepter sur un réseau sûr")  # fmt: skip
    else:
        yield Finding("mail_tls", "Messagerie, chiffrement", "ok", said or "relais de cette machine")
    if settings.mail_from == LOCAL_SENDER:
        yield Finding("mail_from", "Messagerie, expéditeur", "decide", "l'adresse par défaut : on ne peut pas y répondre",
                      "donner COUPE_FILE_MAIL_FROM")  # fmt: skip


def _folder(path: Path) -> Finding:
    words = "les messages sont écrits dans un dossier, ils ne partent pas"
    return Finding("mail", "Messagerie", "decide", words, f"donner un relais dans COUPE_FILE_MAIL, ou lire {path}")


def _greeting(address: str) -> str:
    """Greet the relay as a sender would, log in if we would, and leave; returns how the line is kept secret, or nothing."""
    with channels.relay(address, SECONDS / 2) as server:
        if not isinstance(server.sock, ssl.SSLSocket):
            return ""
        return "TLS" if urlsplit(address).scheme == "smtps" else "STARTTLS"


def clamd(settings: Settings) -> Iterator[Finding]:
    """Whether files are scanned: the antivirus is asked who it is, no file is sent."""
    name = "Antivirus"
    if settings.clamd is None:
        yield Finding("antivirus", name, "decide", "aucun : les pièces jointes ne sont pas examinées",
                      "donner COUPE_FILE_CLAMD, par exemple unix:///run/clamav/clamd.ctl")  # fmt: skip
        return
    said = bounded(lambda: antivirus.version(settings.clamd or "", seconds=SECONDS / 2))
    if isinstance(said, Exception):
        yield Finding(
            "antivirus", name, "fix", str(said), "démarrer clamd, ou corriger COUPE_FILE_CLAMD ; les pièces attendent"
        )
    else:
        yield Finding("antivirus", name, "ok", said)
