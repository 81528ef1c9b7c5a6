"""What programs elsewhere are told: signed, once each or again under the same id, within their scope, and to no private place."""

from __future__ import annotations

import base64
import json
import socket
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from config import outside
from config.settings import Settings
from states.dossier import SYSTEM
from states.errors import BadInput, Refused
from tasks import webhooks as calls
from tasks.webhooks import deliver_webhooks, signed, trial
from workflow import webhook_deliveries, webhooks

LOCAL = Settings(base_url="https://portail.example", webhooks_allow="127.0.0.1/32")


@dataclass
class Endpoint:
    """An HTTP server on loopback: what it was sent, and what it answers next; 200 when that is used up."""

    server: ThreadingHTTPServer
    got: list = field(default_factory=list)
    answers: list = field(default_factory=list)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/recevoir"

    def verified(self, secret):
        """What a receiver that knows this secret believes, by the reference library."""
        return [Webhook(secret).verify(body, headers) for _, headers, body in self.got]


@pytest.fixture
def endpoint():
    """Give an endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            found.got.append((self.path, dict(self.headers), body))
            status, headers = found.answers.pop(0) if found.answers else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    found = Endpoint(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def added(world, url, actor=SYSTEM, **more):
    with world.make.begin() as session:
        return webhooks.add(session, actor, url, who="astreinte", allow=outside.allowed("127.0.0.1"), **more)


def deliver(world, *, rested=False, settings=LOCAL):
    """Call until nothing waits; once the rests and the waits are over, if so asked."""
    if rested:
        world.sql("update webhooks set rests_until = null")
        world.sql("update notices set next_at = clock_timestamp() where state = 'queued'")
    while deliver_webhooks(world.make, settings):
        pass


def states(world):
    return world.sql("select state, attempts from notices where subscriber = 'webhooks' order by id")


# --- signatures -------------------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_published_example():
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body, at = b'{"test": 2432232314}', 1614265330
    found = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body, [secret])
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_event_is_told_as_a_signed_cloud_event_without_a_person_or_a_text(world, endpoint):
    made = added(world, endpoint.url)
    (key,) = world.submit(title="Pompage confidentiel", blockage="Rien n'arrive de la nappe.")
    world.act(key, "triage", to_unit="u1")
    world.react()
    deliver(world)
    endpoint.got.sort(key=lambda sent: json.loads(sent[2])["sequence"])
    told = endpoint.verified(made.secret)
    assert [one["type"] for one in told] == ["coupe-file.dossier.submit", "coupe-file.dossier.triage"]
    event, (path, headers, body) = told[1], endpoint.got[1]
    assert path == "/recevoir"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert event["specversion"] == "1.0"
    assert event["id"] == headers["webhook-id"]
    assert event["source"] == "https://portail.example"
    reference = world.row(key).reference
    assert event["subject"] == reference
    assert event["data"]["link"] == f"https://portail.example/dossiers/{reference}"
    assert (event["data"]["unit"], event["data"]["state"], event["data"]["trigger"]) == ("u1", "triaged", "triage")
    assert event["data"]["clocks"]
    assert all(clock["due"] for clock in event["data"]["clocks"])
    said = body.decode() + str(headers)
    assert not [words for words in ("confidentiel", "nappe", "Prénom", "@x.example", "ref0", "holder") if words in said]
    with pytest.raises(WebhookVerificationError):
        endpoint.verified("whsec_" + base64.b64encode(bytes(32)).decode())
    assert states(world) == [("sent", 1), ("sent", 1)]
    assert world.sound()


def test_the_body_tells_the_dossier_as_the_event_left_it_however_late_it_leaves(world, endpoint):
    made = added(world, endpoint.url, kinds=["submit"])
    (key,) = world.submit()
    world.act(key, "triage", to_unit="u1")
    world.resolve(key)
    world.react()
    deliver(world)
    (event,) = endpoint.verified(made.secret)
    assert (event["data"]["state"], event["data"]["unit"], event["data"]["outcome"]) == ("submitted", "u0", None)


# --- again ------------------------------------------------------------------------------------------------------------


def test_what_failed_is_sent_again_later_under_the_same_id_and_a_sender_that_died_repeats_it(world, endpoint):
    made = added(world, endpoint.url)
    world.submit()
    world.react()
    endpoint.answers = [(500, {})]
    deliver(world)
    assert states(world) == [("queued", 1)]
    assert "réponse 500" in world.value("select why from notices where subscriber = 'webhooks'")
    deliver(world)
    assert len(endpoint.got) == 1  # it rests
    world.sql("update webhooks set rests_until = null")
    world.sql("update notices set next_at = clock_timestamp() where state = 'queued'")
    with world.make.begin() as session:  # claimed, and its sender is killed
        (taken,) = webhook_deliveries.claim(session, limit=10, base_url=LOCAL.base_url)
    deliver(world)
    assert len(endpoint.got) == 1  # under lease
    deliver(world, rested=True)
    assert states(world) == [("sent", 3)]
    first, second = endpoint.verified(made.secret)
    assert first == second
    assert endpoint.got[1][2] == taken.body
    assert world.sql("select failures, failing_since, rests_until from webhooks") == [(0, None, None)]


def test_a_secret_that_was_replaced_signs_beside_the_new_one_until_its_end(world, endpoint):
    first = added(world, endpoint.url)
    with world.make.begin() as session:
        second = webhooks.rotate(session, 1, SYSTEM, who="x", overlap=timedelta(hours=2))
    world.submit()
    world.react()
    deliver(world)
    assert endpoint.verified(first.secret) == endpoint.verified(second.secret)
    assert len(endpoint.got[0][1]["webhook-signature"].split()) == 2
    world.sql("update webhook_secrets set ends_at = clock_timestamp() where ends_at is not null")
    with world.make.begin() as session:
        webhook_deliveries.replay(session, 1, SYSTEM, since=world.value("select min(made_at) from notices"))
    deliver(world)
    endpoint.got = endpoint.got[1:]
    assert endpoint.verified(second.secret)
    with pytest.raises(WebhookVerificationError):
        endpoint.verified(first.secret)
    with world.make.begin() as session:  # at once: a secret that got known
        third = webhooks.rotate(session, 1, SYSTEM, who="x", overlap=timedelta(0))
    assert third.webhook.secrets == 1


def test_a_replay_sends_the_same_again_and_only_of_that_webhook(world, endpoint):
    made = added(world, endpoint.url)
    added(world, endpoint.url)
    world.submit()
    world.react()
    deliver(world)
    with world.make.begin() as session:
        (mine, other) = world.sql("select id from notices where subscriber = 'webhooks' order by target")
        assert webhook_deliveries.replay(session, 1, SYSTEM, ids=[mine.id]) == [mine.id]
        letter = world.value("select min(id) from notices where subscriber = 'tell'")
        for strange in (other.id, letter, 99999):
            with pytest.raises(Refused, match="inconnu"):
                webhook_deliveries.replay(session, 1, SYSTEM, ids=[strange])
    deliver(world)
    assert len(endpoint.got) == 3
    ids = [headers["webhook-id"] for _, headers, _ in endpoint.got]
    assert len(set(ids)) == 2
    assert Webhook(made.secret).verify(endpoint.got[2][2], endpoint.got[2][1])["id"] == ids[2]


# --- an endpoint that is ill ------------------------------------------------------------------------------------------


def test_an_endpoint_that_is_gone_is_disabled_and_what_waited_is_sent_once_it_is_enabled(world, endpoint):
    added(world, endpoint.url)
    world.submit(6)
    world.react()
    endpoint.answers = [(410, {})] * 4
    deliver(world)
    with world.make() as session:
        found = webhooks.find(session, 1, SYSTEM)
    assert found.disabled_at is not None
    assert "410" in (found.disabled_why or "")
    assert {state for state, _ in states(world)} == {"held"}
    world.submit()
    world.react()
    assert len(states(world)) == 6  # what happens meanwhile is not kept
    with world.make.begin() as session:
        with pytest.raises(Refused, match="désactivé"):
            webhook_deliveries.replay(session, 1, SYSTEM, since=world.now())
        webhooks.enable(session, 1, SYSTEM, who="x")
    deliver(world)
    assert {state for state, _ in states(world)} == {"sent"}


def test_an_endpoint_that_fails_rests_longer_each_time_and_is_given_up_after_days(world, endpoint):
    added(world, endpoint.url)
    world.submit(9)
    world.react()
    endpoint.answers = [(503, {})] * 1000
    waits = []
    for _ in range(3):
        deliver(world, rested=True)
        waits.append(world.value("select extract(epoch from rests_until - clock_timestamp()) from webhooks"))
    assert [round(float(wait), -1) for wait in waits] == [30, 60, 120]
    assert len(endpoint.got) == 3 * webhook_deliveries.EACH  # a rest for all of a webhook, not for each delivery
    assert world.value("select failures from webhooks") == 3
    world.sql("update webhooks set failing_since = failing_since - interval '5 days'")
    deliver(world, rested=True)
    assert "depuis 5 jours" in world.value("select disabled_why from webhooks")


def test_letters_and_a_healthy_endpoint_do_not_wait_for_one_that_fails(world, endpoint, tmp_path):
    from tasks.deliver import deliver_all
    from workflow import reconcile

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    added(world, nobody)
    added(world, endpoint.url)
    world.submit(30)
    world.react()
    deliver(world)
    assert len(endpoint.got) == 30
    assert world.sql("select state, count(*) from notices where target = 'webhook/1' group by state") == [
        ("queued", 30)
    ]
    assert deliver_all(world.make, Settings(mail=f"file:{tmp_path}")) == 20
    world.sql("update notices set next_at = next_at - interval '1 hour', made_at = made_at - interval '1 hour'")
    while deliver_all(world.make, Settings(mail=f"file:{tmp_path}")):
        pass
    with world.make() as session:
        seen = reconcile.health(session)
    assert seen.undelivered == 30
    assert not [words for words in seen.red if "messages" in words]  # the other side's trouble is not ours


# --- scope ------------------------------------------------------------------------------------------------------------


def test_each_is_told_of_its_own_administration_its_own_kinds_and_nothing_else(world, endpoint):
    added(world, endpoint.url, unit="u6")
    added(world, endpoint.url, unit="u1")
    added(world, endpoint.url, unit="u0", kinds=["escalate"])
    (key,) = world.submit()
    world.submit()
    world.act(key, "triage", to_unit="u1")
    world.react()
    found = world.sql("select target, dossier_id from notices where subscriber = 'webhooks'")
    assert {(row.target, row.dossier_id) for row in found} == {("webhook/2", key)}
    world.act(key, "escalate", "ref1", reason=world.reason)
    world.react()
    kinds = world.sql("select cause ->> 'kind' from notices where target = 'webhook/3'")
    assert [kind for (kind,) in kinds] == ["escalate"]


def test_a_seat_in_an_administration_makes_and_sees_webhooks_of_that_one_alone(world, endpoint):
    ref1 = world.actor("ref1")
    added(world, endpoint.url)
    added(world, endpoint.url, unit="u0")
    mine = added(world, endpoint.url, ref1, unit="u1").webhook.id
    for more in ({}, {"unit": "u0"}, {"territory": "T1"}):
        with pytest.raises(BadInput):
            added(world, endpoint.url, ref1, **more)
    with world.make.begin() as session:
        assert [one.id for one in webhooks.listed(session, ref1)] == [mine]
        for act in (webhooks.find, webhook_deliveries.log, webhooks.signing):
            with pytest.raises(Refused, match="inconnu"):
                act(session, 1, ref1)
        for act, more in ((webhooks.rotate, {}), (webhooks.enable, {}), (webhooks.disable, {"why": "x"})):
            with pytest.raises(Refused, match="inconnu"):
                act(session, 2, ref1, who="x", **more)
        with pytest.raises(Refused, match="inconnu"):
            webhook_deliveries.replay(session, 1, ref1, since=world.now())
        assert webhooks.listed(session, world.actor("holder")) == []


def test_a_territory_is_told_of_its_communes(world, endpoint):
    world.sql(
        "insert into territories (code, name, valid_from) values ('T1', 'Lacq', '2020-01-01'), ('T2', 'Ailleurs', '2020-01-01')"
    )
    world.sql("insert into territory_members (territory_id, area) values (1, '64300'), (2, '33063')")
    added(world, endpoint.url, territory="T1")
    added(world, endpoint.url, territory="T2")
    world.submit()
    world.react()
    assert [row.target for row in world.sql("select target from notices where subscriber = 'webhooks'")] == [
        "webhook/1"
    ]


def test_a_webhook_made_twice_under_a_key_is_made_once_and_unreadable_wishes_are_refused(world, endpoint):
    first, second = (added(world, endpoint.url, idem="k") for _ in range(2))
    assert (first.secret, first.webhook.id, second.repeated) == (second.secret, second.webhook.id, True)
    with pytest.raises(Refused, match="clé"):
        added(world, endpoint.url, idem="k", unit="u1")
    for more, field_ in (
        ({"kinds": ["submitt"]}, "kinds"),
        ({"unit": "zz"}, "unit"),
        ({"territory": "zz"}, "territory"),
    ):
        with pytest.raises(BadInput) as refused:
            added(world, endpoint.url, **more)
        assert refused.value.field == field_


def test_what_cannot_be_written_for_webhooks_is_kept_as_a_failure_and_stops_nothing_else(world, endpoint, monkeypatch):
    added(world, endpoint.url)
    monkeypatch.setattr(webhook_deliveries, "_TELL", "select 1/0 where %(target)s is not null")
    world.submit()
    world.react()
    assert world.value("select count(*) from notices where subscriber = 'tell'") == 2
    assert world.value("select subscriber from reaction_failures") == "webhooks"
    monkeypatch.undo()
    world.sql("update reaction_failures set next_at = clock_timestamp()")
    world.react()
    assert world.sql("select count(*) from reaction_failures") == [(0,)]
    assert states(world) == [("queued", 0)]


# --- where it may not go ----------------------------------------------------------------------------------------------

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:100.64.0.1",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::", "2001::1", "2001:db8::1", "3fff::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "100::1",
)  # fmt: skip
PUBLIC = ("9.9.9.9", "172.32.0.1", "100.128.0.1", "193.252.1.1", "2001:660::1", "2a01:e0a::1", "::ffff:9.9.9.9")


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused(address):
    assert outside.private(ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(ValueError, match="privée"):
        outside.read(f"https://{host}/", outside.allowed(""))
    assert outside.refused("nom.example", [ip_address("9.9.9.9"), ip_address(address)], outside.allowed(""))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not(address):
    assert not outside.private(ip_address(address))


@pytest.mark.parametrize(
    "url",
    ["", "nom.example", "ftp://nom.example/", "https://", "https:///x", "http://nom.example/", "https://u:p@nom.example/",
     "https://u@nom.example/", "https://nom.example/#x", "https://2130706433/", "https://0177.0.0.1/", "https://0x7f.1/",
     "https://127.1/", "https://0x7f000001/", "https://nom.example:99999/", "https://nom.example\\@127.0.0.1/",
     "https://nom.example/\r\nX: y", "https://[fe80::1%25eth0]/", "https://[::1", "https://é.example/", "https://" + "x" * 2000],
)  # fmt: skip
def test_an_address_that_is_unclear_or_in_disguise_is_refused(url):
    with pytest.raises(ValueError, match=r"^(?!.*nom\.example)"):
        outside.read(url, outside.allowed(""))


def test_what_the_setting_names_may_be_private_and_nothing_beside_it():
    within = outside.allowed("si.interne, 10.1.0.0/16,::1")
    assert outside.read("http://si.interne:8080/a?b=c", within) == ("http", "si.interne", 8080, "/a?b=c")
    assert outside.read("http://10.1.2.3/", within).authority == "10.1.2.3"
    assert outside.read("http://[::1]:81/", within).authority == "[::1]:81"
    assert outside.refused("si.interne", [ip_address("10.9.9.9")], within) is None
    assert outside.refused("nom.example", [ip_address("::ffff:10.1.0.1")], within) is None
    assert outside.refused("nom.example", [ip_address("10.2.0.1")], within) is not None
    assert outside.refused("nom.example", [], within) is not None
    for wrong in ("10.1.0.1/16", "10.0.0.0/33", "0x7f.1", "a/b", "x:80"):
        with pytest.raises(ValueError, match="réseau"):
            outside.allowed(wrong)


def test_a_name_is_resolved_once_and_the_connection_goes_to_the_address_that_was_looked_at(endpoint, monkeypatch):
    asked = []

    async def resolved(target):
        asked.append(target.host)
        return [ip_address("127.0.0.1")]

    monkeypatch.setattr(calls, "_resolved", resolved)
    url = f"http://nom.invalid:{endpoint.server.server_port}/recevoir"
    secrets = [bytes(32)]
    answer = trial(
        url, secrets, Settings(webhooks_allow="nom.invalid")
    )  # `.invalid` resolves nowhere: nobody asked again
    assert (answer.status, asked) == (200, ["nom.invalid"])
    assert endpoint.got[0][1]["host"] == f"nom.invalid:{endpoint.server.server_port}"
    assert json.loads(endpoint.got[0][2])["type"] == "coupe-file.test"
    refused = trial(url.replace("http:", "https:"), secrets, Settings(webhooks_allow="10.0.0.0/8"))
    assert "adresse privée" in refused.why
    assert len(endpoint.got) == 1


@pytest.mark.parametrize("host", ["localhost", "localhost."])
def test_a_name_of_this_machine_is_refused_when_it_is_called(host):
    answer = trial(f"https://{host}:9/", [bytes(32)], Settings())
    assert "adresse privée" in answer.why


def test_a_redirect_is_a_failure_and_goes_nowhere(endpoint):
    endpoint.answers = [(302, {"location": "http://169.254.169.254/latest/meta-data/"})]
    answer = trial(endpoint.url, [bytes(32)], LOCAL)
    assert (answer.status, answer.why) == (302, "réponse 302")
    assert len(endpoint.got) == 1


def test_no_line_of_the_log_holds_the_query_of_an_address(endpoint):
    import io
    import logging

    from config import log_lines

    kept, stream = (logging.root.handlers[:], logging.root.level), io.StringIO()
    try:
        log_lines.configure("text", stream=stream)
        assert trial(f"{endpoint.url}?jeton=cache", [bytes(32)], LOCAL).status == 200
    finally:
        logging.root.handlers[:], logging.root.level = kept
    assert endpoint.got[0][0] == "/recevoir?jeton=cache"
    assert "cache" not in stream.getvalue()


@pytest.mark.parametrize("drips", [b"", b"HTTP/1.1 200 OK\r\nx: "])
def test_a_server_that_keeps_us_waiting_is_left_in_time(drips, monkeypatch):
    monkeypatch.setattr(calls, "SECONDS", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip():
            link, _ = server.accept()
            with link:
                while not over.wait(0.05):
                    try:
                        link.sendall(drips[:1] or b"")
                        link.sendall(drips and b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        answer = trial(f"http://127.0.0.1:{server.getsockname()[1]}/", [bytes(32)], LOCAL)
        over.set()
        thread.join()
    assert answer.status is None
    assert "sans réponse" in answer.why


# --- the workers ------------------------------------------------------------------------------------------------------


def test_workers_are_sent_to_call_only_while_there_is_a_webhook(world, endpoint, monkeypatch):
    from tasks import clockwork

    rung = []
    monkeypatch.setattr(clockwork, "sessions", lambda: world.make)
    monkeypatch.setattr(clockwork, "read", lambda: LOCAL)
    monkeypatch.setattr(clockwork, "ring", lambda *names: rung.append(names))
    clockwork.tick()
    assert "webhooks" not in rung.pop()
    added(world, endpoint.url)
    clockwork.tick()
    assert "webhooks" in rung.pop()
    world.submit()
    clockwork.run_react()
    assert rung.pop() == ("deliver", "webhooks")
    clockwork.run_webhooks()
    assert states(world) == [("sent", 1)]
