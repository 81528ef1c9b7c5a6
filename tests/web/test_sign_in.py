"""Signing in: passwords, links by mail, seats, the demo; sessions that end; what is tried too often."""

from __future__ import annotations

import email
import re
from email.policy import default

import pytest

from states.errors import BadInput
from tasks.deliver import deliver_all
from tests.web.conftest import SITE, Portal, hidden
from web.app import create
from workflow import accounts, sessions

PASSWORD = "un mot de passe assez long"
WRONG = "Identifiant ou mot de passe inconnu"


def sign_in(visitor, path="/connexion", **fields):
    before = hidden(visitor.get("/connexion").text, "before")
    return visitor.post(path, {"before": before, "then": "/", "kept": "", **fields})


@pytest.fixture
def known(portal):
    """A person with a password, whom nobody has tried yet."""
    portal.world.sql("delete from attempts")
    person = portal.world.actor("ref2").person
    with portal.world.make.begin() as session:
        accounts.set_password(session, person, PASSWORD)
    return person


def test_a_password_lets_in_and_its_cookie_is_kept_by_its_digest_only(portal, known):
    visitor = portal.visitor()
    answer = sign_in(visitor, login="ref2", password=PASSWORD)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert re.search(r"session=([^;]+);.*HttpOnly.*Path=/.*SameSite=lax", cookie, re.IGNORECASE)
    token = re.search(r"session=([^;]+)", cookie)[1]
    assert portal.world.value("select person_id from web_sessions where digest = :d", d=sessions.digest(token)) == known
    assert token not in str(portal.world.sql("select * from web_sessions"))
    assert portal.world.value("select password from accounts where person_id = :k", k=known).startswith("$argon2id$")
    assert visitor.get("/demi-heure").status_code == 200


def test_a_wrong_password_and_an_unknown_name_are_answered_alike_and_not_for_ever(portal, known):
    visitor = portal.visitor()
    for login in ("ref2", "personne", "boss", "", "a\x00b"):
        answer = sign_in(visitor, login=login, password="un autre mot de passe")
        assert answer.status_code == 401
        assert WRONG in answer.text
    tried = [sign_in(visitor, login="ref2", password="faux").status_code for _ in range(12)]
    assert tried[-1] == 429
    assert sign_in(visitor, login="ref2", password=PASSWORD).status_code == 429
    portal.world.sql("update attempts set since = since - interval '16 minutes'")
    assert sign_in(visitor, login="ref2", password=PASSWORD).status_code == 303


def test_a_link_by_mail_is_the_same_for_all_works_once_and_is_not_opened_by_those_that_read_mail(
    portal, known, tmp_path
):
    visitor = portal.visitor()
    answers = {sign_in(visitor, "/connexion/lien", mail=mail).text.partition('role="status"')[2][:200]
               for mail in ("ref2@x.example", "inconnu@x.example")}  # fmt: skip
    assert len(answers) == 1
    settings = portal.settings.model_copy(update={"mail": f"file:{tmp_path}"})
    assert deliver_all(portal.world.make, settings) == 1
    (letter,) = tmp_path.glob("*.eml")
    message = email.message_from_bytes(letter.read_bytes(), policy=default)
    assert "ref2@x.example" in message["To"]
    (path,) = re.findall(rf"{SITE}(/connexion/lien/\S+)", message.get_content())
    assert path.rsplit("/", 1)[1] not in str(portal.world.sql("select * from sign_in_links"))
    for _ in range(2):
        page = visitor.get(path)
        assert page.status_code == 200
    used = visitor.post(path, {"before": hidden(page.text, "before")})
    assert used.status_code == 303
    assert visitor.get("/demi-heure").status_code == 200
    other = portal.visitor()
    assert other.get(path).status_code == 410
    again = portal.visitor()
    before = hidden(again.get("/connexion").text, "before")
    assert again.post(path, {"before": before}).status_code == 410


def test_a_session_ends_when_asked_after_a_while_and_with_the_seat(portal, known):
    visitor = portal.visitor("ref2")
    assert visitor.get("/demi-heure").status_code == 200
    token = visitor.client.cookies["session"]
    assert visitor.post("/deconnexion").status_code == 303
    visitor.client.cookies.set("session", token)
    assert visitor.get("/demi-heure").status_code == 303
    visitor = portal.visitor("ref2")
    portal.world.sql("update web_sessions set ends_at = clock_timestamp() - interval '1 second'")
    assert visitor.get("/demi-heure").headers["location"].startswith("/connexion?suite=")
    visitor = portal.visitor("ref2")
    now = portal.world.now()
    portal.world.sql("update memberships set valid_to = :now where person_id = :key", now=now, key=known)
    answer = visitor.get("/demi-heure")
    portal.world.sql("update memberships set valid_to = null where person_id = :key", key=known)
    assert answer.headers["location"] == "/connexion/siege"
    portal.world.sql(
        "insert into accounts (person_id, closed_at) values (:key, now()) on conflict (person_id) do update set closed_at = now()",
        key=known,
    )
    closed = visitor.get("/demi-heure")
    portal.world.sql("update accounts set closed_at = null where person_id = :key", key=known)
    assert closed.headers["location"].startswith("/connexion?suite=")


def test_a_person_of_two_seats_chooses_one_and_acts_from_it_alone(portal, known):
    portal.world.sql("insert into memberships (person_id, role) values (:key, 'manager')", key=known)
    visitor = portal.visitor()
    assert sign_in(visitor, login="ref2", password=PASSWORD).headers["location"] == "/connexion/siege"
    assert visitor.get("/demi-heure").headers["location"] == "/connexion/siege"
    page = visitor.get("/connexion/siege").text
    assert page.count('name="seat"') == 2
    csrf = hidden(page, "csrf")
    assert visitor.post("/connexion/siege", {"csrf": csrf, "seat": "7"}).status_code == 404
    assert visitor.post("/connexion/siege", {"csrf": csrf, "seat": "1"}).status_code == 303
    assert visitor.get("/pilotage").status_code == 200
    assert visitor.get("/demi-heure").status_code == 403
    portal.world.sql("delete from memberships where person_id = :key and role = 'manager'", key=known)


def test_a_password_is_changed_by_its_person_and_ends_the_other_sessions(portal, known):
    here, there = portal.visitor("ref2"), portal.visitor("ref2")
    wrong = here.post("/compte/mot-de-passe", {"new": "court", "again": "court"})
    assert wrong.status_code == 422
    changed = here.post(
        "/compte/mot-de-passe", {"new": "un autre, assez long aussi", "again": "un autre, assez long aussi"}
    )
    assert changed.status_code == 303
    assert there.get("/compte").status_code == 303
    assert here.get("/compte").status_code == 200
    with portal.world.make() as session:
        assert accounts.known(session, known, "un autre, assez long aussi")
        assert not accounts.known(session, known, PASSWORD)
        with pytest.raises(BadInput, match="de 12 à 200 signes"):
            accounts.set_password(session, known, "court")


def test_persons_are_played_in_the_demo_alone_and_on_its_own_machine_alone(portal):
    def played(**changes):
        settings = portal.settings.model_copy(update=changes)
        visitor = Portal(portal.world, create(settings, portal.world.make, lambda: None), settings).visitor()
        page = visitor.client.get(f"{settings.base_url}/connexion")
        return "directrice-lacq:holder" in page.text

    assert not played(demo=True)  # this database is no demo
    portal.world.sql("insert into heartbeats (name, at) values ('demo', now())")
    assert played(demo=True)
    assert not played(demo=False)
    assert not played(demo=True, base_url="https://coupe-file.example")
    refused = sign_in(portal.visitor(), "/connexion/demonstration", **{"as": "directrice-lacq:holder"})
    assert refused.status_code == 404
    portal.world.sql("delete from heartbeats where name = 'demo'")


def test_one_is_sent_on_inside_the_portal_only(portal, known):
    for then in ("https://ailleurs.example", "//ailleurs.example", "/\\ailleurs.example", "/\r\nx"):
        answer = sign_in(portal.visitor(), login="ref2", password=PASSWORD, then=then)
        assert answer.headers["location"] == "/", then
