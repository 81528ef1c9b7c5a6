"""« Vérifier mon journal » : what a reader downloads is proved without a database, and whatever is changed in it is told."""

from __future__ import annotations

import copy
import json

import pytest
import typer

from cli.journal_file import prove_file
from states.errors import BadInput
from tests.web.conftest import FILE_INSIDE, MESSAGE, NOTE
from workflow import texts
from workflow.journal_file import verified


def downloaded(portal, who):
    answer = portal.visitor(who).get(f"/dossiers/{portal.reference}/journal.json")
    assert answer.headers["content-disposition"] == f'attachment; filename="journal-{portal.reference}.json"'
    return json.loads(answer.content)


def proved(document, before=None):
    return verified(json.dumps(document).encode(), None if before is None else json.dumps(before).encode())


def test_a_holder_proves_the_whole_chain_without_reading_the_note_or_the_file_inside_and_a_desk_reads_them(portal):
    head = bytes(portal.world.value("select head from dossiers where id = :key", key=portal.dossier)).hex()
    mine, theirs = downloaded(portal, "holder"), downloaded(portal, "ref1")
    for document, withheld in ((mine, 2), (theirs, 0)):
        report = proved(document)
        assert (report.problems, report.head, report.withheld, report.unread) == ((), head, withheld, 0)
        assert report.events == portal.world.row(portal.dossier).seq
    hidden = [event for event in mine["events"] if event.get("withheld")]
    assert [set(event) for event in hidden] == [{"seq", "withheld", "hash"}] * 2
    bodies = {name: {text["body"] for text in one["texts"].values()} for name, one in (("m", mine), ("t", theirs))}
    assert bodies["t"] - bodies["m"] == {NOTE, FILE_INSIDE}


def test_whatever_is_changed_is_told(portal):
    whole = downloaded(portal, "ref1")
    triage = next(number for number, event in enumerate(whole["events"]) if event["kind"] == "triage")
    (message,) = [key for key, text in whole["texts"].items() if text["body"] == MESSAGE]
    stranger = {"0190f5a8-0000-7000-8000-000000000000": {"salt": "00", "body": "Un ajout."}}

    def changed(change):
        document = copy.deepcopy(whole)
        change(document, document["events"])
        return proved(document).problems

    changes = {
        "a command": lambda d, e: e[triage]["command"]["args"].update(to_unit=1),
        "a kind": lambda d, e: e[triage].update(kind="transfer"),
        "an hour": lambda d, e: e[triage].update(at="2026-01-01T00:00:00+00:00"),
        "who": lambda d, e: e[triage].update(person=None),
        "a fact": lambda d, e: e[triage]["facts"].update(x=1),
        "a hash": lambda d, e: e[triage].update(hash="00" * 32),
        "a short hash": lambda d, e: e[triage].update(hash="00"),
        "one is missing": lambda d, e: e.pop(triage),
        "the first is missing": lambda d, e: e.pop(0),
        "two change places": lambda d, e: e.insert(0, e.pop(1)),
        "one is hidden under another hash": lambda d, e: e.__setitem__(triage, {"seq": triage + 1, "withheld": True, "hash": "11" * 32}),
        "a text": lambda d, e: d["texts"][message].update(body="Nous n'avons rien fait."),
        "a text is none": lambda d, e: d["texts"].update({message: 3}),
        "a text more": lambda d, e: d["texts"].update(stranger),
        "a field is missing": lambda d, e: e[triage].pop("effect"),
        "another dossier": lambda d, e: d.update(dossier=9),
    }  # fmt: skip
    assert [what for what, change in changes.items() if not changed(change)] == []
    assert changed(lambda d, e: None) == ()


def test_a_file_kept_from_before_is_the_beginning_of_the_next_or_it_is_told(portal, tmp_path, capsys):
    before = downloaded(portal, "holder")
    portal.world.act(portal.dossier, "message", "ref1", message="Le service de l'eau a répondu.")
    after = downloaded(portal, "holder")
    assert proved(after, before).problems == ()
    assert "il manque" in proved(before, after).problems[0]
    other = {
        **before,
        "events": [*before["events"][:-1], {"seq": len(before["events"]), "withheld": True, "hash": "22" * 32}],
    }
    assert "réécrit" in proved(after, other).problems[0]
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(before))
    new.write_text(json.dumps(after))
    prove_file(new, old, json=False)
    said = capsys.readouterr().out
    assert "La chaîne est entière" in said
    assert "en est bien le début" in said
    with pytest.raises(typer.Exit) as ended:
        prove_file(old, new, json=True)
    assert ended.value.exit_code == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_an_erased_text_is_told_as_such_and_the_chain_still_holds(portal):
    (key,) = portal.world.submit(title="À effacer")
    reference = portal.world.row(key).reference
    names = portal.world.sql("select id from texts where dossier_id = :key", key=key)
    with portal.world.make.begin() as session:
        assert texts.erase(session, [row.id for row in names]) == len(names)
    report = verified(portal.visitor("holder").get(f"/dossiers/{reference}/journal.json").content)
    assert (report.problems, report.texts, report.unread) == ((), 0, len(names))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"form": "coupe-file/journal/1"}', b"[" * 2000,
    b'{"form": "coupe-file/journal/1", "dossier": 1, "reference": "x", "events": [], "texts": {}}'])  # fmt: skip
def test_what_is_no_journal_is_refused_with_what_would_be(raw):
    with pytest.raises(BadInput) as told:
        verified(raw)
    assert (told.value.field, bool(told.value.accepted)) == ("FICHIER", True)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"absent\.json"):
        prove_file(tmp_path / "absent.json", None, json=False)
    with pytest.raises(BadInput):
        prove_file(None, tmp_path, json=False)
