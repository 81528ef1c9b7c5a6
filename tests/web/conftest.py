"""The portal in this process, on a small world of its own: one dossier that everybody stands in another relation to."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from config.settings import Settings
from tests.workflow.conftest import World, peopled
from web.app import create
from workflow import schema, sessions, tokens

SITE = "http://localhost:8000"
TITLE = "Pompage confidentiel à Lacq"
BLOCKAGE = "Le récépissé de la nappe profonde n'arrive pas."
NOTE = "Le préfet hésite encore, ne rien dire."
FILE, FILE_INSIDE = "Plan masqué.pdf", "Avis réservé.pdf"
PDF = b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"
MESSAGE = "Nous avons relancé le service de l'eau."


@dataclass
class Portal:
    """The application, its world, and a dossier submitted by `holder`, sent from u0 to u1, with a message and a note, and with
    a file that its holder joined, and one that the administrations keep inside.
    """

    world: World
    app: Any
    settings: Settings
    dossier: int = 0
    reference: str = ""
    shown: str = ""
    inside: str = ""

    def visitor(self, login: str | None = None) -> Visitor:
        """A browser, signed in or not. Errors are answered, not raised."""
        client = TestClient(self.app, base_url=SITE, follow_redirects=False, raise_server_exceptions=False)
        found = Visitor(client, self)
        if login is not None:
            found.enter(login)
        return found

    def bearer(self, login: str, *scopes: str) -> dict[str, str]:
        """The header of a token of this person."""
        actor = self.world.actor(login)
        with self.world.make.begin() as session:
            secret = tokens.make(session, actor, "essai", scopes or ("read", "write"), 30)
        return {"Authorization": f"Bearer {secret}"}


class Visitor:
    """A browser without scripts: it follows no redirect, and sends forms with the token of their page."""

    def __init__(self, client: TestClient, portal: Portal) -> None:
        self.client, self.portal, self.csrf = client, portal, ""

    def enter(self, login: str) -> None:
        """Sign in without a page: a session of the person in their one seat."""
        actor = self.portal.world.actor(login)
        with self.portal.world.make.begin() as session:
            token = sessions.begin(session, actor.person or 0, actor)
            self.csrf = getattr(sessions.find(session, token), "csrf", "")
        self.client.cookies.set("session", token)

    def get(self, path: str, **options: Any) -> Any:
        """A page."""
        return self.client.get(path, **options)

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> Any:
        """A form, sent from its page."""
        data = {"csrf": self.csrf, **(fields or {})}
        return self.client.post(path, data=data, **{"headers": {"Origin": SITE}, **options})

    def join(self, body: bytes, name: str, fields: dict[str, str] | None = None, *, to: str = "") -> Any:
        """A file, sent from the page of its dossier."""
        data = {"csrf": self.csrf, **(fields or {})}
        return self.client.post(f"/dossiers/{to or self.portal.reference}/pieces", data=data, headers={"Origin": SITE},
                                files={"file": (name, body, "application/octet-stream")})  # fmt: skip


def hidden(page: str, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, f"no field {name}"
    return found[1]


@pytest.fixture(scope="module")
def portal(postgres, template_database, tmp_path_factory):
    """Give the portal of a module."""
    name = f"web_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"create database {name} template {template_database}")
    engine = schema.engine(postgres.url(name), pool_size=5)
    world = peopled(postgres.url(name), engine)
    settings = Settings(
        database_url=postgres.url(name), base_url=SITE, files=tmp_path_factory.mktemp("files"), file_bytes=1_200_000
    )
    made = Portal(world, create(settings, world.make, lambda: None), settings)
    (made.dossier,) = world.submit(title=TITLE, blockage=BLOCKAGE)
    made.reference = world.row(made.dossier).reference
    world.act(made.dossier, "triage", "ref0", to_unit="u1")
    world.act(made.dossier, "message", "ref1", message=MESSAGE)
    world.act(made.dossier, "note", "ref1", note=NOTE)
    made.visitor("holder").join(PDF, FILE)
    made.visitor("ref1").join(PDF, FILE_INSIDE, {"audience": "inside"})
    made.shown, made.inside = (str(row.id) for row in world.sql("select id from files order by seq"))
    yield made
    engine.dispose()
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")
