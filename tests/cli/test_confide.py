"""`coupe-file confide`: the marks of a dossier, and who read it."""


def test_marks_are_set_with_a_reason_shown_with_the_register_and_lifted(cli, dossier):
    holder = ("--as", "directrice-lacq", "--json")
    assert cli("confide", dossier, "--reserved", *holder).error["field"] == "--reason"
    marked = cli("confide", dossier, "--code-name", "Alizé", "--reserved", "--reason", "Annonce au printemps.", *holder)
    assert marked.code == 0, marked.out + marked.err
    said = cli("confide", dossier, *holder).json
    assert (said["code_name"], said["reserved"], said["elected"]) == ("Alizé", True, True)
    assert [one["role"] for one in said["readings"]] == ["holder"]
    lifted = cli("confide", dossier, "--open", "--reason", "Le projet est annoncé.", *holder).json
    assert (lifted["code_name"], lifted["reserved"]) == (None, False)
    assert cli("verify", "--json").json["ok"]
