"""One act on several dossiers from the command line."""

WHO = ("--as", "ref-64")


def test_an_act_on_several_dossiers_is_foreseen_then_done_to_each_and_a_refusal_stops_nothing(cli, lacq):
    first, second = (cli("submit", *lacq, "--as", "directrice-lacq", "--json").json["reference"] for _ in range(2))
    note = ("--set", "note=Vu en séance.", *WHO, "--json")
    foreseen = cli("bulk", "note", first, second, *note, "--dry-run")
    assert (foreseen.code, [one["possible"] for one in foreseen.json["results"]]) == (0, [True, True])
    done = cli("bulk", "note", "-", *note, "--key", "k1", text=f"{first}\n{second} 99-9999\n")
    assert done.code == 1
    assert [one["became"] for one in done.json["results"]] == ["done", "done", "refused"]
    again = cli("bulk", "note", first, *note, "--key", "k1").json["results"]
    assert again[0]["became"] == "repeated"
    assert again[0]["event"] == done.json["results"][0]["event"]
    told = cli("bulk", "escalate", first, "99-9999", "--set", "reason=Rien ne bouge.", *WHO, "--dry-run")
    assert "refusé" in told.out
    assert "porteur" in told.out
    assert cli("verify").code == 0
