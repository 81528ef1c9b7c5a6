"""Files in a real browser, looked at by a real clamd: joined, refused, closed until scanned, downloaded, or blocked for good."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tasks import antivirus
from tasks.scan import scan_all
from tests.browser.conftest import DESK, NEEDS, PHONE
from web.attached import vault
from workflow import verify

HOLDER, DESK_64 = "directrice-lacq:holder", "ref-64@guichet-lacq:referent"
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
MARK = b"marque-qui-ne-fait-de-mal-a-personne"
EVIL = PDF.replace(b"endobj", MARK + b"\nendobj")
SIGNATURES = f"Essai.Marque:0:*:{MARK.hex()}\nEssai.Autre:0:*:{b'une-autre-marque'.hex()}\n"
PATIENCE = 30


@pytest.fixture(scope="module")
def clamd(tmp_path_factory):
    """A real clamd, with a file of two signatures of its own."""
    program = shutil.which("clamd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program is not None, NEEDS
    folder = tmp_path_factory.mktemp("clamd")
    signatures, link, settings = folder / "signatures", folder / "clamd.ctl", folder / "clamd.conf"
    signatures.mkdir()
    (signatures / "essai.ndb").write_text(SIGNATURES)
    settings.write_text(
        f"LocalSocket {link}\nDatabaseDirectory {signatures}\nForeground yes\nTemporaryDirectory {folder}\nStreamMaxLength 1M\n"
    )
    with subprocess.Popen([program, "--config-file", settings], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + PATIENCE
        while not link.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert link.exists(), f"clamd ended with {process.poll()}"
        yield f"unix://{link}"
        process.terminate()


def test_clamd_itself_says_what_it_is_what_it_finds_and_what_it_will_not_read(clamd, tmp_path):
    assert antivirus.version(clamd).startswith("ClamAV")
    for body, found in ((PDF, None), (EVIL, "Essai.Marque.UNOFFICIAL"), (PDF + b"%" * 500_000, None)):
        (tmp_path / "file").write_bytes(body)
        with (tmp_path / "file").open("rb") as file:
            assert antivirus.scan(clamd, file) == found
    (tmp_path / "file").write_bytes(bytes(5_000_000))
    with (tmp_path / "file").open("rb") as file, pytest.raises(antivirus.NotScanned, match="size limit"):
        antivirus.scan(clamd, file)


def test_files_are_joined_wait_for_the_antivirus_and_are_downloaded_or_blocked(portal, clamd, tmp_path):
    holder = portal.page(PHONE)
    portal.enter(holder, HOLDER)
    holder.goto("/dossiers/64-0001")
    expect(holder.locator(".files")).to_contain_text("ne sont pas examinées par un antivirus")
    portal.look(holder, "40-pieces-sans-antivirus")

    portal.app.state.settings = portal.app.state.settings.model_copy(update={"clamd": clamd})
    holder.goto("/dossiers/64-0001")
    for name, body, refused in (
        ("Récépissé.pdf", PDF, None),
        ("facture.pdf", EVIL, None),
        ("programme.pdf", b"MZ" + bytes(500), "n'est pas ce que dit son nom"),
        ("lourd.pdf", PDF + bytes(40_000_000), "trop lourd"),
    ):
        (tmp_path / name).write_bytes(body)
        holder.set_input_files("#file", tmp_path / name)
        holder.click(".files button")
        if refused is None:
            expect(holder.locator(".done")).to_contain_text("Pièce jointe")
        else:
            expect(holder.locator("#error-file")).to_contain_text(refused)
            expect(holder.locator(".files .alert")).to_be_focused()
    portal.look(holder, "41-piece-refusee")
    expect(holder.locator(".files")).to_contain_text("en attente de l'antivirus")
    assert holder.locator(".files a[download]").count() == 0

    settings = portal.app.state.settings
    assert scan_all(portal.make, settings, vault(settings)) == 3  # these two, and that of the story
    desk = portal.page(DESK)
    portal.enter(desk, DESK_64)
    desk.goto("/dossiers/64-0001")
    expect(desk.locator(".files")).to_contain_text("bloquée")
    with desk.expect_download() as waiting:
        desk.click("text=Récépissé.pdf")
    assert waiting.value.suggested_filename == "Récépissé.pdf"
    assert Path(waiting.value.path()).read_bytes() == PDF
    desk.check('.files input[value="inside"]')
    desk.set_input_files("#file", {"name": "Avis.pdf", "mimeType": "application/pdf", "buffer": PDF})
    desk.click(".files button")
    expect(desk.locator(".files")).to_contain_text("Avis.pdf")
    portal.look(desk, "42-pieces-du-service")
    holder.goto("/dossiers/64-0001")
    expect(holder.locator(".files")).to_contain_text("Téléchargée")
    assert holder.locator("text=Avis.pdf").count() == 0
    portal.look(holder, "43-pieces-du-porteur")
    assert [problem for part in verify.verify(portal.make) for problem in part.problems] == []
    assert portal.complaints == []
