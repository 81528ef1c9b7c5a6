"""Webhooks from the command line: made, told of, tried, replayed, and never shown with their secret again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from standardwebhooks import Webhook


@pytest.fixture
def endpoint():
    """Give the address of a server on this machine, and what it was sent; it answers 500 to the first trial."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(500 if len(got) == 1 else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/?jeton=cache", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_is_added_tried_called_replayed_rotated_and_disabled(cli, dossier, endpoint, query, monkeypatch):
    url, got = endpoint
    refused = cli("webhook", "add", url, "--json")
    assert (refused.code, refused.error["field"]) == (2, "url")
    monkeypatch.setenv("COUPE_FILE_WEBHOOKS_ALLOW", "127.0.0.1")
    assert cli("webhook", "add", url, "--kind", "naissance").code == 2
    made = cli("webhook", "add", url, "--by", "astreinte", "--json").json
    assert "cache" not in json.dumps(made)
    secret, webhook = made["secret"], Webhook(made["secret"])
    failed = cli("webhook", "test", "1")
    assert (failed.code, "réponse 500" in failed.out) == (1, True)
    assert cli("webhook", "test", "1", "--json").json == {"host": "127.0.0.1", "status": 204, "why": None}
    assert [webhook.verify(body, headers)["type"] for headers, body in got] == ["coupe-file.test"] * 2
    cli("react")
    assert "webhook n° 1" in cli("outbox", "list").out
    cli("deliver")
    assert webhook.verify(got[2][1], got[2][0])["subject"] == dossier
    (sent,) = cli("webhook", "log", "1", "--json").json["deliveries"]
    assert (sent["state"], sent["kind"], sent["why"]) == ("sent", "submit", "réponse 204")
    assert "réponse 204" in cli("webhook", "log", "1").out
    assert cli("webhook", "replay", "1").code == 2
    assert "1 envoi remis en file" in cli("webhook", "replay", "1", str(sent["id"])).out
    rotated = cli("webhook", "rotate", "1", "--json").json
    cli("deliver")
    assert got[3][0]["webhook-id"] == got[2][0]["webhook-id"]
    assert webhook.verify(got[3][1], got[3][0]) == Webhook(rotated["secret"]).verify(got[3][1], got[3][0])
    assert "désactivé" in cli("webhook", "disable", "1", "--reason", "travaux").out
    assert "travaux" in cli("webhook", "list").out
    found = {one["code"]: one for one in cli("doctor", "--json").json["findings"]}
    assert "travaux" in found["webhooks_disabled"]["words"]
    assert "webhook" not in found["calls"]["words"]
    assert "actif" in cli("webhook", "enable", "1").out
    found = {one["code"]: one for one in cli("doctor", "--json").json["findings"]}
    assert "webhook 127.0.0.1" in found["calls"]["words"]
    assert found["webhooks"]["words"] == "1 en service"
    listed = cli("webhook", "list", "--json").out + cli("webhook", "list").out + cli("webhook", "log", "1").out
    assert secret not in listed
    assert rotated["secret"] not in listed
    acts = [what for what, _ in query("select what, who from operations order by id")]
    assert acts == [f"webhook.{act}" for act in ("add", "replay", "rotate", "disable", "enable")]
    assert cli("webhook", "log", "2").code == 1


def test_there_is_nothing_to_show_before_there_is_one(cli):
    assert "Aucun webhook." in cli("webhook", "list").out
    found = {one["code"]: one for one in cli("doctor", "--json").json["findings"]}
    assert found["webhooks"]["words"] == "aucun en service"
