"""Files of a dossier on PostgreSQL and a folder: added once, sealed by the journal, read within one's scope, erased."""

from __future__ import annotations

import stat

import pytest

from states.errors import BadInput, Refused
from workflow import attachments, custody, definitions, outbox, scans, texts, whatif
from workflow.attachments import Bounds
from workflow.dossiers import Request, perform
from workflow.vault import ARRIVING, Vault

PDF = b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"
LIMIT = Bounds(file=10_000, count=5, total=20_000)


class Desk:
    """A vault beside a world."""

    def __init__(self, world, folder):
        self.world, self.vault = world, Vault(folder)

    def add(
        self,
        key,
        by="holder",
        body=PDF,
        *,
        name="Plan secret.pdf",
        audience="holder",
        limit=LIMIT,
        idem=None,
        commit=True,
    ):
        with self.vault.arrival() as arrival:
            arrival.write(body)
            arrival.ended()
            with self.world.make() as session:
                made = attachments.add(session, self.vault, key, arrival, name=name, audience=audience,
                                       actor=self.world.actor(by), limit=limit, idem=idem)  # fmt: skip
                session.commit() if commit else session.rollback()
                return made

    def names(self, key, by, *, scans=False):
        with self.world.make() as session:
            return [
                (file.name, file.standing)
                for file in attachments.listed(session, key, self.world.actor(by), scans=scans)
            ]

    def take(self, key, file, by, *, scans=False):
        with self.world.make.begin() as session:
            return attachments.taken(session, key, file, self.world.actor(by), scans=scans)

    def audit(self):
        return [(problem.dossier_id, problem.text) for problem in custody.audit(self.world.make, self.vault)]

    def on_disk(self):
        return sorted(path for path in self.vault.folder.rglob("*") if path.is_file())


@pytest.fixture
def desk(world, tmp_path):
    return Desk(world, tmp_path / "files")


def test_a_file_is_an_event_that_seals_its_bytes_and_not_its_name_and_is_kept_once(desk, world):
    key, other = world.triaged(), world.triaged()
    one = desk.add(key)
    assert desk.add(key, "ref1", PDF, audience="inside").seq == one.seq + 1
    desk.add(other, name="Le même.pdf")
    (path,) = desk.on_disk()
    assert path.name == path.parent.name + path.name[2:]
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, desk.vault.folder)] == [0o600, 0o700, 0o700]
    event = world.events(key)[one.seq - 1]
    assert (event.kind, event.command["args"]["sha256"]) == ("file.add", path.name)
    assert "secret" not in str(event)
    assert event.effect.get("version") is None
    assert world.sound()
    assert desk.audit() == []


def test_a_repeat_adds_nothing_and_another_file_under_the_same_key_is_refused(desk, world):
    key = world.triaged()
    one = desk.add(key, idem="k")
    assert desk.add(key, idem="k") == attachments.Added(one.id, one.seq, repeated=True)
    assert desk.add(key) == attachments.Added(one.id, one.seq, repeated=True)
    with pytest.raises(BadInput, match="déjà servi"):
        desk.add(key, body=PDF + b"\n%%EOF", idem="k")
    assert world.value("select count(*) from files") == 1


def test_a_file_inside_is_not_even_seen_to_exist_by_the_holder(desk, world):
    key = world.triaged()
    shown, inside = desk.add(key), desk.add(key, "ref1", name="Avis du préfet.pdf", audience="inside")
    assert desk.names(key, "holder") == [("Plan secret.pdf", "ready")]
    assert len(desk.names(key, "ref1")) == len(desk.names(key, "ref0")) == 2
    for stranger in ("other", "ref6", "boss"):
        assert desk.names(key, stranger) == []
    for by, file in (("holder", inside), ("other", shown), ("ref6", shown), ("boss", shown)):
        with pytest.raises(Refused, match="inconnue"):
            desk.take(key, file.id, by)
    other = world.triaged()
    with pytest.raises(Refused, match="inconnue"):
        desk.take(other, shown.id, "ref1")
    with pytest.raises(BadInput) as refused:
        desk.add(key, audience="inside")
    assert refused.value.field == "audience"
    with pytest.raises(Refused, match="rôle manager"):
        desk.add(key, "boss")
    for stranger in ("other", "ref6"):
        with pytest.raises(Refused, match="hors de votre périmètre"):
            desk.add(key, stranger, name="Intrus.pdf")


def test_who_downloaded_what_is_kept_and_shown(desk, world):
    key = world.triaged()
    file = desk.add(key)
    desk.take(key, file.id, "ref1")
    desk.take(key, file.id, "holder")
    with world.make() as session:
        (seen,) = attachments.listed(session, key, world.actor("holder"), scans=False)
    assert [(one.name, one.unit, one.role) for one in seen.readers] == [
        ("Prénom ref1", "Administration 1", "referent"), ("Prénom holder", None, "holder"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        (Bounds(60, 5, 20_000), "file_length"),
        (Bounds(10_000, 1, 20_000), "file_count"),
        (Bounds(10_000, 5, 100), "file_total"),
    ],
)
def test_a_dossier_takes_so_many_files_of_so_much_and_what_is_refused_leaves_nothing(limit, code, desk, world):
    key = world.triaged()
    desk.add(key)
    with pytest.raises((BadInput, Refused)) as refused:
        desk.add(key, body=PDF + b"%" * 20 + b"%%EOF", limit=limit)
    assert (refused.value.code, refused.value.field) == (code, "file")
    assert len(desk.on_disk()) == world.value("select count(*) from files") == 1


def test_a_closed_dossier_takes_no_file(desk, world):
    key = world.triaged()
    world.resolve(key)
    with pytest.raises(Refused, match="clos"):
        desk.add(key)


def test_what_time_has_made_true_comes_first(desk, world):
    key = world.triaged()
    world.jump(days=40)
    file = desk.add(key, "ref1")
    kinds = world.kinds(key)
    assert "clock.breach" in kinds
    assert kinds[file.seq - 1] == "file.add"
    assert world.sound()


def test_a_file_of_the_holder_is_told_to_the_desk_one_of_the_desk_to_the_holder_one_inside_to_nobody(desk, world):
    key = world.triaged()
    world.react()
    seqs = [
        desk.add(key).seq,
        desk.add(key, "ref1", name="Réponse.pdf").seq,
        desk.add(key, "ref1", name="Note.pdf", audience="inside").seq,
    ]
    world.react()
    told = world.sql("select seq, target from notices where seq = any(:seqs) order by seq", seqs=seqs)
    assert [tuple(row) for row in told] == [(seqs[0], "unit:2"), (seqs[1], "holder")]
    assert world.sound()


def test_several_files_in_a_row_are_told_in_one_letter(desk, world):
    key = world.triaged()
    world.react()
    with world.make.begin() as session:
        outbox.claim(session, limit=50)  # what came before
    for name in ("Un.pdf", "Deux.pdf", "Trois.pdf"):
        desk.add(key, name=name)
    world.react()
    with world.make.begin() as session:
        assert outbox.claim(session, limit=50) == []  # not at once
    world.jump(minutes=11)
    with world.make.begin() as session:
        claimed = outbox.claim(session, limit=50)
    assert [one.target for one in claimed] == ["unit:2"] * 3
    assert ["une autre pièce a suivi" in (one.void or "") for one in sorted(claimed, key=lambda one: one.seq)] == [
        True,
        True,
        False,
    ]


def test_erased_a_file_is_gone_and_the_journal_still_verifies(desk, world):
    key, other = world.triaged(), world.triaged()
    one, same = desk.add(key), desk.add(other)
    with world.make.begin() as session:
        assert attachments.erase(session, [one.id]) == []  # the other dossier has the same content
    assert desk.names(key, "holder") == [(None, "erased")]
    assert (desk.audit(), len(desk.on_disk())) == ([], 1)
    with world.make.begin() as session:
        gone = attachments.erase(session, [same.id])
    assert custody.forget(world.make, desk.vault, gone) == 1
    assert (desk.audit(), desk.on_disk()) == ([], [])
    assert "secret" not in str(world.sql("select * from texts"))
    assert world.sound()
    again = desk.add(key)
    assert again.seq > one.seq
    assert custody.forget(world.make, desk.vault, gone) == 0  # it came back meanwhile
    assert (desk.audit(), world.sound()) == ([], True)


def test_the_name_alone_may_be_erased_with_the_other_texts_of_a_person(desk, world):
    key = world.triaged()
    desk.add(key)
    with world.make.begin() as session:
        texts.erase(session, [row.id for row in world.sql("select id from texts where dossier_id = :key", key=key)])
    assert desk.names(key, "ref1") == [(None, "ready")]
    assert world.sound()


def test_a_row_without_its_file_and_a_file_without_its_row_are_told(desk, world, monkeypatch):
    key = world.triaged()
    desk.add(key)
    desk.add(key, body=PDF + b"\n%%EOF", name="Jamais.pdf", commit=False)
    assert desk.audit() == []  # too young to be told
    monkeypatch.setattr(custody, "YOUNG", custody.YOUNG * 0)
    assert [dossier for dossier, _ in desk.audit()] == [0]
    assert custody.tidy(world.make, desk.vault) == 1
    assert desk.audit() == []
    (path,) = desk.on_disk()
    path.write_bytes(PDF.replace(b"<< >>", b"<  > "))
    ((dossier, words),) = desk.audit()
    assert dossier == key
    assert "scellé" in words
    path.unlink()
    assert "manque" in desk.audit()[0][1]
    assert desk.add(key).repeated  # who sends it again gives it back
    assert desk.audit() == []
    (desk.vault.folder / ARRIVING / "left").write_bytes(b"x")
    assert custody.tidy(world.make, desk.vault) == 1


@pytest.mark.parametrize(
    "tampered",
    [
        "update files set audience = 'holder'",
        "update files set type = 'text/html'",
        "update contents set size = size + 1",
        "delete from files",
        "update files set seq = 1",
        "update contents set gone_at = now()",
    ],
)
def test_what_was_changed_beside_the_journal_is_told(tampered, desk, world):
    key = world.triaged()
    desk.add(key, "ref1", audience="inside")
    world.tamper(tampered)
    found = world.problems()
    assert found
    assert {(one.dossier_id, one.proof) for one in found} == {(key, "files")}


def test_with_an_antivirus_a_file_waits_for_it_and_one_that_it_condemns_is_never_given(desk, world):
    key = world.triaged()
    file = desk.add(key)
    assert desk.names(key, "ref1", scans=True) == [("Plan secret.pdf", "waiting")]
    with pytest.raises(Refused, match="antivirus"):
        desk.take(key, file.id, "ref1", scans=True)
    with world.make.begin() as session:
        (one,) = scans.claim(session, limit=5)
        assert scans.claim(session, limit=5) == []  # under lease
        scans.scanned(session, one.sha256, None)
    assert desk.take(key, file.id, "ref1", scans=True).scanned
    with world.make.begin() as session:
        assert scans.again(session) == 1
        (one,) = scans.claim(session, limit=5)
        scans.scanned(session, one.sha256, "Eicar-Test")
    for looked in (True, False):
        assert desk.names(key, "ref1", scans=looked) == [("Plan secret.pdf", "infected")]
        with pytest.raises(Refused, match="malveillant"):
            desk.take(key, file.id, "ref1", scans=looked)
    assert world.sound()


def test_two_files_at_one_instant_get_their_own_events(desk, world, together):
    key = world.triaged()
    bodies = [PDF + b"%" * n + b"%%EOF" for n in range(1, 5)]
    made = together(*(lambda body=body: desk.add(key, body=body) for body in bodies))
    assert len({one.seq for one in made}) == len(bodies)
    same = together(*(lambda: desk.add(key, body=PDF, idem="k") for _ in range(4)))
    assert len({one.id for one in same}) == 1
    assert world.sound()
    assert desk.audit() == []


def test_an_act_goes_on_as_before_beside_files(desk, world):
    key = world.triaged()
    desk.add(key)
    with world.make.begin() as session:
        (result,) = perform(session, [Request(key, "message", {"message": "Bien reçu."})], actor=world.actor("ref1"))
    assert result.error is None
    assert world.sound()


def test_what_if_and_the_report_read_past_a_file(desk, world):
    key = world.triaged()
    desk.add(key)
    with world.make() as session:
        compiled = definitions.get(session, world.row(key).definition_id).compiled
    found = whatif.run(world.make, compiled)
    assert (found.dossiers, found.changed, dict(found.refused)) == (1, 0, {})
    world.react()
    assert world.sound()
