"""The two members of a binôme: invited by mail, let in once, with equal rights; and what a hostile link is answered."""

from __future__ import annotations

import email
import email.policy
import re
from html import unescape

import pytest

from states.errors import Refused
from tasks.deliver import deliver_all
from tests.web.conftest import BLOCKAGE, SITE, TITLE, hidden
from tests.workflow.conftest import together
from workflow import definitions, installation, invitations, parties, whatif


@pytest.fixture
def dossier(portal):
    """Give a dossier of its own, and its reference; nobody has tried anything."""
    portal.world.sql("delete from attempts")
    (key,) = portal.world.submit(title=TITLE, blockage=BLOCKAGE)
    return key, portal.world.row(key).reference


def letters(portal, folder):
    """What leaves now: (to, subject, text) by kind of letter."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.eml"):
        old.unlink()
    portal.world.react()
    settings = portal.settings.model_copy(update={"mail": f"file:{folder}"})
    while deliver_all(portal.world.make, settings):
        pass
    found = [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in folder.glob("*.eml")]
    return [(str(one["To"]), str(one["Subject"]), one.get_body(("plain",)).get_content()) for one in found]


def invited(portal, dossier, mail, tmp_path, by="holder"):
    """Invite by the page; the path of the link that was sent."""
    answer = portal.visitor(by).post(f"/dossiers/{dossier[1]}/inviter", {"mail": mail, "side": "elected"})
    assert answer.status_code == 303
    return link(letters(portal, tmp_path), mail)


def link(sent, mail):
    (body,) = [body for to, subject, body in sent if mail in to and subject.startswith("Invitation")]
    (path,) = re.findall(rf"{SITE}(/invitation/\S+)", body)
    assert TITLE not in body
    return path


def accept(portal, path, visitor=None, **fields):
    visitor = visitor or portal.visitor()
    page = visitor.get(path)
    before = hidden(page.text, "before") if 'name="before"' in page.text else ""
    return visitor, visitor.post(path, {"before": before, **fields})


def shown(portal, dossier, who="holder"):
    return unescape(portal.visitor(who).get(f"/dossiers/{dossier[1]}").text)


def test_who_has_no_account_is_let_in_by_the_link_with_the_same_rights_and_all_of_it_is_in_the_journal(
    portal, dossier, tmp_path
):
    key, ref = dossier
    path = invited(portal, dossier, "Maire@lacq.example", tmp_path)
    secret = path.rsplit("/", 1)[1]
    assert secret not in str(portal.world.sql("select * from invitations"))
    assert "en attente" in shown(portal, dossier)
    visitor = portal.visitor()
    for _ in range(2):  # what reads mail opens links too
        page = visitor.get(path)
        assert page.status_code == 200
        assert "Prénom holder" in page.text
        assert TITLE not in unescape(page.text)
    _, nameless = accept(portal, path, visitor, name=" ")
    assert nameless.status_code == 422
    _, answer = accept(portal, path, visitor, name="Maryse  Élue")
    assert answer.status_code == 303
    page = visitor.get(answer.headers["location"])
    assert page.status_code == 200
    assert TITLE in unescape(page.text)
    assert ref in visitor.get("/dossiers").text
    visitor.csrf = hidden(page.text, "csrf")
    assert visitor.post(f"/dossiers/{ref}/agir/write", {"message": "Je suis là."}).status_code == 303
    assert "acceptée" in shown(portal, dossier)
    assert "Maryse Élue" in shown(portal, dossier, "ref0")
    kinds = portal.world.kinds(key)
    assert kinds == ["submit", parties.INVITE, parties.JOIN, "write"]
    assert portal.world.row(key).version == portal.world.events(key)[0].effect["version"]
    assert "lacq.example" not in str(portal.world.sql("select command, facts, effect from events"))
    told = [to for to, subject, _ in letters(portal, tmp_path) if "porte désormais" in subject]
    assert told == ["Prénom holder <holder@x.example>"]
    queued = portal.world.value(
        "select count(*) from notices where state in ('queued', 'dead') and dossier_id = :key", key=key
    )
    assert queued == 0
    assert portal.world.sound()


def test_a_link_that_was_used_is_over_taken_back_or_unknown_is_answered_in_plain_words_and_lets_nobody_in(
    portal, dossier, tmp_path
):
    key, ref = dossier
    path = invited(portal, dossier, "a@lacq.example", tmp_path)
    portal.world.sql(
        "update invitations set ends_at = clock_timestamp() - interval '1 second' where dossier_id = :key", key=key
    )
    late = portal.visitor().get(path)
    assert late.status_code == 410
    assert "n'est plus valable" in unescape(late.text)
    assert "périmée" in shown(portal, dossier)
    (number,) = [one.id for one in listed(portal, key)]
    holder = portal.visitor("holder")
    assert holder.post(f"/dossiers/{ref}/invitations/{number}/renvoi").status_code == 303
    again = link(letters(portal, tmp_path), "a@lacq.example")
    assert again != path
    assert portal.visitor().get(path).status_code == 410
    assert holder.post(f"/dossiers/{ref}/invitations/{number}/renvoi").status_code == 409
    before = portal.world.value("select count(*) from persons")
    assert accept(portal, again, name="Anne A")[1].status_code == 303
    visitor, replayed = accept(portal, again, name="Anne B")
    assert replayed.status_code in (403, 410)
    assert "déjà servi" in unescape(visitor.get(again).text)
    assert portal.world.value("select count(*) from persons") == before + 1
    second = invited(portal, dossier, "b@lacq.example", tmp_path)
    number = listed(portal, key)[-1].id
    assert holder.post(f"/dossiers/{ref}/invitations/{number}/fin").status_code == 303
    assert holder.post(f"/dossiers/{ref}/invitations/{number}/fin").status_code == 303
    assert "invitation a été reprise" in unescape(portal.visitor().get(second).text)
    assert portal.visitor().get("/invitation/" + "x" * 43).status_code == 410
    assert portal.world.kinds(key).count(parties.TAKE_BACK) == 1
    assert portal.world.sound()


def listed(portal, key):
    with portal.world.make() as session:
        return invitations.listed(session, key, portal.world.actor("holder"))


def test_the_link_of_somebody_else_is_refused_to_who_is_signed_in_and_good_for_who_it_was_sent_to(
    portal, dossier, tmp_path
):
    key, _ = dossier
    path = invited(portal, dossier, "OTHER@x.example", tmp_path)
    for who in ("holder", "ref6", "boss"):
        visitor = portal.visitor(who)
        page = visitor.get(path)
        assert page.status_code == 409
        assert "autre adresse" in unescape(page.text)
        assert "x.example" not in page.text
        assert visitor.post(path).status_code == 409
    assert portal.visitor().post(path, {"before": "x"}).status_code == 403
    assert portal.world.value("select count(*) from parties where dossier_id = :key", key=key) == 1
    other = portal.visitor("other")
    assert other.post(path, {"csrf": "x"}).status_code == 403
    answer = other.post(path)
    assert answer.status_code == 303
    assert other.get(answer.headers["location"]).status_code == 200
    again = portal.visitor("holder").post(
        f"/dossiers/{dossier[1]}/inviter", {"mail": "other@x.example", "side": "company"}
    )
    assert again.status_code == 409
    assert "porte déjà le dossier" in unescape(again.text)
    assert portal.world.sound()


def test_two_who_open_one_link_at_once_are_one_party(portal, dossier, tmp_path):
    key, _ = dossier
    secret = invited(portal, dossier, "deux@lacq.example", tmp_path).rsplit("/", 1)[1]

    def come():
        with portal.world.make.begin() as session:
            return invitations.accept(session, secret, None, name="Deux Fois")

    found = together(come, come)
    refused = [one for one in found if isinstance(one, Refused)]
    assert [one.code for one in refused] == ["used"]
    assert portal.world.value("select count(*) from parties where dossier_id = :key", key=key) == 2
    assert portal.world.sound()


def test_a_party_leaves_and_is_told_of_nothing_more_and_the_last_one_stays(portal, dossier, tmp_path):
    key, ref = dossier
    alone = portal.visitor("holder").post(f"/dossiers/{ref}/quitter")
    assert alone.status_code == 409
    accept(portal, invited(portal, dossier, "other@x.example", tmp_path))
    letters(portal, tmp_path)
    other = portal.visitor("other")
    assert other.post(f"/dossiers/{ref}/quitter").headers["location"] == "/dossiers"
    assert other.get(f"/dossiers/{ref}").status_code == 404
    told = [to for to, subject, _ in letters(portal, tmp_path) if "ne porte plus" in subject]
    assert told == ["Prénom holder <holder@x.example>"]
    portal.world.act(key, "message", "ref0", message="Où en êtes-vous ?")
    assert {to for to, _, _ in letters(portal, tmp_path)} == {"Prénom holder <holder@x.example>"}
    assert portal.world.kinds(key)[-2:] == [parties.LEAVE, "message"]
    assert portal.world.sound()
    portal.world.sql("insert into parties select :key, id from persons where login = 'other'", key=key)
    assert [one.proof for one in portal.world.problems()] == ["parties"]
    portal.world.sql(
        "delete from parties where dossier_id = :key and person_id <> (select id from persons where login = 'holder')",
        key=key,
    )


def test_an_event_of_a_party_comes_after_what_time_has_made_true_and_hides_no_answer_from_the_desk(
    portal, dossier, tmp_path
):
    key, ref = dossier
    portal.world.act(key, "write", "holder", message="Nous attendons.")
    due = portal.world.row(key).due_at
    portal.world.jump(days=30)
    invited(portal, dossier, "tard@lacq.example", tmp_path)
    events = portal.world.events(key)
    assert [one.kind for one in events[2:]][-1] == parties.INVITE
    assert "clock.breach" in [one.kind for one in events]
    assert due is not None
    desk = unescape(portal.visitor("ref0").get("/demi-heure").text)
    assert "le porteur a écrit" in desk[desk.index(ref) :][:1500]
    assert portal.world.sound()


def test_the_api_invites_lists_takes_back_and_leaves_as_the_pages_do(portal, dossier):
    _, ref = dossier
    client, bearer = portal.visitor().client, portal.bearer("holder")
    path = f"/api/v1/dossiers/{ref}/invitations"
    wrong = client.post(path, headers=bearer, json={"mail": "pas une adresse", "side": "elected"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "mail")
    made = [client.post(path, headers=bearer, json={"mail": "api@lacq.example", "side": "company"}) for _ in range(2)]
    assert [one.status_code for one in made] == [201, 201]
    assert [one.json()["repeated"] for one in made] == [False, True]
    number = made[0].json()["id"]
    said = client.get(path, headers=bearer).json()
    assert said["parties"] == ["Prénom holder"]
    assert [(one["id"], one["status"]) for one in said["invitations"]] == [(number, "sending")]
    assert client.delete(f"{path}/{number}", headers=bearer).json()["status"] == "withdrawn"
    assert client.post(f"{path}/{number}/again", headers=bearer).status_code == 409
    for who, status in (("other", 404), ("ref0", 403), ("boss", 403)):
        asked = client.post(path, headers=portal.bearer(who), json={"mail": "x@lacq.example", "side": "company"})
        assert asked.status_code == status, who
    assert client.delete(f"/api/v1/dossiers/{ref}/parties/me", headers=bearer).status_code == 409


def test_another_blockage_of_the_project_is_filled_with_what_is_known_and_both_are_seen_together(
    portal, dossier, tmp_path
):
    _, ref = dossier
    accept(portal, invited(portal, dossier, "other@x.example", tmp_path))
    holder = portal.visitor("holder")
    assert "Vos blocages liés (0)" in shown(portal, dossier)
    where = holder.post(f"/dossiers/{ref}/autre").headers["location"]
    form = unescape(holder.get(where).text)
    assert ref in form
    assert 'name="commune" value="64300"' in form
    assert "Prénom other" in form
    assert TITLE not in form
    fields = {
        "source": ref,
        "commune": "64300",
        "topic": "eau",
        "title": "Deuxième blocage",
        "blockage": "Le permis n'arrive pas.",
    }
    stranger = portal.visitor("other")
    stolen = {**fields, "source": portal.reference}  # a dossier that is not theirs
    assert stranger.post("/deposer/11111111-0000-4000-8000-000000000001", stolen).status_code == 404
    alone = holder.post(where, fields).headers["location"].partition("?")[0]
    third = holder.post(f"/dossiers/{ref}/autre").headers["location"]
    shared = {**fields, "title": "Troisième blocage", "source": alone.rsplit("/", 1)[1], "together": "1"}
    holder.post(third, {**shared, "source": ref})
    page = shown(portal, dossier)
    assert "Vos blocages liés (2)" in page
    assert "Deuxième blocage" in page
    theirs = shown(portal, dossier, "other")
    assert "Vos blocages liés (1)" in theirs
    assert "Deuxième blocage" not in theirs
    assert "Blocages du même projet (2)" in shown(portal, dossier, "ref0")
    steering = shown(portal, dossier, "boss")
    assert "Blocages du même projet (2)" in steering
    assert "Troisième blocage" not in steering
    said = portal.visitor().client.get(f"/api/v1/dossiers/{ref}/linked", headers=portal.bearer("other")).json()
    assert [one["title"] for one in said["linked"]] == ["Troisième blocage"]
    portal.world.submit(by="other", project=portal.reference)  # a name alone links nobody's dossiers
    assert "Vos blocages liés (0)" in shown(portal, (portal.dossier, portal.reference))


def test_an_agent_invited_as_an_elected_official_has_two_seats_and_each_sees_its_own(portal, dossier, tmp_path):
    key, ref = dossier
    path = invited(portal, dossier, "ref6@x.example", tmp_path)
    agent = portal.visitor("ref6")
    assert agent.get(f"/dossiers/{ref}").status_code == 404
    assert agent.post(path).headers["location"] == "/connexion/siege"
    page = agent.get("/connexion/siege").text
    agent.csrf = hidden(page, "csrf")
    agent.post("/connexion/siege", {"seat": "1"})
    assert agent.get(f"/dossiers/{ref}").status_code == 200
    assert portal.visitor("ref6:referent").get(f"/dossiers/{ref}").status_code == 404
    portal.world.act(key, "note", "ref0", note="Entre nous seulement.")
    assert "Entre nous seulement." not in unescape(agent.get(f"/dossiers/{ref}").text)
    assert portal.world.sound()


def test_an_address_that_is_closed_or_of_several_lets_nobody_in_by_its_link_alone(portal, dossier, tmp_path):
    path = invited(portal, dossier, "ref4@x.example", tmp_path)
    person = portal.world.actor("ref4").person
    portal.world.sql("insert into accounts (person_id, closed_at) values (:key, clock_timestamp())", key=person)
    closed = portal.visitor().get(path)
    assert closed.status_code == 410
    assert "est fermé" in unescape(closed.text)
    portal.world.sql("update accounts set closed_at = null where person_id = :key", key=person)
    portal.world.sql("update persons set mail = 'Ref4@x.example' where login = 'ref5'")
    several = portal.visitor().get(path)
    assert several.status_code == 409
    assert "Plusieurs comptes" in unescape(several.text)
    assert portal.visitor("ref5").get(path).status_code == 200


def test_a_letter_that_cannot_leave_is_said_to_the_party_and_a_held_one_waits(portal, dossier, tmp_path):
    key, ref = dossier
    portal.visitor("holder").post(f"/dossiers/{ref}/inviter", {"mail": "a@lacq.example", "side": "company"})
    portal.world.sql("update notices set state = 'void', why = 'essai' where state = 'queued'")
    broken = portal.settings.model_copy(update={"mail": "smtp://127.0.0.1:1"})
    with portal.world.make.begin() as session:
        installation.hold(session, "essai")
    assert deliver_all(portal.world.make, broken) == 0
    with portal.world.make.begin() as session:
        installation.release(session)
    for _ in range(20):
        portal.world.sql("update invitations set next_at = clock_timestamp() where dossier_id = :key", key=key)
        if not deliver_all(portal.world.make, broken):
            break
    (one,) = listed(portal, key)
    assert (one.became, one.again) == ("undelivered", True)
    assert "n'a pas pu partir" in shown(portal, dossier)
    portal.visitor("holder").post(f"/dossiers/{ref}/invitations/{one.id}/renvoi")
    assert link(letters(portal, tmp_path), "a@lacq.example")


def test_what_parties_do_is_no_act_that_a_what_if_would_refuse(portal, dossier, tmp_path):
    accept(portal, invited(portal, dossier, "other@x.example", tmp_path))
    with portal.world.make() as session:
        compiled = definitions.for_submission(session, "coupe-file", portal.world.now()).compiled
    assert {kind for kind, _ in whatif.run(portal.world.make, compiled).refused} & set(parties.KINDS) == set()
