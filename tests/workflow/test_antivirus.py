"""What goes to the antivirus and what comes back: its protocol, its verdicts, and its absences, which open nothing."""

from __future__ import annotations

import io

import pytest

from config.settings import Settings
from states.errors import Refused
from tasks import antivirus, checkup
from tasks.antivirus import NotScanned, scan, version
from tasks.scan import scan_all
from tests.clamd import clamd
from tests.workflow.test_attachments import PDF, Desk
from workflow import scans

EVIL = PDF.replace(b"<< >>", b"<< /EICAR 1 >>", 1)


@pytest.fixture
def server(tmp_path):
    with clamd(tmp_path) as made:
        yield made


@pytest.fixture
def desk(world, tmp_path):
    return Desk(world, tmp_path / "files")


def test_a_file_goes_over_whole_in_chunks_and_its_verdict_comes_back(server):
    long = b"x" * (3 * antivirus.CHUNK + 7)
    assert scan(server.address, io.BytesIO(long)) is None
    assert scan(server.address, io.BytesIO(b"...EICAR...")) == "Eicar-Test-Signature"
    assert server.seen == [long, b"...EICAR..."]
    assert version(server.address).startswith("ClamAV 1.4.6")


@pytest.mark.parametrize(
    ("mode", "words"), [("small", "size limit exceeded"), ("hang_up", "raccroché|répondu"), ("silent", "répondu")]
)
def test_what_is_no_verdict_is_none(mode, words, server):
    server.mode = mode
    with pytest.raises(NotScanned, match=words):
        scan(server.address, io.BytesIO(b"x" * 5_000_000), seconds=0.3)


@pytest.mark.parametrize("address", ["unix:///nowhere/clamd.ctl", "tcp://127.0.0.1:1"])
def test_an_antivirus_that_is_not_there_is_said_to_be(address):
    with pytest.raises(NotScanned, match="injoignable"):
        version(address)
    (said,) = checkup.clamd(Settings(clamd=address))
    assert (said.verdict, said.code) == ("fix", "antivirus")


def test_the_doctor_says_who_scans_and_that_nobody_does(server):
    assert [one.verdict for one in checkup.clamd(Settings(clamd=server.address))] == ["ok"]
    (said,) = checkup.clamd(Settings())
    assert (said.verdict, "ne sont pas examinées" in said.words) == ("decide", True)


def test_files_open_once_scanned_and_those_that_harm_never(desk, world, server):
    key, settings = world.triaged(), Settings(clamd=server.address)
    good, evil = desk.add(key), desk.add(key, body=EVIL, name="Facture.pdf")
    assert scan_all(world.make, Settings(), desk.vault) == 0  # no antivirus: nobody looks
    assert scan_all(world.make, settings, desk.vault) == 2
    assert scan_all(world.make, settings, desk.vault) == 0
    assert sorted(server.seen) == sorted([PDF, EVIL])
    assert desk.take(key, good.id, "ref1", scans=True).scanned
    with pytest.raises(Refused, match="malveillant"):
        desk.take(key, evil.id, "ref1", scans=True)
    assert world.value("select found from contents where verdict = 'infected'") == "Eicar-Test-Signature"


def test_a_file_stays_closed_while_the_antivirus_is_away_and_opens_when_it_is_back(desk, world, server, tmp_path):
    key = world.triaged()
    file = desk.add(key)
    assert scan_all(world.make, Settings(clamd="unix:///nowhere/clamd.ctl"), desk.vault) == 1
    with world.make() as session:
        seen = scans.standing(session)
    assert (seen.waiting, "injoignable" in (seen.why or "")) == (1, True)
    settings = Settings(clamd=server.address)
    assert scan_all(world.make, settings, desk.vault) == 0  # not at once
    with pytest.raises(Refused, match="attend"):
        desk.take(key, file.id, "ref1", scans=True)
    world.sql("update contents set next_at = now() - interval '1 second'")
    desk.vault.path(world.value("select sha256 from contents")).rename(tmp_path / "away")
    assert scan_all(world.make, settings, desk.vault) == 1
    with world.make() as session:
        assert "illisible" in (scans.standing(session).why or "")
    (tmp_path / "away").rename(desk.vault.path(world.value("select sha256 from contents")))
    world.sql("update contents set next_at = now() - interval '1 second'")
    assert scan_all(world.make, settings, desk.vault) == 1
    assert desk.take(key, file.id, "ref1", scans=True)


@pytest.mark.parametrize("configured", [True, False])
def test_each_tick_has_files_scanned_where_there_is_an_antivirus(configured, desk, world, server, monkeypatch):
    from tasks import clockwork

    monkeypatch.setenv("COUPE_FILE_DATABASE_URL", world.url)
    monkeypatch.setenv("COUPE_FILE_FILES", str(desk.vault.folder))
    if configured:
        monkeypatch.setenv("COUPE_FILE_CLAMD", server.address)
    rung = []
    monkeypatch.setattr(clockwork, "sessions", lambda: world.make)
    monkeypatch.setattr(clockwork.app, "send_task", lambda name, **_: rung.append(name))
    desk.add(world.triaged())
    clockwork.tick()
    assert ("coupe_file.scan" in rung) == configured
    clockwork.run_scan()
    assert world.value("select verdict from contents") == ("clean" if configured else None)
