"""What a marked dossier lets each reader see, on every page, endpoint, export and letter; and the register of who read it."""

from __future__ import annotations

import email
import email.policy
import io
import re
from html import unescape
from urllib.parse import unquote

import orjson
import psycopg
import pytest
from rich.console import Console

from cli.live import Watch
from cli.shipped import files
from config import yamltext
from states.errors import Refused
from tasks.deliver import deliver_all
from tests.web import walk
from tests.web.conftest import PDF
from workflow import almanac, confidentiality, definitions, export, invitations, readings, report, sessions
from workflow.confidentiality import Marks
from workflow.models import Commune, Membership, Person

TITLE, CODE = "Usine Orphée et son raccordement", "Opération Alizé"
SIRET = "73282932000074"
BLOCKAGE = "La turbine de l'usine Orphée attend le réseau."
MESSAGE, NOTE = "Nous avons relancé pour Orphée.", "Entre nous : Orphée inquiète le préfet."
FILE, FILE_STATE, FILE_INSIDE = "orphee-plan.pdf", "orphee-bilan.pdf", "orphee-note.pdf"
DECIDED = "Il est décidé d'appeler la direction d'Orphée."
ASKED_STATE, ASKED_OPERATOR = "Le réseau local tiendra-t-il ?", "La ligne voisine suffira-t-elle ?"
REASON = "Le projet sera annoncé au printemps."
PLACE = {"Artix", "64061"}
CANARIES = {
    TITLE,
    SIRET,
    BLOCKAGE,
    MESSAGE,
    NOTE,
    FILE,
    FILE_STATE,
    FILE_INSIDE,
    ASKED_STATE,
    ASKED_OPERATOR,
    REASON,
    DECIDED,
    *PLACE,
}
HOLDERS = {TITLE, SIRET, BLOCKAGE, MESSAGE, FILE, FILE_STATE, REASON, *PLACE}
INSIDE = HOLDERS | {NOTE, FILE_INSIDE, DECIDED}
# u1 has the dossier in hand; u0 and u2 had it, u3 and u4 are consulted; u2 and u4 are operators, the others are of the State.
# By mark and reader: what is read in the end, and (`None`) who does not even see that the dossier exists.
MARKS = {"code": Marks(code_name=CODE), "reserved": Marks(reserved=True, elected=False)}
READS = {
    "code": {
        "holder": HOLDERS, "elu": HOLDERS, "ref1": INSIDE | {ASKED_STATE, ASKED_OPERATOR},
        "ref0": set(), "ref2": set(), "ref3": {ASKED_STATE}, "ref4": {ASKED_OPERATOR}, "boss": set(),
        "other": None, "ref6": None, "nobody": None,
    },
    "reserved": {
        "holder": HOLDERS, "elu": None, "ref1": INSIDE | {ASKED_STATE, ASKED_OPERATOR},
        "ref0": INSIDE | {ASKED_STATE, ASKED_OPERATOR}, "ref2": PLACE, "ref3": INSIDE | {ASKED_STATE},
        "ref4": PLACE | {ASKED_OPERATOR}, "boss": PLACE, "other": None, "ref6": None, "nobody": None,
    },
}  # fmt: skip
WHO = tuple(READS["code"])
# Who is told the code name: those who read texts and see that the dossier exists.
CODED = {"holder", "elu", "ref0", "ref1", "ref2", "ref3", "ref4"}
ACTS = ("transfer", "message")


@pytest.fixture(scope="module")
def secret(portal):
    """Give a dossier with all of the above in it; nothing is marked yet."""
    world = portal.world
    with world.make.begin() as session:
        almanac.keep_shipped(session)
        definitions.add(session, {**yamltext.read(files()["coupe-file"]).data, "version": 2}, state="published")
        definitions.add(session, yamltext.read(files()["avis"]).data, state="published")
        session.add(Person(login="elu", name="Prénom elu", mail="elu@x.example"))
        session.add(Commune(code="64061", name="Artix"))  # the dossier of the other tests is elsewhere
        session.flush()
        elu = session.query(Person).filter_by(login="elu").one().id
        session.add(Membership(person_id=elu, role="holder"))
    world.sql("update units set level = 'operator' where code in ('u2', 'u4')")
    (key,) = world.submit(commune="64061", title=TITLE, blockage=BLOCKAGE, siret=SIRET)
    reference = world.row(key).reference
    world.act(key, "triage", "ref0", to_unit="u1")
    for unit, by in (("u2", "ref1"), ("u1", "ref2")):
        world.act(key, "transfer", by, to_unit=unit, reason="Ce service la tient mieux.", forced="true")
    world.act(key, "message", "ref1", message=MESSAGE)
    world.act(key, "note", "ref1", note=NOTE)
    desk = portal.visitor("ref1")
    for unit, question in (("u3", ASKED_STATE), ("u4", ASKED_OPERATOR)):
        sent = {"consulted": "other", "other_unit": unit, "question": question}
        assert desk.post(f"/dossiers/{reference}/agir/consult", sent).status_code == 303
    for who, name, audience in (
        ("holder", FILE, "holder"),
        ("holder", FILE_STATE, "state"),
        ("ref1", FILE_INSIDE, "inside"),
    ):
        assert (
            portal.visitor(who).join(PDF + name.encode(), name, {"audience": audience}, to=reference).status_code == 303
        )
    _invited(world, key, elu)
    meeting = {f"dossier.{reference}": "", "day": _today(portal)}
    assert desk.post("/seances", meeting).status_code == 303
    decided = {"dossier": reference, "key": "k" * 8, "decision": DECIDED, "who": "", "due": _today(portal)}
    assert desk.post(f"/seances/{_today(portal)}/decision", decided).status_code == 303
    return key, reference


def _today(portal):
    return portal.world.now().date().isoformat()


def _invited(world, key, person):
    with world.make.begin() as session:
        one = invitations.invite(session, key, world.actor("holder"), mail="elu@x.example", side="elected")
    world.sql(
        "update invitations set state = 'sent', digest = :digest, ends_at = clock_timestamp() + interval '1 day' where id = :id",
        digest=sessions.digest("s" * 43), id=one.id,
    )  # fmt: skip
    with world.make.begin() as session:
        invitations.accept(session, "s" * 43, person)


def marked(portal, key, marks, reason=REASON):
    with portal.world.make.begin() as session:
        return confidentiality.mark(session, key, portal.world.actor("holder"), marks, reason=reason)


def addresses(portal, reference):
    """Every address of the portal and of its API that is read, for the dossier and for the two requests about it."""
    attached = [str(row.id) for row in portal.world.sql("select id from files order by seq")]
    asked = [
        row.reference
        for row in portal.world.sql("select reference from dossiers where reference like '%-A_' order by id")
    ]
    found = walk.addresses(
        portal.app,
        {
            "ref": [reference, *asked], "seq": ["1"], "name": ACTS, "file": attached, "/pieces/key": attached,
            "key": ["00000000-0000-4000-8000-000000000001"], "secret": ["x" * 43],
            "day": [f"{day:%Y-%m-%d}" for (day,) in portal.world.sql("select day from meetings")],
            "/rapport/effet/export/name": ["effet.csv", "effet.json", "preuve.zip"],
            "form": ["chiffres.csv", "chiffres.json", "liste.csv", "dossiers.csv", "dossiers.xlsx"],
        },
    )  # fmt: skip
    for path in found:
        if any(f"{one}/{room}" in path for one in asked for room in ("agir", "files/", "pieces/", "ack", "accuses")):
            continue  # of a request for an avis: its page, its journal and its clocks are enough
        if path.endswith(("/metrics", "/communes")):
            yield f"{path}?q=nulle-part"
        else:
            yield path
    yield from (
        "/file?tous=1",
        "/file?clos=1&tous=1",
        "/dossiers?clos=1",
        "/rapport?par=territory",
        "/rapport/dossiers?chiffre=open",
    )


@pytest.fixture(scope="module")
def visitors(portal, secret):
    """Give a browser and the head of a token to each reader."""
    return {
        who: (portal.visitor(None if who == "nobody" else who), {} if who == "nobody" else portal.bearer(who))
        for who in WHO
    }


def read(visitor, path):
    """What an address says to a reader."""
    browser, token = visitor
    answer = browser.get(path, headers=token if path.startswith("/api/") else {})
    assert answer.status_code < 500 or path == "/readyz", path
    said = unquote(unescape(walk.words(answer)))
    # A letter is typeset: who is given one has read the dossier.
    return said + (
        TITLE if answer.headers.get("content-type") == "application/pdf" and answer.status_code == 200 else ""
    )


@pytest.mark.parametrize("mark", MARKS)
def test_whatever_is_read_of_a_marked_dossier_is_what_the_table_says_and_no_more(mark, portal, secret, visitors):
    key, reference = secret
    marked(portal, key, MARKS[mark])
    paths = list(addresses(portal, reference))
    assert len(paths) > 60
    for who in [one for one in WHO if mark == "code" or READS["code"][one] != READS[mark][one]]:
        seen, named, allowed = set(), False, READS[mark][who]
        coded = mark == "code" and who in CODED
        for path in paths:
            said = read(visitors[who], path)
            found = {one for one in CANARIES if one in said}
            assert found <= (allowed or set()), (who, path)
            assert CODE not in said or coded or TITLE in (allowed or ()), (who, path)  # it was in the journal
            if allowed is None and reference not in path:
                assert reference not in said, (who, path)
            seen |= found
            named = named or CODE in said
        assert seen == (allowed or set()), who
        assert named or not coded, who


@pytest.mark.parametrize("mark", MARKS)
def test_a_place_that_may_not_be_known_is_not_found_by_asking_for_it(mark, portal, secret, visitors):
    key, reference = secret
    marked(portal, key, MARKS[mark])
    for who in WHO:
        browser, token = visitors[who]
        asked = [
            browser.get("/api/v1/dossiers?commune=64061", headers=token),
            browser.get("/file?tous=1&commune=64061"),
        ]
        found = any(f'"{reference}"' in one.text or f'/dossiers/{reference}"' in one.text for one in asked)
        expected = READS[mark][who] is not None and READS[mark][who] >= PLACE
        assert found == expected, who


def test_exports_letters_and_the_terminal_say_the_code_name_or_nothing(portal, secret, tmp_path):
    key, reference = secret
    world = portal.world
    marked(portal, key, MARKS["code"])
    world.act(key, "message", "ref1", message="Un mot de plus au porteur.")
    world.act(key, "write", "holder", message="Un mot de plus à l'État.")
    with world.make() as session:
        wanted, units = report.wanted(session, report.Asked()), export.units(session)
    logged = {
        name: "".join(form(world.make, actor=world.actor("boss"), at=world.now(), wanted=wanted, known=units))
        for name, form in export.FORMATS.items()
    }
    (trace,) = [part for part in logged["xes"].split("<trace>") if f'value="{reference}"' in part]
    (one,) = [part for part in orjson.loads(logged["ocel"])["objects"] if part["id"].endswith(reference)]
    assert not any(place in trace or place in str(one) for place in PLACE)
    world.react()
    settings = portal.settings.model_copy(update={"mail": f"file:{tmp_path}"})
    while deliver_all(world.make, settings):
        pass
    sent = [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in tmp_path.glob("*.eml")]
    told = [f"{one['Subject']} {one.get_body(('plain',)).get_content()}" for one in sent]
    mine = [one for one in told if re.search(rf"Dossier : {reference}\b(?!-A)", one)]
    assert len(mine) >= 4
    assert all(CODE in one for one in mine)
    assert [one for one in told if any(canary in one for canary in CANARIES)] == []
    watch, screen = Watch(), io.StringIO()
    with world.make() as session:
        watch.look(session)
    Console(file=screen, width=200).print(watch.screen(height=40, foot=""))
    assert (reference in screen.getvalue(), TITLE in screen.getvalue()) == (True, False)


def test_every_address_that_shows_the_contents_writes_who_read_them_in_the_register(portal, secret, visitors):
    key, reference = secret
    marked(portal, key, MARKS["code"])
    shown = 0
    lines = "select count(*) from readings where dossier_id = :key"
    taken = "select count(*) from file_reads"
    for path in addresses(portal, reference):
        if reference not in path or f"{reference}-A" in path:
            continue
        portal.world.tamper("delete from readings")
        files_before = portal.world.value(taken)
        if {TITLE, BLOCKAGE, MESSAGE, FILE, NOTE} & {one for one in CANARIES if one in read(visitors["ref1"], path)}:
            shown += 1
            noted = portal.world.value(lines, key=key) or portal.world.value(taken) > files_before
            assert noted, path
    assert shown >= 10
    page = portal.visitor("holder").get(f"/dossiers/{reference}/confidentialite").text
    assert "Administration 1" in page
    assert "Prénom ref1" not in page  # a holder reads the name of an administration, not of an agent
    assert "Prénom ref1" in portal.visitor("ref1").get(f"/dossiers/{reference}/confidentialite").text


def test_the_register_is_one_line_a_person_dossier_and_day_and_nothing_in_it_changes(portal, secret):
    key, reference = secret
    marked(portal, key, MARKS["code"])
    portal.world.jump(days=1)
    number = "select count(*) from readings where dossier_id = :key and day = (business_now() at time zone 'Europe/Paris')::date"
    for _ in range(3):
        portal.visitor("ref1").get(f"/dossiers/{reference}")
        portal.visitor("holder").get(f"/dossiers/{reference}")
        portal.visitor("ref0").get(f"/dossiers/{reference}")  # reads the code name alone
        portal.visitor("ref3").get(f"/dossiers/{reference}-A1")  # reads what it is asked
    assert portal.world.value(number, key=key) == 2
    for statement in ("update readings set role = 'x'", "delete from readings", "truncate readings"):
        with pytest.raises(Exception, match="append-only") as refused:
            portal.world.sql(statement)
        assert isinstance(refused.value.orig, psycopg.errors.RestrictViolation)
    with portal.world.make() as session:
        assert readings.listed(session, key, portal.world.actor("ref0")) == []
        assert readings.listed(session, key, portal.world.actor("boss")) == []


def test_a_change_is_an_act_of_the_parties_with_a_reason_that_the_journal_proves(portal, secret):
    key, reference = secret
    marked(portal, key, Marks())
    before = len(portal.world.events(key))
    page = f"/dossiers/{reference}/confidentialite"
    visitor = portal.visitor("holder")
    short = visitor.post(page, {"code_name": CODE, "reason": "non"})
    assert (short.status_code, CODE in short.text, "error-reason" in short.text) == (422, True, True)
    wrong = visitor.post(page, {"code_name": "x", "reason": REASON})
    assert (wrong.status_code, "error-code_name" in wrong.text) == (422, True)
    assert len(portal.world.events(key)) == before
    done = visitor.post(page, {"code_name": f"  {CODE} ", "hidden": "1", "reason": REASON})
    assert (done.status_code, done.headers["location"]) == (303, f"/dossiers/{reference}?fait=confidentialite")
    (event,) = portal.world.events(key)[before:]
    assert (event.kind, event.actor.role) == (confidentiality.MARK, "holder")
    assert CODE not in str(event.command)  # a text: erasable, and the chain still verifies
    timeline = unescape(visitor.get(f"/dossiers/{reference}").text)
    assert "La confidentialité du dossier a changé" in timeline
    assert REASON in timeline
    assert visitor.post(page, {"code_name": CODE, "hidden": "1", "reason": REASON}).status_code == 303
    assert len(portal.world.events(key)) == before + 1  # the same again changes nothing
    assert portal.world.problems() == []
    portal.world.tamper("update confidentialities set reserved = true")
    assert [one.proof for one in portal.world.problems()] == ["confidentiality"]
    portal.world.tamper("update confidentialities set reserved = false")
    with portal.world.make.begin() as session, pytest.raises(Refused, match="visible de l'élu"):
        invitations.invite(session, key, portal.world.actor("holder"), mail="maire@x.example", side="elected")


def test_the_marks_of_a_deposit_hold_from_its_first_letter_by_form_and_by_program(portal, secret, tmp_path):
    del secret
    visitor = portal.visitor("holder")
    form = {
        "topic": "eau",
        "commune": "64300",
        "title": TITLE,
        "blockage": BLOCKAGE,
        "code_name": CODE,
        "reserved": "1",
    }
    draft = "/deposer/00000000-0000-4000-8000-0000000000aa"
    wrong = visitor.post(draft, {**form, "code_name": "x"})
    assert (wrong.status_code, 'id="error-code_name"' in wrong.text) == (422, True)
    done = visitor.post(draft, form)
    assert done.status_code == 303, done.text
    asked = {"fields": {name: form[name] for name in ("topic", "commune", "title", "blockage")},
             "confidentiality": {"code_name": CODE, "reserved": True}}  # fmt: skip
    headers = portal.bearer("holder")
    opened = visitor.client.post("/api/v1/dossiers", json=asked, headers=headers)
    assert opened.status_code == 201, opened.text
    references = [done.headers["location"].split("?")[0].rpartition("/")[2], opened.json()["reference"]]
    for reference in references:
        said = visitor.get(f"/api/v1/dossiers/{reference}/confidentiality", headers=headers).json()
        assert (said["code_name"], said["reserved"], said["elected"]) == (CODE, True, True)
        kinds = [
            one.kind
            for one in portal.world.events(
                portal.world.value("select id from dossiers where reference = :r", r=reference)
            )
        ]
        assert kinds == ["submit", confidentiality.MARK]
    lifted = visitor.client.put(
        f"/api/v1/dossiers/{references[1]}/confidentiality", json={"reason": "Le projet est annoncé."}, headers=headers
    )
    assert (lifted.status_code, lifted.json()["code_name"], lifted.json()["reserved"]) == (200, None, False)
    portal.world.react()
    settings = portal.settings.model_copy(update={"mail": f"file:{tmp_path}"})
    while deliver_all(portal.world.make, settings):
        pass
    sent = [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in tmp_path.glob("*.eml")]
    about = [one.get_body(("plain",)).get_content() for one in sent if references[0] in str(one["Subject"])]
    assert about
    assert all(CODE in one and TITLE not in one for one in about)
