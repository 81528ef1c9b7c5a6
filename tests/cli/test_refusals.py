"""Bad input and refused acts: one sentence, the right exit code, and nothing written."""

import pytest

REASON = "Rien ne bouge depuis trois semaines."
ESCALATE = ["escalate", "{ref}", "--as", "ref-64"]
SUBMIT = [
    "submit",
    "--as",
    "directrice-lacq",
    "--commune",
    "64300",
    "--title",
    "Un titre",
    "--blockage",
    "Un blocage décrit",
]

# what is typed, the exit code, the error's code, and what the sentence must say
REFUSED = {
    "an unknown command": (["escalade"], 2, "command", ["escalade", "escalate"]),
    "an unknown option": (["show", "{ref}", "--jsonn"], 2, "option", ["--jsonn", "--json"]),
    "an option without its value": ([*ESCALATE, "--reason"], 2, "option", ["--reason"]),
    "a missing argument": (["show"], 2, "missing", ["DOSSIER"]),
    "an argument too many": (["show", "{ref}", "autre"], 2, "argument", ["autre"]),
    "a number that is none": (["queue", "--limit", "dix"], 2, "value", ["--limit"]),
    "a number out of bounds": (["queue", "--limit", "0"], 2, "value", ["--limit"]),
    "an unreadable page mark": (["queue", "--after", "é!"], 2, "after", ["--after"]),
    "an unknown trigger": (["act", "{ref}", "frob", "--as", "ref-64"], 2, "trigger", ["frob", "triage"]),
    "a trigger that the state does not know": (["reopen", "{ref}", "--reason", REASON, "--as", "directrice-lacq"], 1, "state", ["reopen"]),
    "a role that may not ask": (["withdraw", "{ref}", "--reason", REASON, "--as", "ref-64"], 1, "role", ["withdraw", "holder"]),
    "a guard that refuses": (["answer", "{ref}", "--reason", REASON, "--as", "directrice-lacq"], 1, "no_hold", ["aucune demande"]),
    "a version that is past": ([*ESCALATE, "--reason", REASON, "--seen", "0"], 1, "stale", ["version"]),
    "a version that is none": ([*ESCALATE, "--reason", REASON, "--seen", "v1"], 2, "integer", ["--seen"]),
    "a missing field": (ESCALATE, 2, "missing", ["--reason", "10"]),
    "a field too short": ([*ESCALATE, "--reason", "bref"], 2, "length", ["--reason", "10", "2000"]),
    "a field too long": ([*ESCALATE, "--reason", "x" * 2001], 2, "length", ["--reason", "2001", "2000"]),
    "a field that the trigger does not have": (
        ["act", "{ref}", "escalate", "--set", f"reason={REASON}", "--set", "outcome=unblocked", "--as", "ref-64"], 2, "unknown_field", ["outcome"],
    ),
    "a pair that is none": (["act", "{ref}", "escalate", "--set", "reason", "--as", "ref-64"], 2, "set", ["champ=valeur"]),
    "a field given twice": (["act", "{ref}", "escalate", "--set", "reason=a", "--set", "reason=b", "--as", "ref-64"], 2, "set", ["reason"]),
    "a text given twice": ([*ESCALATE, "--reason", REASON, "--reason-file", "-"], 2, "twice", ["--reason-file"]),
    "a file that is not there": ([*ESCALATE, "--reason-file", "nulle-part.txt"], 2, "file", ["nulle-part.txt"]),
    "a NUL": ([*ESCALATE, "--reason", "dix signes\0et plus"], 2, "encoding", ["--reason", "U+0000"]),
    "a control sign": ([*ESCALATE, "--reason", "dix signes\x1b[31m et plus"], 2, "encoding", ["--reason", "U+001B"]),
    "half a sign": ([*ESCALATE, "--reason", "dix signes \udcff et plus"], 2, "encoding", ["--reason", "UTF-8"]),
    "an unknown unit": (["triage", "{ref}", "--to-unit", "rte-racordement", "--as", "ref-64"], 2, "unknown", ["--to-unit", "rte-raccordement"]),
    "an unknown commune": ([*SUBMIT, "--topic", "eau", "--commune", "71429"], 2, "unknown", ["--commune", "71076"]),
    "an unknown topic": ([*SUBMIT, "--topic", "eaux"], 2, "unknown", ["--topic", "eau"]),
    "an unknown party": ([*SUBMIT, "--topic", "eau", "--party", "vp-lac"], 2, "unknown", ["--party", "vp-lacq"]),
    "an unknown definition": ([*SUBMIT, "--topic", "eau", "--definition", "coupe"], 2, "definition", ["coupe-file"]),
    "a role that may not deposit": ([*SUBMIT, "--topic", "eau", "--as", "deleguee-ti"], 1, "role", ["manager"]),
    "nobody who acts": (["escalate", "{ref}", "--reason", REASON], 2, "actor", ["--as"]),
    "somebody unknown": (["escalate", "{ref}", "--reason", REASON, "--as", "personne"], 2, "actor", ["--as", "personne"]),
    "somebody in a seat that is not theirs": (["escalate", "{ref}", "--reason", REASON, "--as", "ref-64@dge"], 2, "actor", ["guichet-lacq"]),
    "somebody who has left": (["queue", "--as", "ancien-ref-52"], 2, "actor", ["ancien-ref-52"]),
    "the clock by hand": (["escalate", "{ref}", "--reason", REASON, "--as", "system"], 2, "actor", ["sweep"]),
    "an unknown dossier": (["escalate", "64-9999", "--reason", REASON, "--as", "ref-64"], 1, "unknown", ["64-9999"]),
    "a dossier of others": (["escalate", "{ref}", "--reason", REASON, "--as", "ref-71"], 1, "unknown", ["périmètre"]),
    "a number beyond any": (["show", "9" * 40], 1, "unknown", ["9999"]),
    "an unreadable reference": (["show", "x" * 80], 2, "dossier", ["64-0117"]),
    "a key too long": ([*ESCALATE, "--reason", REASON, "--key", "k" * 201], 2, "key", ["--key", "200"]),
    "an unknown unit for a queue": (["queue", "--unit", "nulle-part"], 2, "unknown", ["--unit"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why_with_its_exit_code_and_writes_nothing(cli, dossier, counts, name):
    typed, code, kind, words = REFUSED[name]
    typed = [part.format(ref=dossier) if part == "{ref}" else part for part in typed]
    before = counts()
    said = cli(*typed)
    assert (said.code, said.out) == (code, "")
    assert "Traceback" not in said.err
    assert said.err.startswith("Erreur : ")
    assert [word for word in words if word not in said.err] == []
    if "--reason-file" not in typed or "-" not in typed:
        answer = cli(typed[0], "--json", *typed[1:])
        assert (answer.code, answer.error["code"], answer.err) == (code, kind, "")
    assert counts() == before


def test_bytes_that_are_not_utf8_are_refused_wherever_they_come_from(program, dossier, counts):
    before = counts()
    typed = program("escalate", dossier, "--as", "ref-64", "--reason", b"d\xe9lai d\xe9pass\xe9 depuis longtemps")
    piped = program(
        "escalate", dossier, "--as", "ref-64", "--reason-file", "-", text=b"d\xe9lai d\xe9pass\xe9 depuis longtemps"
    )
    named = program("escalate", dossier, "--reason", "Un motif assez long", COUPE_FILE_AS=b"r\xe9f")
    for said in (typed, piped, named):
        assert said.code == 2
        assert "UTF-8" in said.err
        assert "Traceback" not in said.err
    assert counts() == before


# --- a file of deposits -----------------------------------------------------------------------------------------------

HEAD = "topic,commune,title,blockage,parties\n"
GOOD = "eau,64300,Un titre,Un blocage décrit,directrice-lacq vp-lacq\n"
SHEETS = {
    "nothing": (b"", ["ligne 1", "vide"]),
    "a header alone": (HEAD.encode(), ["aucun dossier"]),
    "a missing column": (b"topic,title,blockage\neau,Un titre,Un blocage long\n", ["ligne 1", "commune", "absente"]),
    "an unknown column": ((HEAD.strip() + ",sujet\n" + GOOD.strip() + ",x\n").encode(), ["ligne 1", "sujet", "inconnue"]),
    "a column twice": ((HEAD.strip() + ",topic\n" + GOOD.strip() + ",eau\n").encode(), ["ligne 1", "topic", "deux fois"]),
    "too many cells": ((HEAD + GOOD + GOOD.strip() + ",de trop\n").encode(), ["ligne 3", "6 colonnes", "5"]),
    "too few cells": ((HEAD + GOOD + "eau,64300\n" + GOOD).encode(), ["ligne 3", "incomplète"]),
    "half of it, in a line": ((HEAD + GOOD * 3)[:-40].encode(), ["ligne 4"]),
    "half of it, in the last cell": ((HEAD + GOOD * 3)[:-8].encode(), ["ligne 4", "coupé"]),
    "half of it, in quotes": ((HEAD + GOOD + 'eau,64300,"Un titre, coup').encode(), ["ligne 3", "coupé"]),
    "an open quote": ((HEAD + GOOD + 'eau,64300,"Un titre,Un blocage décrit,\n').encode(), ["ligne 3", "guillemet"]),
    "another encoding": ((HEAD + GOOD + GOOD).encode("cp1252"), ["ligne 2", "UTF-8"]),
    "a NUL": ((HEAD + GOOD + GOOD.replace("titre", "ti\0tre")).encode(), ["ligne 3", "U+0000"]),
    "an unknown commune": ((HEAD + GOOD + GOOD.replace("64300", "71429")).encode(), ["ligne 3", "commune", "71076"]),
    "a missing value": ((HEAD + GOOD + GOOD.replace("Un titre", "")).encode(), ["ligne 3", "title", "obligatoire"]),
    "a value too long": ((HEAD + GOOD + GOOD.replace("Un titre", "x" * 121)).encode(), ["ligne 3", "title", "121"]),
    "an unknown party": ((HEAD + GOOD + GOOD.replace("vp-lacq", "vp-lac")).encode(), ["ligne 3", "parties", "vp-lacq"]),
    "a line after one of several lines": (
        (HEAD + GOOD.replace("Un blocage décrit", '"Un blocage\ndécrit"') + GOOD.replace("64300", "1")).encode(), ["ligne 4", "commune"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHEETS)
def test_a_file_with_one_bad_line_is_refused_whole_and_says_which(cli, counts, tmp_path, name):
    body, words = SHEETS[name]
    (tmp_path / "dossiers.csv").write_bytes(body)
    before = counts()
    said = cli("submit", "--file", tmp_path / "dossiers.csv", "--as", "ref-64")
    assert (said.code, said.out) == (2, "")
    assert [word for word in (*words, "dossiers.csv") if word not in said.err] == []
    answer = cli("submit", "--file", tmp_path / "dossiers.csv", "--as", "ref-64", "--json")
    assert (answer.code, answer.error["code"]) == (2, "sheet")
    assert answer.error["problems"][0]["line"]
    assert counts() == before


def test_every_error_of_a_file_is_said_at_once(cli, counts, tmp_path):
    (tmp_path / "d.csv").write_text(
        HEAD + GOOD.replace("64300", "1") + GOOD + GOOD.replace("eau", "feu"), encoding="utf-8"
    )
    before = counts()
    said = cli("submit", "--file", tmp_path / "d.csv", "--as", "ref-64", "--json")
    assert [problem["line"] for problem in said.error["problems"]] == [2, 4]
    assert counts() == before


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_as_spreadsheets_write_it_is_read(cli, tmp_path, separator, ending, mark):
    body = mark + (HEAD + GOOD + GOOD).replace(",", separator).replace("\n", ending)
    (tmp_path / "d.csv").write_bytes(body.encode())
    said = cli("submit", "--file", tmp_path / "d.csv", "--as", "ref-64", "--json")
    assert said.code == 0
    assert said.json["submitted"] == 2


def test_a_file_sent_twice_under_one_key_opens_its_dossiers_once(cli, counts, tmp_path):
    (tmp_path / "d.csv").write_text(HEAD + GOOD + GOOD, encoding="utf-8")
    asked = ["submit", "--file", tmp_path / "d.csv", "--as", "ref-64", "--key", "lot 1", "--json"]
    first = cli(*asked).json
    before = counts()
    again = cli(*asked).json
    assert [row["reference"] for row in again["dossiers"]] == [row["reference"] for row in first["dossiers"]]
    assert (again["submitted"], again["repeated"]) == (0, 2)
    assert counts() == before


def test_a_file_comes_by_a_pipe_too(cli):
    assert cli("submit", "--file", "-", "--as", "ref-64", "--json", text=HEAD + GOOD).json["submitted"] == 1
