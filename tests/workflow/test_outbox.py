"""What leaves the building: each letter at least once under one message id, to who is there, whatever one of them does to the relay."""

import contextlib
import email
import email.policy
import socket
from collections import Counter
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller

from config.settings import Settings
from states.errors import Refused
from tasks.deliver import deliver_all
from workflow import outbox


@pytest.fixture
def submitted(world):
    """Give a world with one dossier and its two notices: the holder and the unit u0."""
    world.submit()
    world.react()
    return world


def claim(world, limit=100):
    with world.make.begin() as session:
        return outbox.claim(session, limit=limit)


def expire(world):
    """The leases and the waits are over."""
    world.sql("update notices set next_at = clock_timestamp() where state = 'queued'")


def deliver(world, mail, rounds=1):
    """Deliver until nothing is to be sent now; with more rounds, once the waits are over, and over."""
    for _ in range(rounds):
        expire(world)
        while deliver_all(world.make, Settings(mail=mail, mail_from="coupe-file@admin.example")):
            pass


def states(world):
    return dict(world.sql("select target, state from notices order by id"))


# --- lease, void, dead, requeue ---------------------------------------------------------------------------------------


def test_a_notice_under_lease_is_taken_by_nobody_else(submitted):
    assert len(claim(submitted)) == 2
    assert claim(submitted) == []
    wait = submitted.value("select min(next_at) - clock_timestamp() from notices")
    assert timedelta(seconds=50) < wait <= outbox.LEASE


def test_a_notice_whose_sender_died_is_sent_again_under_the_same_message_id(submitted):
    first = claim(submitted)
    expire(submitted)
    second = claim(submitted)
    assert [one.message_id for one in first] == [one.message_id for one in second]
    assert [one.attempts for one in first + second] == [1, 1, 2, 2]


def test_several_senders_at_once_never_take_the_same_notice(world, together):
    world.submit(100)
    world.react()
    taken = together(*[lambda: claim(world, 30)] * 8)
    counts = Counter(one.id for part in taken for one in part)
    counts.update(one.id for one in claim(world, 500))
    assert len(counts) == 200
    assert set(counts.values()) == {1}


def test_a_reminder_whose_cause_is_gone_is_void_and_says_why(world, tmp_path):
    (key,) = world.submit()
    world.jump(days=1, seconds=1)
    world.sweep()
    world.react()
    world.act(key, "triage", to_unit="u1")
    deliver(world, f"file:{tmp_path}")
    rows = world.sql("select state, why from notices where cause ->> 'kind' = 'clock.remind'")
    assert rows == [("void", "l'échéance rappelée n'a plus cours")]
    assert len(list(tmp_path.glob("*.eml"))) == 2


def test_a_reminder_of_a_clock_on_pause_is_void(world, tmp_path):
    (key,) = world.submit()
    world.jump(days=1, seconds=1)
    world.sweep()
    world.react()
    world.act(key, "hold", motive="clarification", answer_by=world.now() + timedelta(days=2), reason=world.reason)
    deliver(world, f"file:{tmp_path}")
    assert world.sql("select state, why from notices where cause ->> 'kind' = 'clock.remind'") == [
        ("void", "l'horloge est suspendue")
    ]


def test_a_notice_that_was_held_or_void_or_dead_is_sent_when_an_operator_asks_and_keeps_its_message_id(
    submitted, tmp_path
):
    before = submitted.value("select message_id from notices where id = 1")
    for state in ("held", "void", "dead"):
        submitted.sql(
            "update notices set state = :state, sent_at = null, attempts = 8, why = 'x' where id = 1", state=state
        )
        with submitted.make.begin() as session:
            assert outbox.change(session, [1], "requeue") == [1]
        assert submitted.sql("select state, attempts, why, message_id from notices where id = 1") == [
            ("queued", 0, None, before)
        ]
    deliver(submitted, f"file:{tmp_path}")
    with submitted.make() as session:
        for key, words in ((1, "envoyé"), (999, "inconnu")):
            with pytest.raises(Refused, match=words):
                outbox.change(session, [key], "requeue")
    assert (tmp_path / f"{before}.eml").exists()


def test_a_notice_held_leaves_nothing_until_it_is_released(submitted, tmp_path):
    submitted.sql("update notices set state = 'held'")
    deliver(submitted, f"file:{tmp_path}")
    assert list(tmp_path.glob("*.eml")) == []


def test_a_letter_sent_and_not_marked_is_sent_again_and_never_a_third_time(submitted, tmp_path, monkeypatch):
    def crash(*_):
        message = "tué entre l'envoi et la marque"
        raise KeyboardInterrupt(message)

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "sent", crash)
        with contextlib.suppress(KeyboardInterrupt):
            deliver(submitted, f"file:{tmp_path}")
    (first,) = tmp_path.glob("*.eml")
    deliver(submitted, f"file:{tmp_path}", rounds=3)
    assert first in set(tmp_path.glob("*.eml"))
    assert len(list(tmp_path.glob("*.eml"))) == 2
    assert set(states(submitted).values()) == {"sent"}
    assert submitted.sql("select attempts from notices order by id") == [(2,), (2,)]


# --- who is there -----------------------------------------------------------------------------------------------------


def sent_to(world, target):
    return world.value("select sent_to from notices where target = :target", target=target)


def test_each_seat_goes_to_who_sits_there_when_the_letter_leaves(submitted, tmp_path):
    submitted.sql("update memberships set valid_to = :at where person_id = 3", at=submitted.start + timedelta(hours=1))
    submitted.sql("insert into persons (login, name, mail) values ('new', 'Nouvelle', 'nouvelle@x.example')")
    submitted.sql(
        "insert into memberships (person_id, unit_id, role, valid_from) select id, 1, 'referent', :at from persons where login = 'new'",
        at=submitted.start + timedelta(hours=1),
    )
    submitted.jump(hours=2)
    deliver(submitted, f"file:{tmp_path}")
    assert sent_to(submitted, "holder") == "holder@x.example"
    assert sent_to(submitted, "unit:1") == "nouvelle@x.example"


def test_a_letter_to_a_unit_without_a_referent_goes_to_the_rest_of_the_unit(submitted, tmp_path):
    submitted.sql("update memberships set valid_to = :at where person_id = 3", at=submitted.start)
    deliver(submitted, f"file:{tmp_path}")
    assert sent_to(submitted, "unit:1") == "head0@x.example"


def test_a_letter_to_a_unit_where_nobody_is_left_goes_to_its_mailbox(submitted, tmp_path):
    submitted.sql("update memberships set valid_to = :at where unit_id = 1", at=submitted.start)
    submitted.sql("update units set mailbox = 'guichet@x.example' where id = 1")
    deliver(submitted, f"file:{tmp_path}")
    assert sent_to(submitted, "unit:1") == "guichet@x.example"


def test_a_letter_that_nobody_can_receive_is_tried_again_later_and_later_then_dead_with_its_reason(submitted, tmp_path):
    submitted.sql("update memberships set valid_to = :at where unit_id = 1", at=submitted.start)
    waits = []
    for _ in range(outbox.ATTEMPTS):
        deliver(submitted, f"file:{tmp_path}")
        waits.append(
            submitted.value(
                "select extract(epoch from next_at - clock_timestamp()) from notices where target = 'unit:1'"
            )
        )
    assert [round(wait / 30) for wait in waits[:4]] == [1, 2, 4, 8]
    ((state, why, attempts),) = submitted.sql("select state, why, attempts from notices where target = 'unit:1'")
    assert (state, attempts) == ("dead", outbox.ATTEMPTS)
    assert "personne" in why
    assert "unit:1" in why
    assert states(submitted)["holder"] == "sent"


def test_an_assignee_who_has_left_is_replaced_by_the_unit(world, tmp_path):
    key = world.triaged()
    world.act(key, "assign", "ref1", to_user="ref1")
    world.react()
    world.sql("update memberships set valid_to = :at where person_id = 4", at=world.start)
    world.sql("insert into memberships (person_id, unit_id, role) values (9, 2, 'head')")
    deliver(world, f"file:{tmp_path}")
    assert sent_to(world, "assignee:2:4") == "ref6@x.example"


def test_every_party_of_a_dossier_is_told_and_nobody_else(world, tmp_path):
    (key,) = world.submit()
    world.sql("insert into parties (dossier_id, person_id) values (:key, 2)", key=key)
    world.submit(by="other")
    world.react()
    deliver(world, f"file:{tmp_path}")
    assert world.sql("select dossier_id, sent_to from notices where target = 'holder' order by 1") == [
        (1, "holder@x.example, other@x.example"), (2, "other@x.example"),
    ]  # fmt: skip


# --- a real SMTP server -----------------------------------------------------------------------------------------------


class Post:
    """A mail server of the test's own: what it took, and whom it refuses or hangs up on."""

    def __init__(self):
        self.taken = []
        self.refuses = set()
        self.hangs_up_on = set()
        self.address = ""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802  (aiosmtpd's name)
        if address in self.refuses:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  (aiosmtpd's name)
        if self.hangs_up_on & set(envelope.rcpt_tos):
            server.transport.close()
            return "421 gone"
        self.taken.append(
            (tuple(envelope.rcpt_tos), email.message_from_bytes(envelope.content, policy=email.policy.default))
        )
        return "250 OK"

    def to(self, address):
        return [message for recipients, message in self.taken if address in recipients]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def post():
    """Give a running mail server."""
    handler = Post()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    handler.address = f"smtp://127.0.0.1:{controller.port}"
    yield handler
    controller.stop()


def test_letters_arrive_in_french_at_the_right_seats(submitted, post):
    deliver(submitted, post.address)
    assert sorted(recipients for recipients, _ in post.taken) == [("holder@x.example",), ("ref0@x.example",)]
    (letter,) = post.to("holder@x.example")
    assert letter["Subject"] == "Dossier 64-0001 : dossier déposé"
    assert letter["From"] == "coupe-file@admin.example"
    assert [(address.display_name, address.addr_spec) for address in letter["To"].addresses] == [
        ("Prénom holder", "holder@x.example")
    ]
    assert letter["Message-ID"] == f"<{submitted.value('select message_id from notices where id = 1')}@admin.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    body = letter.get_content()
    assert "Le dossier a été déposé le lundi 5 octobre 2026 à 10 h 00." in body
    assert "Dossier : 64-0001 – Pompage à Lacq" in body
    assert "La balle est chez : Administration 0 (Guichet du territoire)" in body
    assert "Prochaine échéance : mercredi 7 octobre 2026 à 10 h 00" in body
    assert set(states(submitted).values()) == {"sent"}
    deliver(submitted, post.address)
    assert len(post.taken) == 2


def test_a_whole_life_by_mail_names_no_text_that_its_reader_may_not_read_and_each_letter_has_its_own_id(world, post):
    key = world.triaged()
    world.jump(days=15)
    world.sweep()
    world.act(
        key, "hold", "ref2", motive="piece_required", answer_by=world.now() + timedelta(days=3), reason=world.reason
    )
    world.act(key, "answer", "holder", reason="La pièce est jointe, avec le plan.")
    world.resolve(key, "ref2")
    world.react()
    deliver(world, post.address)
    assert (
        len({message["Message-ID"] for _, message in post.taken})
        == len(post.taken)
        == world.value("select count(*) from notices")
    )
    for _, message in post.taken:
        assert world.reason not in message.get_content()
        assert world.statement not in message.get_content()
    subjects = [message["Subject"] for message in post.to("holder@x.example")]
    assert subjects[-1] == "Dossier 64-0001 : dossier résolu"
    assert "Dossier 64-0001 : un échelon supérieur est saisi" in subjects


ATTACKS = {
    "a name": "update persons set name = E'Zoé\\r\\nBcc: victime@y.example\\r\\n\\r\\nAchetez' where id = 1",
    "a name that closes its quotes": """update persons set name = '", victime@y.example, "Zoé' where id = 1""",
    "a title": "update texts set body = E'Titre\\r\\nBcc: victime@y.example\\r\\n.\\r\\nMAIL FROM:<x@y.example>' where field = 'title'",
    "a unit": "update units set name = E'Guichet\\r\\nBcc: victime@y.example' where id = 1",
    "a reference": "update dossiers set reference = E'64-1\\r\\nBcc: victime@y.example'",
    "an address": "update persons set mail = E'holder@x.example\\r\\nBcc: victime@y.example' where id = 1",
    "an address of two": "update persons set mail = 'holder@x.example, victime@y.example' where id = 1",
}


@pytest.mark.parametrize("where", ATTACKS)
def test_a_header_hidden_in_data_reaches_no_victim_and_stops_no_other_letter(submitted, post, where):
    submitted.sql(ATTACKS[where])
    deliver(submitted, post.address, rounds=2)
    assert len(post.to("ref0@x.example")) == 1
    for recipients, message in post.taken:
        assert "victime@y.example" not in recipients
        assert "Bcc" not in message
        assert message["From"] == "coupe-file@admin.example"
    if "address" not in where:
        assert len(post.to("holder@x.example")) == 1


SPOILED = {
    "a zone that no clock knows": "update units set zone = 'Mars/Phobos' where id = 1",
    "an address that is none": "update persons set mail = 'pas une adresse' where id = 1",
    "an empty address": "update persons set mail = '' where id = 1",
    "an address with an accent": "update persons set mail = 'zoé@x.example' where id = 1",
    "a name of two thousand signs": "update persons set name = repeat('é', 2000) where id = 1",
    "a cause without its kind": "update notices set cause = '{}' where target = 'holder' and dossier_id = 1",
    "a target that is no seat": "update notices set target = 'unit:douze' where target = 'holder' and dossier_id = 1",
    "a dossier that is gone": "update notices set dossier_id = 999 where target = 'holder' and dossier_id = 1",
}


@pytest.mark.parametrize("what", SPOILED)
def test_one_letter_that_cannot_be_written_stops_no_other(world, post, what):
    world.submit()
    world.submit(by="other")
    world.react()
    world.tamper(SPOILED[what])
    if "zone" in what:
        world.act(2, "triage", to_unit="u1")
    for _ in range(2):
        with contextlib.suppress(Exception):  # what matters is what became of the others
            deliver(world, post.address)
    assert len(post.to("other@x.example")) == 1


def test_a_refused_recipient_is_noted_and_the_other_letters_go_on(submitted, post):
    post.refuses.add("holder@x.example")
    deliver(submitted, post.address)
    assert len(post.to("ref0@x.example")) == 1
    assert states(submitted) == {"holder": "queued", "unit:1": "sent"}
    assert "no such mailbox" in submitted.value("select why from notices where target = 'holder'")
    deliver(submitted, post.address, rounds=outbox.ATTEMPTS)
    assert states(submitted) == {"holder": "dead", "unit:1": "sent"}
    assert len(post.taken) == 1


def test_of_two_recipients_the_one_who_was_refused_is_not_noted_as_told(world, post):
    (key,) = world.submit()
    world.sql("insert into parties (dossier_id, person_id) values (:key, 2)", key=key)
    world.react()
    post.refuses.add("other@x.example")
    deliver(world, post.address)
    assert len(post.to("holder@x.example")) == 1
    assert "other@x.example" not in (sent_to(world, "holder") or "")
    assert "no such mailbox" in (world.value("select why from notices where target = 'holder'") or "")


@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_server_that_hangs_up_on_one_letter_gets_the_others_all_the_same(world, post, position):
    keys = world.submit(3)
    world.sql("insert into persons (login, name, mail) values ('x', 'X', 'fatal@x.example')")
    world.sql(
        "update parties set person_id = (select id from persons where login = 'x') where dossier_id = :key",
        key=keys[position - 1],
    )
    world.react()
    post.hangs_up_on.add("fatal@x.example")
    deliver(world, post.address, rounds=3)
    assert len(post.to("ref0@x.example")) == 3
    assert len(post.to("holder@x.example")) == 2
    assert Counter(world.sql("select state from notices")) == {("sent",): 5, ("queued",): 1}


def test_a_letter_already_sent_carries_no_reason_of_a_later_failure(world, post):
    keys = world.submit(2)
    world.sql("update parties set person_id = 2 where dossier_id = :key", key=keys[1])
    world.react()
    post.hangs_up_on.add("other@x.example")
    deliver(world, post.address)
    assert set(world.sql("select why from notices where state = 'sent'")) <= {(None,)}


def test_while_the_relay_is_down_every_letter_waits_with_the_reason_and_leaves_when_it_is_back(submitted, post):
    deliver(submitted, f"smtp://127.0.0.1:{free_port()}")
    rows = submitted.sql("select state, attempts, why from notices")
    assert [(row.state, row.attempts) for row in rows] == [("queued", 1)] * 2
    assert all("relais" in row.why for row in rows)
    assert claim(submitted) == []
    deliver(submitted, post.address)
    assert set(states(submitted).values()) == {"sent"}
    assert submitted.sql("select distinct why from notices") == [(None,)]


def test_an_outage_of_the_relay_for_a_day_kills_no_letter(submitted, post):
    nobody = f"smtp://127.0.0.1:{free_port()}"
    waited = 0.0
    while waited < 86_400 and "queued" in states(submitted).values():
        deliver(submitted, nobody)
        waited += float(submitted.value("select extract(epoch from max(next_at) - clock_timestamp()) from notices"))
    deliver(submitted, post.address)
    assert set(states(submitted).values()) == {"sent"}


# --- the other channels -----------------------------------------------------------------------------------------------


def test_the_console_shows_a_letter_as_its_reader_would_see_it(submitted, capsys):
    deliver(submitted, "console")
    shown = capsys.readouterr().out
    assert "Prénom holder" in shown
    assert "--- Objet : Dossier 64-0001 : dossier déposé" in shown
    assert "Dossier : 64-0001 – Pompage à Lacq" in shown
    assert set(states(submitted).values()) == {"sent"}


def test_the_folder_holds_one_file_a_letter_and_a_repeat_replaces_itself(submitted, tmp_path):
    for _ in range(2):
        submitted.sql("update notices set state = 'queued', sent_at = null")
        deliver(submitted, f"file:{tmp_path / 'courrier'}")
    files = sorted(path.name for path in (tmp_path / "courrier").iterdir())
    assert files == sorted(f"{key}.eml" for (key,) in submitted.sql("select message_id from notices"))
    raw = (tmp_path / "courrier" / files[0]).read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert email.message_from_bytes(raw, policy=email.policy.default)["Subject"] == "Dossier 64-0001 : dossier déposé"


def test_a_folder_that_cannot_be_written_leaves_every_letter_waiting_with_the_reason(submitted, tmp_path):
    (tmp_path / "fichier").write_text("")
    deliver(submitted, f"file:{tmp_path / 'fichier'}")
    assert set(states(submitted).values()) == {"queued"}
    assert all(why for (why,) in submitted.sql("select why from notices"))
