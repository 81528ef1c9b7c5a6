"""Files on the page of a dossier and in the API: what is refused says so beside its field, what is given is never run."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import tracemalloc
from html import unescape

import pytest
from fastapi import Request

from config.settings import Settings
from tests.web.conftest import FILE, PDF, SITE, Portal
from tests.workflow.test_admission import ARCHIVE, WINDOWS
from web import attached, upload
from web.app import create
from workflow import custody, scans
from workflow.vault import ARRIVING, Vault

BOUNDARY = "limite"
ANOTHER = PDF.replace(b"<< >>", b"<< /A 1 >>", 1)


def page_of(portal, who="ref1"):
    return unescape(portal.visitor(who).get(f"/dossiers/{portal.reference}").text)


def count(portal):
    return portal.world.value("select count(*) from files")


def arriving(portal):
    folder = portal.settings.files_folder() / ARRIVING
    return list(folder.iterdir()) if folder.is_dir() else []


def other_dossier(portal, **args):
    (key,) = portal.world.submit(**args)
    portal.world.act(key, "triage", "ref0", to_unit="u1")
    return portal.world.row(key).reference


@pytest.fixture
def scanning(portal):
    """The same portal, where an antivirus is to look at files."""
    settings = portal.settings.model_copy(update={"clamd": "tcp://127.0.0.1:1"})
    return Portal(portal.world, create(settings, portal.world.make, lambda: None), settings, portal.dossier, portal.reference,
                  portal.shown, portal.inside)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("vide.pdf", b"", "zéro octet"),
        ("facture.pdf", WINDOWS, "n'est pas ce que dit son nom"),
        ("../../etc/passwd.pdf", PDF, "est un chemin"),
        ("plans.zip", ARCHIVE, "sorte acceptée"),
        ("double.pdf", PDF + ARCHIVE, "deux fichiers en un"),
        ("lourd.pdf", PDF + b"%" * 1_500_000 + b"%%EOF", "trop lourd"),
        ("cent.pdf", PDF + b"%" * 9_000_000, "trop lourd"),
        ("", PDF, "est obligatoire"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_file_is_refused_beside_its_field_and_nothing_chosen_is_lost(name, body, words, portal):
    before = count(portal)
    answer = portal.visitor("ref1").join(body, name, {"audience": "inside"})
    said = unescape(answer.text)
    assert answer.status_code == 422
    assert words in re.search(r'id="error-file".*?</p>', said, re.DOTALL)[0]
    assert 'aria-describedby="file-hint error-file"' in said
    assert re.search(r'value="inside" checked', said)
    assert (count(portal), arriving(portal)) == (before, [])


def test_who_may_read_it_must_be_said_by_an_administration(portal):
    answer = portal.visitor("ref1").join(ANOTHER, "Plan.pdf")
    assert answer.status_code == 422
    assert 'id="error-audience"' in answer.text
    holder = portal.visitor("holder")
    assert holder.join(ANOTHER, "Plan.pdf", {"audience": "inside"}).status_code == 422  # not theirs to choose
    assert holder.join(ANOTHER, "Plan.pdf").status_code == 303  # a holder's is for all, unless they say otherwise
    assert "Plan.pdf" in page_of(portal, "holder")


def test_a_longer_body_than_anybody_could_mean_is_cut(portal):
    answer = portal.visitor("ref1").join(PDF + b"%" * 14_000_000, "tres-lourd.pdf", {"audience": "inside"})
    assert answer.status_code == 413
    assert arriving(portal) == []


@pytest.mark.parametrize(("most", "kept"), [(20_000_000, True), (1_000_000, False)])
def test_a_file_is_received_in_bounded_memory_and_one_too_long_takes_no_room(most, kept, tmp_path):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="gros.pdf"\r\n\r\n'.encode()
    parts = itertools.chain([head + PDF], (b"%" * 65_536 for _ in range(160)), [f"\r\n--{BOUNDARY}--\r\n".encode()])

    async def receive():
        body = next(parts, None)
        return {"type": "http.request", "body": body or b"", "more_body": body is not None}

    content_type = (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode())
    request = Request({"type": "http", "method": "POST", "headers": [content_type]}, receive)
    vault = Vault(tmp_path)
    tracemalloc.start()
    sent = asyncio.run(upload.received(request, vault, most, check=lambda _: None))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000  # of the 10 MB that came
    with sent:
        assert (sent.long, sent.arrival is not None, sent.name) == (not kept, kept, "gros.pdf")
        assert len(list((tmp_path / ARRIVING).iterdir())) == kept
        if sent.arrival is not None:
            assert sent.arrival.size == len(PDF) + 160 * 65_536
    assert list((tmp_path / ARRIVING).iterdir()) == []


def test_what_is_given_is_kept_by_who_asked_and_run_by_nobody(portal):
    answer = portal.visitor("ref1").get(f"/dossiers/{portal.reference}/pieces/{portal.shown}")
    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Plan masque.pdf\"; filename*=UTF-8''Plan%20masqu%C3%A9.pdf"
    )
    assert "Téléchargée : Administration 1 (" in page_of(portal, "holder")
    assert "Téléchargée : vous (" in page_of(portal, "ref1")
    assert "Téléchargée : Prénom ref1, Administration 1 (" in page_of(portal, "ref0")


def test_a_name_cannot_leave_its_header():
    said = attached.disposition('a";\r\nX: 1/é.pdf')
    assert "\r" not in said
    assert said == "attachment; filename=\"a____X_ 1_e.pdf\"; filename*=UTF-8''a%22%3B%0D%0AX%3A%201%2F%C3%A9.pdf"


def test_without_an_antivirus_the_page_says_so_and_with_one_files_wait_for_it(portal, scanning):
    assert "ne sont pas examinées par un antivirus" in page_of(portal)
    said, where = page_of(scanning), f"/dossiers/{portal.reference}/pieces/{portal.shown}"
    assert "en attente de l'antivirus" in said
    assert where not in said
    answer = scanning.visitor("ref1").get(where)
    assert answer.status_code == 409
    assert "attend l'antivirus" in unescape(answer.text)
    api = scanning.visitor().client.get(f"/api/v1{where.replace('pieces', 'files')}", headers=portal.bearer("ref1"))
    assert (api.status_code, api.json()["code"]) == (409, "file_waiting")
    with portal.world.make.begin() as session:
        for one in scans.claim(session, limit=50):
            scans.scanned(session, one.sha256, "Eicar-Test-Signature")
    assert "programme malveillant" in page_of(portal)
    assert portal.visitor("ref1").get(where).status_code == 409
    with portal.world.make.begin() as session:
        scans.again(session)
        for one in scans.claim(session, limit=50):
            scans.scanned(session, one.sha256, None)
    assert "Examinée par l'antivirus." in page_of(scanning)
    assert scanning.visitor("ref1").get(where).status_code == 200


def test_a_program_adds_lists_and_reads_files_once_under_a_key(portal):
    ref = other_dossier(portal)
    client, path = portal.visitor().client, f"/api/v1/dossiers/{ref}/files"
    header = {**portal.bearer("ref1"), "Idempotency-Key": "f1"}
    sent = {"data": {"audience": "inside"}, "files": {"file": ("Avis.pdf", PDF)}}
    first = client.post(path, headers=header, **sent)
    assert first.status_code == 201, first.text
    again = client.post(path, headers=header, **sent)
    assert again.json() == {**first.json(), "repeated": True}
    other = client.post(path, headers=header, data={"audience": "inside"}, files={"file": ("Avis.pdf", ANOTHER)})
    assert (other.status_code, other.json()["code"]) == (422, "idem")
    given = client.get(first.headers["location"], headers=header)
    assert given.content == PDF
    listed = client.get(path, headers=header).json()
    assert [(one["name"], one["audience"], one["standing"], len(one["reads"])) for one in listed["files"]] == [
        ("Avis.pdf", "inside", "ready", 1)
    ]
    assert listed["scans"] is False
    assert client.get(path, headers=portal.bearer("holder")).json()["files"] == []
    missing = client.post(path, headers=portal.bearer("ref1"), data={"file": "x"})
    assert missing.status_code == 422
    raw = client.post(path, headers={**portal.bearer("ref1"), "Content-Type": "application/pdf"}, content=PDF)
    assert (raw.status_code, raw.json()["accepted"]) == (422, "multipart/form-data")
    read_only = client.post(path, headers=portal.bearer("ref1", "read"), **sent)
    assert read_only.status_code == 403


def test_a_form_from_elsewhere_or_cut_short_adds_nothing(portal):
    before, visitor = count(portal), portal.visitor("holder")
    path = f"/dossiers/{portal.reference}/pieces"
    files = {"file": ("Plan3.pdf", ANOTHER + b"%%EOF")}
    assert visitor.client.post(path, data={"csrf": "x"}, files=files, headers={"Origin": SITE}).status_code == 403
    assert visitor.client.post(path, files=files, headers={"Origin": SITE}).status_code == 403
    elsewhere = {"Origin": "https://ailleurs.example"}
    assert visitor.client.post(path, data={"csrf": visitor.csrf}, files=files, headers=elsewhere).status_code == 403
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{visitor.csrf}\r\n--{BOUNDARY}\r\n'
    head = f'{start}Content-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
    for cut in (head.encode() + PDF, b"--limite\r\nrien", b""):
        kind = {"Origin": SITE, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = visitor.client.post(path, content=cut, headers=kind)
        assert answer.status_code in (403, 422), answer.text
    anonymous = portal.visitor().client.post(path, files=files, headers={"Origin": SITE})
    assert anonymous.status_code == 401
    assert (count(portal), arriving(portal)) == (before, [])


def test_a_full_dossier_says_so_beside_the_field_and_a_closed_one_offers_nothing(portal):
    ref = other_dossier(portal, title="Un dossier plein")
    full = portal.settings.model_copy(update={"dossier_files": 1})
    narrow = Portal(portal.world, create(full, portal.world.make, lambda: None), full, 0, ref)
    assert narrow.visitor("holder").join(PDF, "Une.pdf").status_code == 303
    answer = narrow.visitor("holder").join(ANOTHER, "Deux.pdf")
    assert answer.status_code == 409
    assert "a déjà 1 pièce" in unescape(answer.text)
    portal.world.resolve(portal.world.value("select id from dossiers where reference = :ref", ref=ref))
    assert 'name="file"' not in narrow.visitor("holder").get(f"/dossiers/{ref}").text


def test_the_journal_s_file_holds_the_hash_and_hides_what_is_inside(portal):
    said = portal.visitor("holder").get(f"/dossiers/{portal.reference}/journal.json").json()
    kinds = [event.get("kind") for event in said["events"]]
    assert kinds.count("file.add") == portal.world.value("select count(*) from files where audience = 'holder' and dossier_id = :d", d=portal.dossier)  # fmt: skip
    withheld = portal.world.value(
        "select seq from files where audience = 'inside' and dossier_id = :d", d=portal.dossier
    )
    assert said["events"][withheld - 1].keys() == {"seq", "withheld", "hash"}
    assert FILE in json.dumps(said["texts"], ensure_ascii=False)


def test_a_lost_file_is_said_to_be_and_the_folder_s_audit_tells_it(portal):
    ref = other_dossier(portal, title="Un fichier perdu")
    body = PDF.replace(b"<< >>", b"<< /Perdu 1 >>", 1)
    portal.visitor("holder").join(body, "Perdu.pdf", to=ref)
    row = portal.world.sql("select id, sha256 from files order by dossier_id desc limit 1")[0]
    vault = Vault(portal.settings.files_folder())
    vault.path(bytes(row.sha256)).unlink()
    answer = portal.visitor("holder").get(f"/dossiers/{ref}/pieces/{row.id}")
    assert answer.status_code == 503
    assert "sauvegarde" in unescape(answer.text)
    assert [one.proof for one in custody.audit(portal.world.make, vault)] == ["files"]
    portal.visitor("ref1").join(body, "Perdu.pdf", {"audience": "inside"}, to=ref)  # who has it may give it back
    assert list(custody.audit(portal.world.make, vault)) == []


def test_a_folder_that_cannot_be_written_is_said_beside_the_field(portal, tmp_path):
    (tmp_path / "file").write_text("no folder")
    broken = portal.settings.model_copy(update={"files": tmp_path / "file"})
    narrow = Portal(portal.world, create(broken, portal.world.make, lambda: None), broken, 0, portal.reference)
    answer = narrow.visitor("holder").join(ANOTHER + b"%%EOF", "Encore.pdf")
    assert answer.status_code == 503
    assert 'id="error-file"' in answer.text
    assert "dossier des pièces" in unescape(answer.text)


def test_settings_name_what_they_accept(monkeypatch):
    monkeypatch.setenv("COUPE_FILE_CLAMD", "unix:///run/clamav/clamd.ctl")
    assert Settings().clamd
    for wrong in ("unix://relatif", "tcp://hote", "http://hote:1"):
        monkeypatch.setenv("COUPE_FILE_CLAMD", wrong)
        with pytest.raises(ValueError, match="clamd"):
            Settings()
