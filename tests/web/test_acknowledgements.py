"""The acknowledgements of a request, against dates counted by hand: what they say, and how they reach their reader."""

from __future__ import annotations

import email
import email.policy
import uuid
from datetime import UTC, datetime

import psycopg
import pytest
from typer.testing import CliRunner

from cli import shipped
from cli.main import app
from config import yamltext
from config.settings import Settings
from tasks import deliver
from tests.web.conftest import SITE, Portal
from tests.workflow.conftest import peopled
from tests.workflow.test_typeset import ARABIC, HOSTILE, read
from web.app import create
from workflow import acknowledgements, almanac, schema, texts, typeset

# Submitted on Monday 5 October 2026. Ten jours ouvrés: Monday 19. Two months: Saturday 5 December, not put off. Appeal: two
# months franc are Saturday 6 February 2027, put off to Monday 8.
RECEIPT_BY, IMPLIED, APPEAL = "lundi 19 octobre 2026", "samedi 5 décembre 2026", "lundi 8 février 2027"
TITLE, BLOCKAGE = f"{HOSTILE[:60]} {ARABIC}", f"{HOSTILE}\n{'é' * 1000}"
OPERATOR = "Préfecture d'essai #1"


@pytest.fixture(scope="module")
def portal(postgres, template_database):
    """Give the portal of a module, on the shipped definition, with the shipped calendars and table of rules."""
    name = f"acks_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"create database {name} template {template_database}")
    engine = schema.engine(postgres.url(name), pool_size=5)
    world = peopled(postgres.url(name), engine)
    with world.make.begin() as session:
        almanac.keep_shipped(session)
    definition = yamltext.read(shipped.files()[shipped.OWN]).data
    world.define({**definition, "version": "2"})
    world.sql("update units set mailbox = code || '@admin.example', telephone = '05 59 00 00 0' || right(code, 1)")
    settings = Settings(database_url=postgres.url(name), base_url=SITE, operator=OPERATOR)
    made = Portal(world, create(settings, world.make, lambda: None), settings)
    (made.dossier,) = world.submit(title=TITLE, blockage=BLOCKAGE)
    made.reference = world.row(made.dossier).reference
    world.act(made.dossier, "triage", "ref0", to_unit="u1")
    yield made
    engine.dispose()
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def said(portal, key, seq, operator=OPERATOR):
    """Everything that a letter says, in one line, spaces apart."""
    with portal.world.make() as session:
        found = acknowledgements.letter(session, key, seq, operator=operator)
    assert found is not None
    return found[0], " ".join(words(found[1]))


def words(value):
    if isinstance(value, str):
        yield value
    elif hasattr(value, "__slots__"):
        for name in value.__slots__:
            yield from words(getattr(value, name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from words(one)


def test_the_registration_says_when_it_came_who_was_asked_what_was_sent_and_by_when_the_receipt_follows(portal):
    paper, text = said(portal, portal.dossier, 1)
    assert (paper.kind, paper.name) == ("registration", f"accuse-enregistrement-{portal.reference}-1.pdf")
    for part in ("Accusé d'enregistrement électronique", "Envoi reçu le lundi 5 octobre 2026 à 10 h 00", OPERATOR, TITLE,
                 BLOCKAGE, "Lacq (64300)", "Prénom holder", "Administration 0", "u0@admin.example", "05 59 00 00 00",
                 f"au plus tard le {RECEIPT_BY}", "Le silence gardé sur cette demande ne vaut pas acceptation."):  # fmt: skip
        assert part in text, part
    assert "non officiel" not in text


def test_the_receipt_of_a_request_outside_any_procedure_says_when_it_is_rejected_and_how_to_contest(portal):
    paper, text = said(portal, portal.dossier, 2, operator=None)
    assert paper.kind == "receipt"
    for part in ("Accusé de réception électronique", "Service non officiel", "n'émane pas d'une administration",
                 "Administration 1", "u1@admin.example", "05 59 00 00 01", "décision implicite de rejet",
                 f"à défaut d'une décision expresse, elle sera réputée rejetée le {IMPLIED}", "soit complète",
                 "tribunal administratif", f"au plus tard le {APPEAL}", "CJA R421-1", "CRPA L411-2", "CRPA L232-4"):  # fmt: skip
        assert part in text, part
    assert "acceptation" not in text
    assert BLOCKAGE not in text


@pytest.mark.parametrize("procedure", ["demande_rejet", "coupe_file", None])
def test_what_is_missing_is_listed_with_its_date_and_what_that_does_to_the_rejection(portal, procedure):
    """The request itself too, whether its silence has a clock or follows from having none (CRPA L114-5, al. 3)."""
    world = portal.world
    (key,) = world.submit(**({"procedure": procedure, "received_on": "2026-10-05"} if procedure else {}))
    asked = {"motive": "piece_required", "answer_by": "2026-10-15T16:00:00+00:00", "reason": f"Le plan #2 ] {ARABIC}"}
    world.act(key, "hold", "ref0", **asked)
    world.act(key, "triage", "ref0", to_unit="u1")
    # suspended from the 5th to the 15th: ten days more, Tuesday 15 December; appeal 15 February and one day, Tuesday 16
    for seq, kind in ((2, "pieces"), (3, "receipt")):
        paper, text = said(portal, key, seq)
        assert paper.kind == kind
        for part in (asked["reason"], "À produire au plus tard le jeudi 15 octobre 2026 à 18 h 00", "le délai est suspendu",
                     "réputée rejetée le mardi 15 décembre 2026", "au plus tard le mardi 16 février 2027"):  # fmt: skip
            assert part in text, (seq, part)
    world.act(key, "answer", "holder", reason="Le plan est joint au dossier.")
    world.act(key, "hold", "ref1", **{**asked, "motive": "clarification"})
    with world.make() as session:
        assert [acknowledgements.letter(session, key, seq, operator=None) for seq in (4, 5, 6)] == [None] * 3


def test_the_procedure_that_is_blocked_is_told_apart_from_the_request(portal):
    world = portal.world
    (key,) = world.submit(procedure="permis_de_construire", received_on="2026-09-15", evaluation_environnementale="oui")
    world.act(key, "triage", "ref0", to_unit="u1")
    text = said(portal, key, 2)[1]
    assert f"elle sera réputée rejetée le {IMPLIED}" in text
    apart = text.partition("Pour information : procédure en cause (permis de construire)")[2]
    assert "Il ne remplace pas celui de la procédure en cause." in apart
    assert "Instruction du permis : le silence gardé jusqu'au mardi 15 décembre 2026 vaut rejet" in apart


def test_what_was_erased_is_in_no_letter_made_since(portal):
    (key,) = portal.world.submit(title="Un titre à effacer")
    with portal.world.make.begin() as session:
        texts.erase(session, [uuid.UUID(portal.world.row(key).data["title"]["text"])])
    text = said(portal, key, 1)[1]
    assert "à effacer" not in text
    assert f"Objet {texts.ERASED}" in text


def test_an_acceptance_counts_anew_at_the_next_competent_administration_and_promises_the_attestation(portal):
    world = portal.world
    (key,) = world.submit(procedure="demande_acceptation", received_on="2026-10-05")
    world.act(key, "triage", "ref0", to_unit="u1")
    world.freeze(datetime(2026, 10, 15, 8, 0, tzinfo=UTC))
    world.act(key, "transfer", "ref1", to_unit="u2", reason=world.reason)
    assert "ne vaut pas acceptation" not in said(portal, key, 1)[1]
    for seq, unit, day in (
        (2, "Administration 1", IMPLIED),
        (world.kinds(key).index("transfer") + 1, "Administration 2", "mardi 15 décembre 2026"),
    ):
        text = said(portal, key, seq)[1]
        for part in (unit, "décision implicite d'acceptation", f"elle sera réputée acceptée le {day}", "CRPA L232-3"):
            assert part in text, (seq, part)
        assert "tribunal" not in text


# --- how they reach their reader --------------------------------------------------------------------------------------


def test_the_page_the_api_and_the_command_give_the_same_bytes_to_who_may_read_the_texts(portal, tmp_path, monkeypatch):
    page, name = f"/dossiers/{portal.reference}/accuses/2.pdf", f"accuse-reception-{portal.reference}-2.pdf"
    holder = portal.visitor("holder")
    assert f'href="{page}"' in holder.get(f"/dossiers/{portal.reference}").text
    there = holder.get(page)
    assert there.headers["content-type"] == "application/pdf"
    assert there.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert HOSTILE[:60].replace(" ", "") in read(there.content)[0]

    api = f"/api/v1/dossiers/{portal.reference}/acknowledgements"
    listed = holder.get(api, headers=portal.bearer("holder")).json()["acknowledgements"]
    assert [(one["seq"], one["kind"], one["path"]) for one in listed] == [
        (1, "registration", f"{api}/1"), (2, "receipt", f"{api}/2")
    ]  # fmt: skip
    assert holder.get(f"{api}/2", headers=portal.bearer("ref1")).content == there.content

    monkeypatch.chdir(tmp_path)
    env = {
        "COUPE_FILE_DATABASE_URL": portal.settings.database_url,
        "COUPE_FILE_OPERATOR": OPERATOR,
        "COUPE_FILE_AS": "holder",
    }
    ran = CliRunner(env=env).invoke(app, ["letter", portal.reference, "2"], catch_exceptions=False)
    assert ran.exit_code == 0
    assert (tmp_path / name).read_bytes() == there.content

    for who, status in (("other", 404), ("ref6", 404), ("boss", 403)):
        assert portal.visitor(who).get(page).status_code == status
    assert holder.get(f"{api}/2", headers=portal.bearer("boss")).status_code == 403
    for wrong in ("3", "0", "9" * 30, "x"):
        assert holder.get(f"/dossiers/{portal.reference}/accuses/{wrong}.pdf").status_code == 404
    assert holder.get(f"{api}/3", headers=portal.bearer("holder")).status_code == 404


def sent(portal, folder):
    """The letters of submission that leave to the holder, by the name of their file."""
    portal.world.sql("update notices set next_at = clock_timestamp() where state = 'queued'")
    settings = Settings(mail=f"file:{folder}", base_url=SITE, operator=OPERATOR)
    while deliver.deliver_all(portal.world.make, settings):
        pass
    found = {path.name: path.read_bytes() for path in folder.glob("*.eml")}
    return {name: raw for name, raw in found.items() if b"holder@x.example" in raw}


def test_it_leaves_with_the_mail_of_its_event_and_a_repeat_is_the_same_byte_for_byte(portal, tmp_path):
    portal.world.react()
    portal.world.sql("update notices set state = 'void', why = 'essai' where state = 'queued'")
    portal.world.sql(
        "update notices set state = 'queued', why = null where dossier_id = :id and seq = 1", id=portal.dossier
    )
    first = sent(portal, tmp_path)
    portal.world.sql("update notices set state = 'queued', sent_at = null, sent_to = null where dossier_id = :id and seq = 1",
                     id=portal.dossier)  # fmt: skip
    assert sent(portal, tmp_path) == first
    ((name, raw),) = first.items()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["Message-ID"].startswith(f"<{name.removesuffix('.eml')}@")
    (enclosed,) = message.iter_attachments()
    assert enclosed.get_filename() == f"accuse-enregistrement-{portal.reference}-1.pdf"
    there = portal.visitor("holder").get(f"/dossiers/{portal.reference}/accuses/1.pdf")
    assert enclosed.get_content() == there.content
    assert "Pièce jointe : Accusé d'enregistrement électronique (PDF)." in message.get_body(("plain",)).get_content()


def test_a_letter_that_cannot_be_made_holds_no_mail_back_and_is_told(portal, tmp_path, monkeypatch, capsys):
    def broken(_):
        raise typeset.NotTypeset("typst : en panne")

    (key,) = portal.world.submit()
    portal.world.react()
    portal.world.sql(
        "update notices set state = 'void', why = 'essai' where state = 'queued' and dossier_id <> :id", id=key
    )
    monkeypatch.setattr(typeset, "pdf", broken)
    ((_, raw),) = sent(portal, tmp_path).items()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert list(message.iter_attachments()) == []
    assert "se télécharge sur la page du dossier" in message.get_body(("plain",)).get_content()
    ((state, why),) = portal.world.sql(
        "select state, why from notices where dossier_id = :id and target = 'holder'", id=key
    )
    assert state == "sent"
    assert "sans son accusé en PDF" in why
    assert "en panne" in why


def test_a_trial_on_the_console_prints_the_words_and_names_what_goes_with_them(portal, capsys):
    (key,) = portal.world.submit()
    portal.world.react()
    portal.world.sql(
        "update notices set state = 'void', why = 'essai' where state = 'queued' and dossier_id <> :id", id=key
    )
    deliver.deliver_all(portal.world.make, Settings(mail="console", base_url=SITE))
    printed = capsys.readouterr().out
    assert f"--- Pièce jointe : accuse-enregistrement-{portal.world.row(key).reference}-1.pdf" in printed
    assert "Le dossier a été déposé le " in printed
