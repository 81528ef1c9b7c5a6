"""What whoever runs it is told: settings, database, broker, relay; each point with its remedy, and never for long."""

import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from aiosmtpd.controller import Controller

from config.settings import Settings, tolerant
from local.postgres import Postgres
from states.errors import Refused
from tests.conftest import quick
from workflow import schema

BROKEN = {
    "COUPE_FILE_DATABSE_URL": "postgresql://u:motdepasse@h/b",
    "COUPE_FILE_TICK_SECONDS": "souvent",
    "COUPE_FILE_MAIL": "pigeon:",
    "COUPE_FILE_LOG": "xml",
}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Post:
    """A relay that keeps what it is sent."""

    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  (aiosmtpd's name)
        self.letters.append(envelope)
        return "250 OK"


@pytest.fixture
def relay():
    post = Post()
    controller = Controller(post, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield post, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


@pytest.fixture
def doctor(cli):
    """Give a function that runs the doctor and gives its findings by code, the settings' apart."""

    def run(**more):
        said = cli("doctor", "--json", **more)
        found = {one["code"]: one for one in said.json["findings"] if one["code"] != "settings"}
        return said.code, found, [one for one in said.json["findings"] if one["code"] == "settings"]

    return run


# --- settings ---------------------------------------------------------------------------------------------------------


def test_every_wrong_setting_is_named_at_once_with_what_would_be_accepted_and_no_value(cli):
    said = cli("queue", **BROKEN)
    assert (said.code, said.out) == (2, "")
    for name in BROKEN:
        assert name in said.err
    assert "COUPE_FILE_DATABASE_URL" in said.err  # the name that was meant
    assert "motdepasse" not in said.err
    problems = cli("queue", "--json", **BROKEN).error["problems"]
    assert [one["name"] for one in problems] == sorted(BROKEN)
    assert all(one["accepted"] for one in problems)


def test_the_doctor_names_them_too_and_goes_on_with_the_rest(doctor):
    code, found, settings = doctor(**BROKEN)
    assert code == 1
    assert [one["what"] for one in settings] == sorted(BROKEN)
    assert found["schema"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://h/b"), ("DATABASE_URL", "h/b"), ("REDIS_URL", "http://h"), ("BASE_URL", "ftp://h"),
        ("MAIL", "smtp://"), ("MAIL", "smtp://h:porte"), ("MAIL_FROM", "personne"), ("POOLED", "peut-être"),
        ("TICK_SECONDS", "0"), ("LOG", "XML"), ("HOMME", "x"), ("WEBHOOKS_ALLOW", "10.0.0.1/8"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_found(monkeypatch, name, value):
    for other in [one for one in os.environ if one.startswith("COUPE_FILE_")]:
        monkeypatch.delenv(other)
    monkeypatch.setenv(f"COUPE_FILE_{name}", value)
    found, problems = tolerant()
    assert [one.name for one in problems] == [f"COUPE_FILE_{name}"]
    assert found == Settings.model_construct(**{k: v.default for k, v in Settings.model_fields.items()})


# --- the database -----------------------------------------------------------------------------------------------------


def test_a_sound_installation_has_nothing_to_correct_but_a_clock_that_does_not_beat(doctor, valkey, relay, query):
    post, address = relay
    given = {"COUPE_FILE_REDIS_URL": f"redis+socket://{valkey.path}?virtual_host=0", "COUPE_FILE_MAIL": address}
    code, found, settings = doctor(**given)
    wrong = {name for name, one in found.items() if one["verdict"] == "fix"}
    assert wrong == {"tick", "durability"}  # the server of the tests forgets at power loss, and the doctor sees it
    assert code == 1
    assert [one["verdict"] for one in settings] == ["ok"]
    assert all(one["remedy"] for one in found.values() if one["verdict"] != "ok")
    for name in ("broker", "broker_memory", "broker_disk", "mail", "mail_tls", "schema", "encoding", "skew", "celery"):
        assert found[name]["verdict"] == "ok", name
    assert "127.0.0.1" in found["calls"]["words"]
    assert post.letters == []
    query("insert into heartbeats (name, at) values ('tick', clock_timestamp())")
    assert doctor(**given)[1]["tick"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("harm", "code", "verdict"),
    [
        ("update alembic_version set version_num = '0000'", "schema", "fix"),
        ("update alembic_version set version_num = '9999'", "schema", "fix"),
        ("update business_clock set running = false", "business_clock", "decide"),
        ("insert into heartbeats values ('tick', clock_timestamp() - interval '1 hour')", "tick", "fix"),
        ("insert into heartbeats values ('reconcile', clock_timestamp(), '0 2')", "proof", "fix"),
        ("insert into stuck (dossier_id, error, retry_at) values (1, 'x', clock_timestamp())", "stuck", "fix"),
        ("update definitions set state = 'suspended', why = 'x'", "suspended", "fix"),
        ("insert into reaction_failures values (1, 1, 'tell', 8, null, 'x')", "dead_reactions", "fix"),
        ("insert into operations (what, who, subject, at) values ('backup', 'x', '{}', clock_timestamp() - interval '4 days')",
         "backup", "fix"),
        ("insert into installation (system_identifier, database_oid) values (1, 1)", "held", "fix"),
    ],
)  # fmt: skip
def test_each_red_light_is_lit_by_its_cause_and_says_what_to_run(doctor, query, harm, code, verdict):
    query(harm)
    found = doctor()[1]
    assert found[code]["verdict"] == verdict
    assert found[code]["remedy"]


def test_tables_that_a_newer_program_only_added_to_are_left_alone_by_migrate(cli, query):
    query("update alembic_version set version_num = '9999'")
    said = cli("migrate")
    assert said.code == 0
    assert "en avance sur ce programme" in said.out


def test_tables_that_a_newer_program_took_something_from_are_refused_by_migrate(cli, query):
    query("update alembic_version set version_num = '9999'")
    query("comment on table alembic_version is '9998'")
    said = cli("migrate")
    assert said.code == 1
    assert "plus récent" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("version", [90_624, 140_012, 149_999])
def test_a_server_that_is_too_old_is_refused_with_a_sentence(version):
    with pytest.raises(Refused, match="trop ancien"):
        schema.refuse_old(version)


@pytest.mark.parametrize("version", [150_000, 180_006])
def test_a_server_that_is_new_enough_is_not(version):
    schema.refuse_old(version)


def test_a_wrong_password_is_said_without_repeating_it(cli):
    folder = Path(tempfile.mkdtemp(prefix="cf-", dir=quick()))
    folder.chmod(0o711)
    try:
        with Postgres(folder, durable=False) as server:
            with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute("create role agent login superuser password 'le-bon'")
                connection.execute("create database dossiers")
                (server.data / "pg_hba.conf").write_text("local all agent scram-sha-256\nlocal all coupe_file trust\n")
                connection.execute("select pg_reload_conf()")
            url = server.url("dossiers").replace("//coupe_file@", "//agent:{}@")
            for command in (["queue"], ["migrate"], ["backup", str(folder / "x")], ["metrics"], ["doctor"]):
                said = cli(*command, COUPE_FILE_DATABASE_URL=url.format("le-mauvais"))
                assert said.code == 1
                assert "refuse l'utilisateur ou le mot de passe" in said.err + said.out
                assert "le-mauvais" not in said.err + said.out
            right = {"COUPE_FILE_DATABASE_URL": url.format("le-bon")}
            assert cli("migrate", **right).code == 0
            assert cli("backup", str(folder / "x"), **right).code == 0
            assert cli("restore", str(folder / "x"), "--essai", **right).code == 0
    finally:
        shutil.rmtree(folder)


# --- what is not there, or does not answer ----------------------------------------------------------------------------


def test_a_broker_and_a_relay_that_are_dead_or_frozen_are_said_within_seconds(doctor, valkey):
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            frozen = {
                "COUPE_FILE_REDIS_URL": f"redis+socket://{valkey.path}?virtual_host=0",
                "COUPE_FILE_MAIL": f"smtp://agent:motdepasse@127.0.0.1:{mute.getsockname()[1]}",
            }
            dead = {
                "COUPE_FILE_REDIS_URL": "redis://:motdepasse@127.0.0.1:1/0",
                "COUPE_FILE_MAIL": "smtp://127.0.0.1:1",
            }
            for given in (frozen, dead):
                began = time.monotonic()
                code, found, _ = doctor(**given)
                assert time.monotonic() - began < 30
                assert code == 1
                assert (found["broker"]["verdict"], found["mail"]["verdict"]) == ("fix", "fix")
                assert "motdepasse" not in str(found)
    finally:
        os.kill(valkey.pid, signal.SIGCONT)


def test_a_broker_that_may_drop_messages_is_to_be_corrected(doctor, valkey):
    import redis

    url = f"redis+socket://{valkey.path}?virtual_host=0"
    with redis.Redis(unix_socket_path=str(valkey.path)) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        try:
            found = doctor(COUPE_FILE_REDIS_URL=url)[1]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "yes")
    assert found["broker_memory"]["verdict"] == "fix"
    assert found["broker_disk"]["verdict"] == "decide"


# --- figures for a monitor --------------------------------------------------------------------------------------------


def test_the_figures_are_openmetrics_and_say_what_health_says(cli, dossier, query):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    query("insert into installation (system_identifier, database_oid) values (1, 1)")
    families = {one.name: one for one in text_string_to_metric_families(cli("metrics").out)}
    value = {name: family.samples[0].value for name, family in families.items() if len(family.samples) == 1}
    assert (value["coupe_file_pending"], value["coupe_file_deliveries_held"], value["coupe_file_red"]) == (1, 1, 1)
    assert {sample.labels["phase"]: sample.value for sample in families["coupe_file_dossiers"].samples}[
        "submitted"
    ] == 1
    assert families["coupe_file_late_seconds"].type == "gaugehistogram"
    assert "coupe_file_tick_age_seconds" not in families  # it never beat: absent, not zero


def test_the_figures_are_served_on_this_machine_and_to_others_only_when_asked(environment):
    import subprocess
    import sys
    import urllib.request

    port = free_port()
    command = [Path(sys.executable).parent / "coupe-file", "metrics", "--serve", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        assert b"127.0.0.1" in process.stderr.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert b"coupe_file_up 1.0" in answer.read()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("given", ["0.0.0.0:9464", "example.org:9464", "127.0.0.1:porte", "127.0.0.1:0", "127.0.0.1"])
def test_an_address_that_others_see_or_that_cannot_be_read_is_refused(cli, given):
    said = cli("metrics", "--serve", given, "--json")
    assert said.code == 2
