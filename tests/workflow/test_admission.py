"""Which files are let in: real samples of each kind, and the disguises that are not."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from states.errors import BadInput
from workflow import admission

ODT = "application/vnd.oasis.opendocument.text"


def package(*entries: tuple[str, bytes], pack: int = zipfile.ZIP_STORED) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", pack) as made:
        for name, body in entries:
            made.writestr(name, body)
    return found.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\nstartxref\n9\n%%EOF\n"
PNG = (
    b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
)  # fmt: skip
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xdb\x00\x43\x00" + b"\x01" * 64 + b"\xff\xd9"
)
TIFF = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"
WORD = package(
    ("[Content_Types].xml", b"<Types/>"),
    ("_rels/.rels", b"<r/>"),
    ("word/document.xml", b"<w/>"),
    pack=zipfile.ZIP_DEFLATED,
)
SHEET = package(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<w/>"), pack=zipfile.ZIP_DEFLATED)
OPEN = package(("mimetype", ODT.encode()), ("content.xml", b"<office/>"))
WINDOWS = b"MZ\x90\x00" + bytes(56) + struct.pack("<I", 64) + b"PE\x00\x00" + bytes(300)
LINUX = b"\x7fELF\x02\x01\x01" + bytes(200)
ARCHIVE = package(("plan.txt", b"x" * 50))
BOMB = package(
    ("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"\0" * 3_000_000), pack=zipfile.ZIP_DEFLATED
)


def look(tmp_path, name, body):
    path = tmp_path / "arrived"
    path.write_bytes(body)
    return admission.admitted(name, path, body[:4096])


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("Récépissé n° 4.pdf", PDF, "application/pdf"),
        ("plan.PNG", PNG, "image/png"),
        ("photo.jpeg", JPEG, "image/jpeg"),
        ("scan.tiff", TIFF, "image/tiff"),
        ("note.docx", WORD, admission.KINDS[7].type),
        ("comptes.xlsx", SHEET, admission.KINDS[8].type),
        ("note.odt", OPEN, ODT),
        ("lisez-moi.txt", "Bonjour à tous, 12 € près de BM et MZ.\r\n".encode(), "text/plain"),
        ("vieux.txt", "Bonjour à tous, 12 €.\r\n".encode("cp1252"), "text/plain"),
        ("MZ.csv", b"MZ;a\n1;2\n", "text/csv"),
    ],
)
def test_what_people_send_is_let_in_under_its_type(name, body, kind, tmp_path):
    assert look(tmp_path, name, body).type == kind


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("vide.pdf", b"", "file_empty"),
        ("facture.pdf", WINDOWS, "file_content"),
        ("facture.docx", WINDOWS, "file_content"),
        ("facture.txt", LINUX, "file_content"),
        ("facture.csv", b"#!/bin/sh\nrm -rf /\n", "file_content"),
        ("facture.txt", b"<html><script>alert(1)</script></html>", "file_content"),
        ("facture.txt", b"bonjour\x00monde", "file_content"),
        ("photo.png", JPEG, "file_content"),
        ("photo.jpg", b"GIF89a" + bytes(40), "file_content"),
        ("image.pdf", b"  \n" + PDF, "file_content"),
        ("plans.docx", ARCHIVE, "file_content"),
        ("plans.odt", ARCHIVE, "file_content"),
        ("comptes.docx", SHEET, "file_content"),
        ("plans.odt", WORD, "file_content"),
        ("tronque.docx", WORD[: len(WORD) // 2], "file_content"),
        ("tronque.pdf", PDF[:40], "file_cut"),
        ("tronque.png", PNG[:-12], "file_cut"),
        ("double.pdf", PDF + ARCHIVE, "file_double"),
        ("double.png", PNG + ARCHIVE, "file_double"),
        ("double.jpg", JPEG[:20] + b"<script>alert(1)</script>" + JPEG[20:], "file_double"),
        ("double.docx", ARCHIVE[:30] + WORD, "file_double"),
        ("bombe.docx", BOMB, "file_bomb"),
        ("macro.docx", package(("[Content_Types].xml", b""), ("word/document.xml", b""), ("word/vbaProject.bin", b"")), "file_macro"),
        ("macro.odt", package(("mimetype", ODT.encode()), ("Basic/Standard/Module1.xml", b"")), "file_macro"),
    ],
)  # fmt: skip
def test_a_disguise_is_refused_by_its_own_reason(name, body, code, tmp_path):
    with pytest.raises(BadInput) as refused:
        look(tmp_path, name, body)
    assert (refused.value.code, refused.value.field) == (code, "file")
    assert refused.value.accepted


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "file_name"),
        ("../../etc/passwd.pdf", "file_name"),
        ("C:\\temp\\plan.pdf", "file_name"),
        (".htaccess.pdf", "file_name"),
        ("devis\u202efdp.exe.pdf", "file_name"),
        ("plan\r\nSet-Cookie: a.pdf", "file_name"),
        ("a" * 300 + ".pdf", "file_name"),
        ("plan.pdf.exe", "file_type"),
        ("plan.zip", "file_type"),
        ("page.svg", "file_type"),
        ("vieux.doc", "file_type"),
        ("plan", "file_type"),
    ],
)
def test_a_name_that_misleads_or_promises_another_kind_is_refused(name, code):
    with pytest.raises(BadInput) as refused:
        admission.named(name)
    assert refused.value.code == code
    assert refused.value.accepted
