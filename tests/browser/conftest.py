"""The portal of the demo, served to Debian's Chromium; every page that is looked at is kept as a picture and read by axe."""

from __future__ import annotations

import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cli import database, demo
from config.settings import Settings
from web.app import create
from workflow import business_time, heartbeats, scenario, schema
from workflow.vault import Vault

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
SCREENS = Path(__file__).parents[2] / ".coupe-file" / "screens"
NEEDS = "Debian : chromium, clamav-daemon, nodejs, npm ; npm : npm ci --prefix tests/browser"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

expect.set_options(timeout=20_000)  # milliseconds: other tests run beside


class Portal:
    """The served demo, whose time stands still unless it is moved."""

    def __init__(self, url: str, make: Any, browser: Browser, app: Any) -> None:
        self.url, self.make, self.browser, self.app = url, make, browser, app
        self.complaints: list[str] = []
        self.looked = 0
        self._axe = AXE.read_text(encoding="utf-8")

    def page(self, size: dict[str, int], **options: Any) -> Page:
        """A browser of its own."""
        page = self.browser.new_context(viewport=size, locale="fr-FR", base_url=self.url, **options).new_page()
        page.on("console", lambda said: self._complain(page, said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._complain(page, str(error)))
        return page

    def _complain(self, page: Page, words: str) -> None:
        if not ("Failed to load resource" in words and ("422" in words or "409" in words)):  # a form that is given back
            self.complaints.append(f"{page.url}: {words}")

    def enter(self, page: Page, who: str) -> None:
        """Sign in as a person of the demo."""
        page.goto("/connexion")
        page.click(f'button[value="{who}"]')

    def look(self, page: Page, name: str) -> None:
        """Keep a picture, in light and in dark, and let axe read both: no violation of any of its rules."""
        page.evaluate(self._axe)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENS / f"{name}-{scheme}.png", full_page=True)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            told = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
            assert told == [], f"{name}, {scheme}"
        page.emulate_media(color_scheme="light")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name}: wider than the window by {wide}"
        self.looked += 1

    def forward(self, **by: float) -> None:
        """Let the dossiers' time pass, and the clock do what falls due."""
        from datetime import timedelta

        with self.make.begin() as session:
            now = business_time.now(session)
        scenario.advance(self.make, now + timedelta(**by))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give Debian's Chromium. What is missing is named, and nothing is let pass."""
    program = shutil.which("chromium")
    assert program is not None, NEEDS
    assert AXE.exists(), NEEDS
    shutil.rmtree(SCREENS, ignore_errors=True)
    SCREENS.mkdir(parents=True)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def portal(postgres, template_database, browser, tmp_path_factory) -> Iterator[Portal]:
    """Give the portal of the demo, at its opening."""
    name = f"browser_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"create database {name} template {template_database}")
    engine = schema.engine(postgres.url(name))
    make = schema.sessions(engine)
    database.prepare(postgres.url(name))
    files = tmp_path_factory.mktemp("files")
    demo.seed(make, Vault(files))
    with make.begin() as session:
        business_time.freeze(session)
        heartbeats.beat(session, "tick")
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://localhost:{listening.getsockname()[1]}"
    app = create(
        Settings(
            database_url=postgres.url(name),
            base_url=url,
            demo=True,
            admins="vp-lacq",
            files=files,
        ),
        make,
        lambda: None,
    )
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    serving.start()
    while not server.started:
        time.sleep(0.02)
    made = Portal(url, make, browser, app)
    yield made
    server.should_exit = True
    serving.join(10)
    listening.close()
    engine.dispose()
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def pytest_itemcollected(item):
    """Every test of this folder needs a browser, whether its file says so or not."""
    item.add_marker(pytest.mark.browser)
