"""A log in XES: the same figures as in CSV, an event at a time, and nothing that a hostile file can do."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from config import logs, packed
from config.log_error import LogError
from tests.replay.logs import a_log, as_xes, counted, from_csv, run, same

START = '<log xmlns="http://www.xes-standard.org/">\n'
CASE = '<trace>\n<string key="concept:name" value="c1"/>\n'
EVENT = '<event>\n<string key="concept:name" value="Lettre"/>\n<date key="time:timestamp" value="2011-10-25T12:00:00+02:00"/>\n</event>\n'
END = "</trace>\n</log>\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return a_log(tmp_path / "log.csv")


def read(
    path: Path, *, lifecycle: frozenset[str] | None = logs.COMPLETE, bounds: packed.Bounds = packed.USUAL, **names: str
):
    """Give the reader of a log and every row of it."""
    log = logs.Log(path, logs.Columns.mapped(names), lifecycle=lifecycle, bounds=bounds)
    return log, list(log.rows())


def refusal(path: Path, **more) -> LogError:
    with pytest.raises(LogError) as caught:
        read(path, **more)
    return caught.value


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- the same log ------------------------------------------------------------------------------------------------------


def test_a_log_gives_in_xes_the_figures_that_it_gives_in_csv(database, log, tmp_path):
    found = run(database, as_xes(tmp_path / "log.xes", from_csv(log)))
    same(found, counted(log))
    assert found["closed_late"] + found["open_late"] > 0


def test_a_packed_log_shuffled_gives_the_same_figures(database, log, tmp_path):
    same(run(database, as_xes(tmp_path / "log.xes.gz", from_csv(log)), "--shuffle"), counted(log))


def test_a_packed_csv_gives_the_same_figures(database, log, tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(log.read_bytes()))
    same(run(database, path), counted(log))


@pytest.mark.parametrize(
    ("root", "between"),
    [
        ("<log>", "\n"),
        ('<x:log xmlns:x="http://www.xes-standard.org/">', "\n"),
        ("<log>", ""),  # the whole file is one line
    ],
)
def test_every_way_to_write_the_same_log_reads_the_same(log, tmp_path, root, between):
    def told(path):
        return [(r.case, r.activity, r.time, r.start, r.end, r.deadline) for r in read(path)[1]]

    cases = from_csv(log)
    usual = told(as_xes(tmp_path / "usual.xes", cases))
    assert told(as_xes(tmp_path / "other.xes", cases, root=root, between=between)) == usual
    assert len(usual) == counted(log)["events"]


def test_a_log_on_a_single_line_is_replayed_like_any_other(database, log, tmp_path):
    same(
        run(database, as_xes(tmp_path / "log.xes", from_csv(log), root="<log>", between=""), "--shuffle"), counted(log)
    )


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16"])
def test_the_encoding_that_a_file_declares_is_that_it_is_read_by(tmp_path, encoding):
    path = tmp_path / "log.xes"
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n{START}{CASE}{EVENT.replace("Lettre", "Réponse")}{END}'
    path.write_bytes(text.encode(encoding))
    assert [row.activity for row in read(path)[1]] == ["Réponse"]


def test_a_file_is_known_by_what_it_holds_when_its_name_does_not_say(tmp_path):
    assert len(read(written(tmp_path / "journal", f"\ufeff\n{START}{CASE}{EVENT}{END}".lstrip()))[1]) == 1


def test_attributes_inside_attributes_are_not_those_of_the_event(tmp_path):
    nested = '<string key="concept:name" value="Lettre"><string key="org:group" value="x"><date key="time:timestamp" value="?"/></string></string>'
    text = START + CASE + EVENT.replace('<string key="concept:name" value="Lettre"/>', nested) + END
    assert [row.activity for row in read(written(tmp_path / "log.xes", text))[1]] == ["Lettre"]


def test_an_attribute_may_go_by_another_name(tmp_path):
    text = START + CASE.replace("concept:name", "dossier") + EVENT.replace("concept:name", "acte") + END
    _, rows = read(written(tmp_path / "log.xes", text), case="case:dossier", activity="acte")
    assert [(row.case, row.activity) for row in rows] == [("c1", "Lettre")]


# --- what counts -------------------------------------------------------------------------------------------------------


def test_only_complete_events_count_and_the_others_are_told(database, tmp_path):
    events = "".join(
        EVENT.replace("</event>", f'<string key="lifecycle:transition" value="{word}"/></event>')
        for word in ("start", "complete", "COMPLETE", "start", "assign")
    )
    path = written(tmp_path / "log.xes", f"{START}{CASE}{events}{EVENT}</trace>\n<trace/>\n</log>")
    found = run(database, path)
    assert (found["dossiers"], found["events"]) == (1, 3)
    assert (found["events_left_out"], found["cases_without_event"]) == ({"start": 2, "assign": 1}, 1)


@pytest.mark.parametrize(("counts", "events"), [(None, 3), (frozenset({"start"}), 2)])
def test_which_events_count_is_a_choice(tmp_path, counts, events):
    words = "".join(
        EVENT.replace("</event>", f'<string key="lifecycle:transition" value="{word}"/></event>')
        for word in ("start", "complete")
    )
    log, rows = read(written(tmp_path / "log.xes", START + CASE + words + EVENT + END), lifecycle=counts)
    assert (len(rows), log.left_out.events.total()) == (events, 3 - events)


def test_a_log_of_which_no_event_counts_is_refused_with_what_it_holds(database, tmp_path):
    event = EVENT.replace("</event>", '<string key="lifecycle:transition" value="In Progress"/></event>')
    error = run(database, written(tmp_path / "log.xes", START + CASE + event + END), code=2)["error"]
    assert error["field"] == "lifecycle:transition"
    assert "In Progress (1)" in error["message"]
    assert "--lifecycle" in error["accepted"]


# --- refused, with its line --------------------------------------------------------------------------------------------

WHOLE = START + CASE + EVENT + END
LAUGHS = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "vide"),
        ("case,activity,time\nc1,Lettre,2011-10-25\n", 1, "ce n'est pas du XML"),
        (WHOLE[:-20], 7, "coupé"),
        (START + CASE + "<event><string key=", 4, "coupé"),
        (START + CASE + EVENT + "</log>\n", 8, "fermée par une autre"),
        (WHOLE + "<log/>", 10, "après la fin"),
        ("<html></html>", 1, "la racine est <html>"),
        (WHOLE.replace("c1", "a&nbsp;b"), 3, "entité non déclarée"),
        (START + EVENT + "</log>", 2, "hors de tout dossier"),
        (WHOLE.replace("+02:00", ""), 6, "fuseau"),
        (WHOLE.replace("2011-10-25", "demain"), 6, "n'est pas un instant"),
        (WHOLE.replace('"time:timestamp"', '"heure"'), 4, "absent"),
        (WHOLE.replace('"Lettre"', '" "'), 5, "vide"),
        (WHOLE.replace('"Lettre"', '"Let&#9;tre"'), 5, "U+0009"),
        (WHOLE.replace("Lettre", "x" * 501), 5, "501 signes"),
        (START + "<trace>\n" + EVENT + END, 3, "absent"),
        (START + CASE + EVENT + CASE.partition("\n")[2] + END, 8, "après ses événements"),
        (WHOLE.replace("</event>", '<string key="concept:name" value="x"/></event>'), 7, "deux fois"),
        (START + CASE + EVENT.replace("<event>", "<event>" + "<list key='l'>" * 70) + END, 4, "emboîtées"),
        ("<!DOCTYPE log>\n" + WHOLE, 1, "DOCTYPE"),
        (f'<!DOCTYPE log [<!ENTITY e0 "ha">{LAUGHS}]>\n' + WHOLE.replace("c1", "&e9;"), 1, "DOCTYPE"),
        ('<!DOCTYPE log SYSTEM "http://127.0.0.1:9/x.dtd">\n' + WHOLE, 1, "DOCTYPE"),
        ('<!DOCTYPE log [<!ENTITY f SYSTEM "file:///etc/passwd">]>\n' + WHOLE.replace("c1", "&f;"), 1, "DOCTYPE"),
        (START + "<!-- " + "x" * (3 << 20) + " -->" + CASE + EVENT + END, 2, "plus de 2 Mio"),
        (WHOLE.replace("Lettre", "x" * (3 << 20)), 5, "plus de 2 Mio"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path, text, line, words):
    error = refusal(written(tmp_path / "bad.xes", text))
    assert words in str(error)
    assert (error.line, str(error).startswith(f"ligne {line} : ")) == (line, True)
    assert error.accepted


def test_an_attribute_that_was_asked_for_and_never_comes_is_refused(tmp_path):
    error = refusal(written(tmp_path / "log.xes", WHOLE), deadline="deadline")
    assert (error.column, "jamais" in str(error), "case:" in error.accepted) == ("deadline", True, True)


def test_a_refused_log_leaves_nothing_behind(database, tmp_path):
    path = written(tmp_path / "bad.xes", WHOLE.replace(END, EVENT.replace("10-25", "10-24") + END))
    error = run(database, path, "--database-url", database, code=2)["error"]
    assert error["field"] == "time:timestamp"
    assert all(words in error["message"] for words in ("ligne 8", "ligne 4", "recule"))
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        assert connection.execute(
            "select to_regnamespace('foreign_log'), (select count(*) from dossiers)"
        ).fetchone() == (None, 0)


# --- packed ------------------------------------------------------------------------------------------------------------


def cut(archive: bytes) -> bytes:
    return archive[: len(archive) // 2]


def damaged(archive: bytes) -> bytes:
    return archive[:-8] + bytes(4) + archive[-4:]


def followed(archive: bytes) -> bytes:
    return archive + b"and more"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(cut, "coupée"), (damaged, "abîmée"), (followed, "étrangers"), (lambda _: b"\x1f\x8b", "coupée")],
)
@pytest.mark.parametrize("name", ["log.xes.gz", "log.csv.gz"])
def test_an_archive_that_is_not_whole_is_refused(log, tmp_path, spoil: Callable[[bytes], bytes], words, name):
    path = tmp_path / name
    content = log.read_bytes() if "csv" in name else as_xes(tmp_path / "log.xes", from_csv(log)).read_bytes()
    path.write_bytes(spoil(gzip.compress(content)))
    assert words in str(refusal(path))


def test_an_archive_of_several_members_and_the_zeros_of_a_tape_is_read_whole(tmp_path):
    path = tmp_path / "log.xes.gz"
    path.write_bytes(gzip.compress(START.encode()) + gzip.compress((CASE + EVENT + END).encode()) + bytes(100_000))
    assert len(read(path)[1]) == 1


def bomb(path: Path, mebibytes: int) -> Path:
    """Write a whole log that unpacks to so many MiB of blanks, and is a thousandth of that."""
    with gzip.open(path, "wb") as file:
        file.write((START + CASE + EVENT).encode())
        for _ in range(mebibytes):
            file.write(b" " * (1 << 20))
        file.write(END.encode())
    return path


def test_an_archive_that_explodes_is_refused_early_unless_it_may(database, tmp_path):
    path = bomb(tmp_path / "log.xes.gz", 40)
    assert path.stat().st_size < 100_000
    by_ratio = run(database, path, code=2)["error"]
    assert ("200 fois" in by_ratio["message"], "--max-ratio" in by_ratio["accepted"]) == (True, True)
    by_size = run(database, path, "--max-ratio", "5000", "--max-unpacked", "30", code=2)["error"]
    assert ("30 Mio" in by_size["message"], "--max-unpacked" in by_size["accepted"]) == (True, True)
    assert run(database, path, "--max-ratio", "5000")["events"] == 1


def test_memory_does_not_grow_with_the_log(tmp_path):
    def peak(events: int) -> int:
        path = tmp_path / "log.xes.gz"
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(START + CASE)
            for _ in range(events):
                file.write(EVENT + f"<string key='note' value='{events}'/>")
            file.write(END)
        tracemalloc.start()
        try:
            assert sum(1 for _ in logs.Log(path, logs.Columns.mapped({})).rows()) == events
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small = peak(1_000)
    assert peak(10_000) < small * 1.5


def test_progress_is_told_in_bytes_of_the_file_as_it_is(log, tmp_path):
    path, told = as_xes(tmp_path / "log.xes.gz", from_csv(log)), []
    list(logs.Log(path, logs.Columns.mapped({}), progress=told.append).rows())
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size
