"""`coupe-file up`: servers, tables, workers and beat under one supervisor; with `--demo`, twelve dossiers and their clock."""

from __future__ import annotations

import logging
import logging.handlers
import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.live import Live
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from cli import database, say
from cli.demo import Driver, seed, state
from cli.live import Line, Watch
from config.settings import Settings
from local.folder import home
from local.postgres import Postgres
from local.server import Server
from local.supervisor import Program, Supervisor, announce
from local.valkey import Valkey
from states.errors import Refused
from workflow import business_time, schema

DEMO_TICK = 0.5
LOOK_EVERY = 0.5
READY_PATIENCE = 60.0
SERVED_PATIENCE = 30.0
PORT = 8000
LOG_BYTES, LOG_FILES = 10_000_000, 5
Demo = Annotated[bool, typer.Option("--demo", help="Douze dossiers fictifs, et une heure par seconde.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Avec --demo : recommencer la démonstration à son début.")]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=64, help="Combien de processus travaillent.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Des lignes, plutôt qu'un écran qui se redessine.")]


def up(demo: Demo = False, fresh: Fresh = False, workers: Workers = 2, plain: Plain = False) -> None:
    """Met tout en marche ici, jusqu'à Ctrl-C : bases, tables, travailleurs, battement et portail, relancés s'ils tombent.

    COUPE_FILE_DATABASE_URL et COUPE_FILE_REDIS_URL, quand elles sont données, l'emportent sur les serveurs embarqués. Ce qui a été fait est
    gardé d'une fois à l'autre. Avec --demo : douze dossiers fictifs, une heure par seconde, nuits et fins de semaine sautées ;
    « coupe-file clock pause », « coupe-file clock to 18:00 » depuis un autre terminal.
    """
    Installation(database.settings(), demo=demo, fresh=fresh, workers=workers, plain=plain).run()


class Installation:
    """One machine's coupe-file, running."""

    def __init__(self, settings: Settings, *, demo: bool, fresh: bool, workers: int, plain: bool) -> None:
        """Choose; nothing is touched until run."""
        self._demo, self._fresh, self._workers = demo, fresh, workers
        self._screen = demo and not plain and sys.stdout.isatty()
        self._base = home(settings.home)
        self._settings = settings
        self._postgres = None if settings.database_url else Postgres(self._base)
        self._valkey = None if settings.redis_url else Valkey(self._base)
        servers: list[Server] = [server for server in (self._postgres, self._valkey) if server is not None]
        self._supervisor = Supervisor(self._base, servers, (), self._tell)
        self._log = logging.Logger("coupe-file up")  # noqa: LOG001  (its own: nothing else is to land in this file)
        self._name = database.DEMO if demo else database.NAME
        self._url = ""
        self._site, self._port = settings.base_url, PORT

    # --- from start to end --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start everything, keep it alive, and stop when told to."""
        began = time.monotonic()
        with ExitStack() as held:
            held.enter_context(self._until_told())
            self._supervisor.hold()
            self._open_log()
            held.callback(self._supervisor.stop)
            held.callback(say.aside, "Arrêt…")
            self._supervisor.start_servers()
            self._url = self._prepared()
            self._site = self._portal()
            demo = "1" if self._demo else None
            found = {"database_url": self._url, "redis_url": self._redis(), "base_url": self._site, "demo": demo}
            announce(self._base, found)
            with database.bound(self._url, pooled=self._settings.pooled) as made:
                make = schema.sessions(made)
                if self._demo:
                    self._open_demo(make)
                watch = Watch()
                if self._demo:
                    with make() as session:
                        watch.look(session)
                beat, first, *others = self._programs()
                self._supervisor.start_programs([beat, first])  # two that suffice; the others would slow their start
                self._until_ready(make)
                if self._demo:
                    driver = Driver(make)
                    driver.start()
                    held.callback(driver.stop)
                say.line(f"Prêt en {time.monotonic() - began:.1f} s. Journal : {self._base / 'log'}", style="green")
                self._supervisor.start_programs(others)
                self._show(make, watch)
        say.aside("Tout est arrêté. Ce qui a été fait est gardé.")

    @contextmanager
    def _until_told(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run, whatever it is doing; twice is once."""

        def end(number: int, _frame: Any) -> None:
            for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(again, signal.SIG_IGN)
            raise Ended(number)

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        except Ended:
            pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _open_log(self) -> None:
        folder = self._base / "log"
        folder.mkdir(mode=0o700, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(
            folder / "coupe-file.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
        )
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._log.addHandler(file)

    def _tell(self, name: str, line: str) -> None:
        """What a process printed, or what became of it: to the log, and to the terminal where no screen is drawn."""
        self._log.info("%-10s %s", name, line)
        if not self._demo:
            say.aside(f"{name:<10} {line}")

    # --- parts --------------------------------------------------------------------------------------------------------

    def _prepared(self) -> str:
        """The URL of a database that is there and up to date."""
        if self._postgres is None:
            url = database.checked(self._settings.database_url or "")
        else:
            database.ensure(self._postgres, self._name)
            url = self._postgres.url(self._name)
        pooled = self._settings.pooled
        tables = database.standing(url, pooled=pooled)
        if tables.behind or tables.ahead:  # of what is ahead, the migrations know whether this program still works
            database.prepare(url, pooled=pooled)
        return url

    def _redis(self) -> str:
        return self._valkey.url if self._valkey is not None else self._settings.redis_url or ""

    def _open_demo(self, make: sessionmaker[Session]) -> None:
        with make.begin() as session:
            there, whole = state(session)
        if there and not whole and self._postgres is None:
            raise Refused(
                "demo", "cette base contient d'autres dossiers : la démonstration n'y touche pas",
                field="COUPE_FILE_DATABASE_URL", accepted="une base vide, ou aucune adresse",
            )  # fmt: skip
        if there and (self._fresh or not whole) and self._postgres is not None:
            self._start_over()  # asked for, or a beginning that was cut short
            there = False
        if not there:
            say.line("Les douze dossiers de la démonstration se mettent en place…")
            seed(make)

    def _start_over(self) -> None:
        assert self._postgres is not None  # noqa: S101  (asked above)
        self._postgres.drop_database(self._name)
        self._prepared()

    def _programs(self) -> list[Program]:
        variables = {
            **os.environ,
            "COUPE_FILE_HOME": str(self._base),
            "COUPE_FILE_DATABASE_URL": self._url,
            "COUPE_FILE_REDIS_URL": self._redis(),
            "COUPE_FILE_BASE_URL": self._site,
            "C_FORCE_ROOT": "1",
            "PYTHONUNBUFFERED": "1",
        }
        if self._demo:
            variables["COUPE_FILE_TICK_SECONDS"] = str(DEMO_TICK)
            variables["COUPE_FILE_DEMO"] = "true"
            if "COUPE_FILE_MAIL" not in os.environ:
                variables["COUPE_FILE_MAIL"] = f"file:{self._base / 'courriers'}"
        as_root = ("-W", "ignore:You're running the worker with superuser")
        celery = (sys.executable, *as_root, "-m", "celery", "--quiet", "--app")
        quiet = ("--loglevel", "WARNING")
        alone = ("--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat")
        workers = [
            Program(
                name,
                (*celery, "tasks.app", "worker", "--hostname", f"{name}@coupe-file", *alone, *quiet),
                {**variables, "COUPE_FILE_PROCESS": name},
            )
            for name in (f"worker-{number}" for number in range(1, self._workers + 1))
        ]
        served = {**variables, "COUPE_FILE_PROCESS": "web"}
        web = Program("web", (sys.executable, "-m", "web.main", "--port", str(self._port)), served)
        beat = Program("beat", (*celery, "tasks.beat", "beat", *quiet), {**variables, "COUPE_FILE_PROCESS": "beat"})
        return [beat, *workers, web]

    def _portal(self) -> str:
        """Where the portal will be found: as COUPE_FILE_BASE_URL says, or on this machine at a port that is free."""
        if "COUPE_FILE_BASE_URL" in os.environ:
            self._port = urlsplit(self._settings.base_url).port or PORT
            return self._settings.base_url
        self._port = free_port(PORT)
        return f"http://localhost:{self._port}"

    # --- what is seen -------------------------------------------------------------------------------------------------

    def _until_ready(self, make: sessionmaker[Session]) -> None:
        """Until a tick went all the way: beat, broker, worker, database."""
        since = time.monotonic()
        ticked = text("select exists (select from heartbeats where name = 'tick' and at > clock_timestamp() - :for)")
        while time.monotonic() - since < READY_PATIENCE:
            self._supervisor.look()
            with suppress(SQLAlchemyError), make() as session:
                if session.execute(ticked, {"for": timedelta(seconds=time.monotonic() - since)}).scalar():
                    return
            time.sleep(0.1)
        raise Refused("ready", f"rien ne bat après {READY_PATIENCE:g} s : voyez le journal, {self._base / 'log'}")

    def _show(self, make: sessionmaker[Session], watch: Watch) -> None:
        if self._screen:
            self._draw(make, watch)
            return
        say.line("Une heure par seconde. Ctrl-C pour arrêter." if self._demo else "Ctrl-C pour arrêter.")
        portal = self._portal_found()

        def show() -> None:
            next(portal, None)
            for line in _new(make, watch) if self._demo else ():
                say.entry(str(line), style=line.style)

        self._loop(make, show)

    def _loop(self, make: sessionmaker[Session], show: Callable[[], None], keys: Callable[[], str] = str) -> None:
        """Keep everything alive, and show what is new, until told to end."""
        looked = 0.0
        while True:
            self._supervisor.look()
            if (pressed := keys()) == "q":
                return
            if pressed == " ":
                self._pause_or_go(make)
            if time.monotonic() - looked >= LOOK_EVERY or pressed:
                looked = time.monotonic()
                show()
            time.sleep(0.1)

    def _portal_found(self) -> Iterator[None]:
        """Say where the portal is, at the first look at which it answers; and that it does not, when that takes long."""
        since = time.monotonic()
        while time.monotonic() - since < SERVED_PATIENCE:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                say.line(f"Portail : {self._site}")
                return
            yield
        say.line("Le portail ne répond pas encore : voyez le journal.")

    def _draw(self, make: sessionmaker[Session], watch: Watch) -> None:
        out = say.console()
        foot = (
            f"portail : {self._site}    espace : pause    q : quitter    "
            "d'un autre terminal : coupe-file clock to 18:00, coupe-file show 64-0001"
        )
        with _keys() as keys, Live(console=out, screen=True, auto_refresh=False) as live:

            def show() -> None:
                _new(make, watch)
                live.update(watch.screen(height=out.height, foot=foot), refresh=True)

            self._loop(make, show, keys)

    def _pause_or_go(self, make: sessionmaker[Session]) -> None:
        with suppress(SQLAlchemyError), make.begin() as session:
            if business_time.paused(session):
                business_time.resume(session)
            else:
                business_time.freeze(session)


def _new(make: sessionmaker[Session], watch: Watch) -> list[Line]:
    """What happened since the last look; nothing while the database is away."""
    with suppress(SQLAlchemyError), make() as session:
        return watch.look(session)
    return []


def free_port(wanted: int) -> int:
    """A port of this machine that nobody listens on: the one wanted, if it is."""
    for port in (wanted, 0):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                tried.bind(("127.0.0.1", port))
                found: int = tried.getsockname()[1]
                return found
    raise Refused("port", "aucun port de cette machine n'est libre")


class Ended(BaseException):
    """Somebody asked for the end, by a signal; not an error that anything should catch."""


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """A function that gives the key pressed since it was last asked, or nothing; the terminal is as before after it."""
    if not sys.stdin.isatty():
        yield str
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield (
            lambda: os.read(descriptor, 1).decode(errors="replace") if select.select([descriptor], [], [], 0)[0] else ""
        )
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
