"""A letter as PDF: whatever somebody wrote is shown and never obeyed, and the same letter is the same bytes."""

import unicodedata
from datetime import UTC, datetime

import pypdfium2
import pytest

from workflow import typeset
from workflow.typeset import SHOWN, STANDS_IN, TOLD, Letter, NotTypeset, Section, pdf, shown

HOSTILE = '#panic("x") ] } \\ $ x^2 $ "a" \'b\' #sys.inputs @preview/x:0.1.0 *gras* _bas_ `code` <etiquette> = Titre // rien /* */ ~ -- ...'
HEBREW, ARABIC = "שלום", "مرحبا"


def letter(words="Un objet", quote=None):
    section = Section("Ce qui a été déposé", facts=[("Désignation", words)], items=[words], quote=quote)
    dated = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    return Letter("Accusé de réception électronique", "Service non officiel", "Dossier 64-0117", dated, ["Avis."],
                  [("Objet", words)], [section], "Dossier 64-0117, événement n° 2")  # fmt: skip


def read(body):
    """The text of a PDF, without what its lines break, and how many pages it has."""
    document = pypdfium2.PdfDocument(body)
    try:
        pages = [page.get_textpage().get_text_range() for page in document]
    finally:
        document.close()
    joined = "".join(pages).replace("\r", "").replace("\n", "").replace("\u200b", "").replace("\ufffe", "")
    return joined.replace(" ", ""), len(pages)


def test_what_somebody_wrote_is_shown_as_it_is_and_is_no_markup():
    said, pages = read(pdf(letter(HOSTILE, quote=f"{HOSTILE}\nligne deux")))
    assert said.count(HOSTILE.replace(" ", "")) == 4
    assert pages == 1


def test_the_same_letter_is_the_same_bytes_and_says_its_standard_its_language_and_the_date_of_the_event():
    body = pdf(letter())
    assert body == pdf(letter())
    assert body != pdf(letter("Un autre objet"))
    for mark in (b"/MarkInfo", b"/StructTreeRoot", b"pdfuaid:part", b"D:20261124170000", b"/Lang(fr-FR)"):
        assert mark in body, mark


def test_ten_thousand_signs_without_a_space_fill_pages_and_none_is_lost():
    said, pages = read(pdf(letter(quote="é" * 10_000)))
    assert said.count("é") >= 10_000
    assert pages > 1


def test_every_sign_that_is_said_to_be_shown_is_and_any_other_has_a_stand_in_that_is_told():
    every = "".join(
        chr(code) for first, last in SHOWN for code in range(first, last + 1) if unicodedata.category(chr(code)) != "Cn"
    )
    assert shown(every[:50]) == every[:50]
    said, _ = read(pdf(letter(quote=f"{every} {HEBREW} {ARABIC}")))
    assert TOLD.replace(" ", "") not in said
    said, _ = read(pdf(letter("漢字 \U0001f600 a\x07b\u202ec\ud7ff")))
    assert f"{STANDS_IN * 3}abc{STANDS_IN}" in said
    assert TOLD.replace(" ", "") in said


def test_a_fault_of_the_library_is_a_letter_that_could_not_be_made(monkeypatch):
    monkeypatch.setattr(typeset, "_template", lambda _: b"#panic()")
    with pytest.raises(NotTypeset, match="panicked"):
        pdf(letter())
