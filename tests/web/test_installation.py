"""The page of who runs the installation: theirs alone, and what was given up leaves again, once, under their name."""

from __future__ import annotations

from html import unescape

import pytest

from tests.web.conftest import BLOCKAGE, MESSAGE, NOTE, TITLE, Portal
from web.app import create


@pytest.fixture(scope="module")
def run(portal):
    settings = portal.settings.model_copy(update={"admins": " ref6 ,astreinte"})
    return Portal(
        portal.world, create(settings, portal.world.make, lambda: None), settings, portal.dossier, portal.reference
    )


def test_letters_given_up_are_shown_without_text_and_queued_again(run):
    run.world.react()
    why = "550 refusé à quelqu'un@exemple.fr"
    keys = [row.id for row in run.world.sql("select id from notices order by id limit 2")]
    assert len(keys) == 2
    run.world.sql("update notices set state = 'dead', attempts = 9, why = :why where id = any(:ids)", why=why, ids=keys)
    assert "/installation" not in run.visitor("ref1").get("/compte").text
    assert run.visitor("ref1").get("/installation").status_code == 403
    visitor = run.visitor("ref6")
    assert 'href="/installation"' in visitor.get("/compte").text
    page = unescape(visitor.get("/installation").text)
    assert "550 refusé à" in page
    assert "quelqu'un@exemple.fr" not in page
    assert not [words for words in (TITLE, BLOCKAGE, MESSAGE, NOTE) if words in page]
    assert visitor.post("/installation/messages", {"id": str(keys[0]), "csrf": "x"}).status_code == 403
    done = visitor.post("/installation/messages", {"id": str(keys[0])})
    assert done.headers["location"] == "/installation?fait=1"
    assert visitor.post("/installation/messages", {"id": "all"}).headers["location"] == "/installation?fait=1"
    assert visitor.post("/installation/messages", {"id": "all"}).headers["location"] == "/installation?fait=0"
    found = run.world.sql("select state, attempts from notices where id = any(:ids)", ids=keys)
    assert [(row.state, row.attempts) for row in found] == [("queued", 0)] * 2
    kept = run.world.sql("select who, subject from operations where what = 'outbox.requeue' order by id")
    assert [(row.who, row.subject) for row in kept] == [("ref6", {"notices": [key]}) for key in keys]


@pytest.mark.parametrize("given", ["", "x", "0", "-1", "9" * 30, "١"])
def test_what_is_no_letter_is_refused(given, run):
    assert run.visitor("ref6").post("/installation/messages", {"id": given}).status_code == 422
    assert run.visitor("ref6").post("/installation/messages", {"id": "999999"}).status_code == 404
