"""Signing in by an OpenID provider: a real one, on this machine, that checks PKCE and signs what it knows of people."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import warnings
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2 as httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.serving import make_server

from config import settings
from config.settings import Settings
from tests.web.conftest import SITE, Portal, hidden
from web import by_provider
from web.app import create
from workflow import accounts, sessions

SECRET = "le secret du portail, assez long"
CLIENT = "coupe-file"


class Mock:
    """oidc-provider-mock, which signs no userinfo and looks at no PKCE: both are done here, and each lie that a test asks for."""

    def __init__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import oidc_provider_mock

        self.app = oidc_provider_mock.app(require_nonce=True)
        self.key = RSAKey.generate_key(2048, {"kid": "signed-userinfo", "use": "sig"})
        self.challenges, self.lie, self.signed, self.silent = {}, {}, True, False
        self.web = httpx.Client()
        self.server = make_server("localhost", 0, self.wsgi, threaded=True)
        self.issuer = f"http://localhost:{self.server.server_port}"
        for name, view in (("jwks", self.jwks), ("userinfo", self.userinfo), ("issue_token", self.token)):
            own = self.app.view_functions[f"oidc-provider-mock.{name}"]
            self.app.view_functions[f"oidc-provider-mock.{name}"] = lambda own=own, view=view: view(own)

    def wsgi(self, environ, start):
        if self.silent:
            start("503 Service Unavailable", [])
            return [b""]
        return self.app.wsgi_app(environ, start)

    def jwks(self, own):
        found = own().get_json()
        found["keys"].append(self.key.as_dict(private=False))
        return found

    def token(self, own):
        import flask

        form = flask.request.form
        wanted = self.challenges.pop(form["code"], None)
        made = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if made != wanted:
            return {"error": "invalid_grant"}, 400
        answer = own()
        if "id_token" in self.lie:
            found = answer.get_json()
            found["id_token"] = self.lie["id_token"](found["id_token"])
            answer.set_data(flask.json.dumps(found))
        return answer

    def userinfo(self, own):
        import flask

        known = own().get_json() | self.lie.get("claims", {})
        if not self.signed:
            return known
        said = {"iss": self.issuer, "aud": CLIENT} | known
        body = self.lie.get(
            "userinfo", lambda claims: jwt.encode({"alg": "RS256", "kid": "signed-userinfo"}, claims, self.key)
        )(said)
        return flask.Response(body, content_type="application/jwt; charset=utf-8")

    def identify(self, address, sub):
        """A person identifies there: where they are sent back to."""
        asked = parse_qs(urlsplit(address).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert min(len(asked["state"][0]), len(asked["nonce"][0])) >= 32
        answer = self.web.post(address, data={"sub": sub} if sub else {"action": "deny"})
        back = answer.headers["location"]
        code = parse_qs(urlsplit(back).query).get("code")
        if code:
            self.challenges[code[0]] = asked["code_challenge"][0]
        else:  # it does not say which state it refuses
            back += f"&{urlencode({'state': asked['state'][0]})}"
        return back

    def know(self, sub, **claims):
        self.web.put(f"{self.issuer}/users/{sub}", json=claims).raise_for_status()


@pytest.fixture(scope="module")
def running():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mock = Mock()
        thread = threading.Thread(target=mock.server.serve_forever, args=(0.05,))
        thread.start()
        yield mock
        mock.server.shutdown()
        thread.join(5)
        mock.server.server_close()
        mock.web.close()


@pytest.fixture
def there(running, portal, recwarn):
    """The provider, and the portal that knows it; nobody is linked to anybody."""
    running.lie, running.signed, running.silent = {}, True, False
    portal.world.sql("delete from identities")
    portal.world.sql("delete from attempts")
    return running


@contextmanager
def with_settings(portal, **more):
    known = Settings(database_url=portal.settings.database_url, base_url=SITE, **more)
    yield Portal(portal.world, create(known, portal.world.make, lambda: None), known, portal.dossier, portal.reference)


@pytest.fixture
def open_(portal, there):
    """The portal with its provider."""
    with with_settings(portal, oidc_issuer=there.issuer, oidc_client_id=CLIENT, oidc_client_secret=SECRET) as made:
        yield made


def leave(visitor, **fields):
    """To the provider: the address that the page leads to."""
    before = hidden(visitor.get("/connexion").text, "before")
    answer = visitor.post("/connexion/fournisseur", {"before": before, "then": "/", "kept": "", **fields})
    assert answer.status_code == 200, answer.text
    address = answer.headers["refresh"].removeprefix("0; url=")
    assert address.replace("&", "&amp;") in answer.text
    return address


def back(visitor, address):
    return visitor.get(address.removeprefix(SITE))


def enter(portal, there, sub, mail, **claims):
    """Somebody identifies there and comes back: the browser, and the answer."""
    there.know(sub, email=mail, **{"email_verified": True, **claims})
    visitor = portal.visitor()
    return visitor, back(visitor, there.identify(leave(visitor), sub))


def linked(portal):
    return portal.world.sql("select i.sub, p.login from identities i join persons p on p.id = i.person_id order by 1")


def test_who_is_known_by_a_verified_mail_enters_in_their_seat_and_is_known_by_sub_from_then_on(open_, there):
    before = open_.world.value("select count(*) from persons"), open_.world.value("select count(*) from memberships")
    visitor, answer = enter(open_, there, "agent-7", "REF2@x.example")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert visitor.get("/demi-heure").status_code == 200
    assert linked(open_) == [("agent-7", "ref2")]
    again, answer = enter(open_, there, "agent-7", "une.autre@ailleurs.example", email_verified=False)
    assert answer.status_code == 303
    assert again.get("/demi-heure").status_code == 200
    assert (
        open_.world.value("select count(*) from persons"),
        open_.world.value("select count(*) from memberships"),
    ) == before


def test_signing_out_here_leads_to_the_providers_own_way_out_with_its_token(open_, there):
    visitor, _ = enter(open_, there, "agent-7", "ref2@x.example")
    token = visitor.client.cookies["session"]
    with open_.world.make.begin() as session:
        signed = sessions.find(session, token)
    answer = visitor.post("/deconnexion", {"csrf": signed.csrf})
    address = urlsplit(answer.headers["refresh"].removeprefix("0; url="))
    said = parse_qs(address.query)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{there.issuer}/oauth2/end_session"
    assert said["id_token_hint"] == [signed.id_token]
    assert said["post_logout_redirect_uri"] == [f"{SITE}/"]
    assert len(said["state"][0]) >= 32
    assert visitor.get("/demi-heure").status_code == 303
    assert open_.world.value("select count(*) from web_sessions where digest = :d", d=sessions.digest(token)) == 0


def test_a_provider_that_has_gone_keeps_nobody_signed_in(open_, there):
    visitor, _ = enter(open_, there, "agent-7", "ref2@x.example")
    with open_.world.make.begin() as session:
        signed = sessions.find(session, visitor.client.cookies["session"])
    there.silent = True
    answer = visitor.post("/deconnexion", {"csrf": signed.csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert visitor.get("/demi-heure").status_code == 303


WHO = {
    "nobody here": ("agent-9", "inconnu@ailleurs.example", {}, "nobody"),
    "not verified": ("agent-9", "ref2@x.example", {"email_verified": False}, "unverified"),
    "verified as a word": ("agent-9", "ref2@x.example", {"email_verified": "true"}, "unverified"),
    "no mail": ("agent-9", None, {}, "unverified"),
    "a login is no mail": ("agent-9", "ref2", {}, "nobody"),
}


@pytest.mark.parametrize("case", WHO)
def test_whom_the_directory_does_not_know_by_a_verified_mail_is_told_why_and_does_not_enter(case, open_, there):
    sub, mail, claims, why = WHO[case]
    visitor, answer = enter(open_, there, sub, mail, **claims)
    assert answer.status_code == 403
    assert by_provider.REFUSED[why].replace("'", "&#39;") in answer.text
    assert "session" not in visitor.client.cookies
    assert linked(open_) == []


def test_another_identity_with_the_same_mail_does_not_take_an_account_over_until_its_owner_undoes_the_link(
    open_, there
):
    visitor, _ = enter(open_, there, "agent-7", "ref2@x.example")
    _, answer = enter(open_, there, "agent-8", "ref2@x.example")
    assert answer.status_code == 403
    assert linked(open_) == [("agent-7", "ref2")]
    page = visitor.get("/compte").text
    assert "Votre compte y est relié depuis" in page
    assert visitor.post("/compte/identite/fin", {"csrf": hidden(page, "csrf")}).status_code == 303
    _, answer = enter(open_, there, "agent-8", "ref2@x.example")
    assert answer.status_code == 303


def test_a_closed_account_stays_closed(open_, there):
    enter(open_, there, "agent-7", "ref2@x.example")
    key = open_.world.actor("ref2").person
    with open_.world.make.begin() as session:
        accounts.set_password(session, key, "un mot de passe assez long")
    open_.world.sql("update accounts set closed_at = clock_timestamp() where person_id = :key", key=key)
    try:
        for sub in ("agent-7", "agent-8"):
            _, answer = enter(open_, there, sub, "ref2@x.example")
            assert answer.status_code == 403
    finally:
        open_.world.sql("delete from accounts where person_id = :key", key=key)


def test_only_the_browser_that_left_comes_back_once_and_in_time(open_, there):
    there.know("agent-7", email="ref2@x.example", email_verified=True)
    visitor, stranger = open_.visitor(), open_.visitor()
    address = there.identify(leave(visitor), "agent-7")
    leave(stranger)
    for who, where in (
        (stranger, address),
        (open_.visitor(), address),
        (visitor, address.replace("state=", "state=x")),
    ):
        answer = back(who, where)
        assert answer.status_code == 401
        assert by_provider.TOO_LATE in answer.text
    assert back(visitor, address).status_code == 401, "what a wrong state has used is used"
    address = there.identify(leave(visitor), "agent-7")
    open_.world.sql("update leavings set ends_at = clock_timestamp()")
    assert back(visitor, address).status_code == 401
    address = there.identify(leave(visitor), "agent-7")
    assert back(visitor, address).status_code == 303
    assert back(visitor, address).status_code == 401
    assert linked(open_) == [("agent-7", "ref2")]


def test_what_was_typed_before_waits_and_who_gives_up_is_told_so(open_, there):
    there.know("agent-7", email="ref2@x.example", email_verified=True)
    visitor, kept = open_.visitor(), '{"message": "Gardé \\u003cici\\u003e"}'
    answer = back(visitor, there.identify(leave(visitor, then="/file", kept=kept), None))
    assert answer.status_code == 401
    assert by_provider.DENIED.replace("'", "&#39;") in answer.text
    assert "Gardé &lt;ici&gt;" in answer.text
    answer = back(visitor, there.identify(leave(visitor, then="/file", kept=kept), "agent-7"))
    assert 'action="/file"' in answer.text
    assert "Gardé &lt;ici&gt;" in answer.text


def forged(there):
    """Each way of lying, to be believed in none; and what the liar's tools make when they are asked for the truth."""
    other = RSAKey.generate_key(2048, {"kid": "signed-userinfo"})

    def encoded(claims, key=None, alg="RS256", **more):
        return jwt.encode({"alg": alg, "kid": "signed-userinfo"}, claims | more, key or there.key, algorithms=[alg])

    def again(key=None, **more):
        def changed(token):
            body = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            return encoded(
                claims | {name: value(claims) if callable(value) else value for name, value in more.items()}, key
            )

        return changed

    yield "a key of somebody else", {"userinfo": lambda claims: encoded(claims, other)}
    yield "our own secret as key", {"userinfo": lambda claims: encoded(claims, OctKey.import_key(SECRET), "HS256")}
    yield "userinfo of another issuer", {"userinfo": lambda claims: encoded(claims, iss="https://ailleurs.example")}
    yield "userinfo for somebody else", {"userinfo": lambda claims: encoded(claims, aud="un-autre")}
    yield "userinfo of another person", {"userinfo": lambda claims: encoded(claims, sub="agent-8")}
    yield "no token at all", {"userinfo": lambda claims: "x.y.z"}
    yield "another sign-in", {"id_token": again(nonce="x" * 40)}
    yield "another issuer", {"id_token": again(iss="https://ailleurs.example")}
    yield "another portal", {"id_token": again(aud="un-autre")}
    yield "a token meant for another", {"id_token": again(aud=[CLIENT, "un-autre"], azp="un-autre")}
    yield "over", {"id_token": again(exp=lambda claims: claims["iat"] - 3600)}
    yield "another key", {"id_token": again(key=other)}
    yield "the truth", {"userinfo": encoded, "id_token": again()}
    yield "not signed", {"id_token": lambda token: f"eyJhbGciOiJub25lIn0.{token.split('.')[1]}."}


def test_nothing_forged_is_believed(open_, there):
    for case, lie in forged(there):
        there.lie = lie
        open_.world.sql("delete from attempts")
        visitor, answer = enter(open_, there, "agent-7", "ref2@x.example")
        if case == "the truth":
            assert answer.status_code == 303
            continue
        assert answer.status_code == 502, case
        assert by_provider.UNSURE.replace("'", "&#39;") in answer.text
        assert "session" not in visitor.client.cookies


def test_a_provider_that_signs_no_userinfo_is_heard_over_its_own_line(open_, there):
    there.signed = False
    assert enter(open_, there, "agent-7", "ref2@x.example")[1].status_code == 303
    there.lie = {"claims": {"sub": "agent-8"}}
    assert enter(open_, there, "agent-7", "ref2@x.example")[1].status_code == 502


def test_a_provider_whose_every_address_is_verified_is_trusted_when_the_operator_says_so(portal, there):
    given = {
        "oidc_issuer": there.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "oidc_mail": "trusted",
    }
    with with_settings(portal, **given) as trusting:
        assert enter(trusting, there, "agent-7", "ref2@x.example", email_verified=None)[1].status_code == 303


def test_a_provider_that_is_silent_or_is_another_is_told_in_plain_words_and_the_rest_still_lets_in(portal, there):
    down = {"oidc_issuer": there.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET}
    for changed, status, words in (
        ({}, 503, by_provider.SILENT),
        ({"oidc_issuer": there.issuer + "/"}, 502, by_provider.UNSURE),
    ):
        there.silent = not changed
        with with_settings(portal, **{**down, **changed}) as made:
            visitor = made.visitor()
            before = hidden(visitor.get("/connexion").text, "before")
            answer = visitor.post("/connexion/fournisseur", {"before": before, "then": "/", "kept": '{"a": "gardé"}'})
            assert answer.status_code == status
            assert words.replace("'", "&#39;") in answer.text


def test_without_a_provider_there_is_no_button_and_no_way(portal):
    visitor = portal.visitor()
    assert "/connexion/fournisseur" not in visitor.get("/connexion").text
    assert visitor.get("/connexion/fournisseur/retour?state=x&code=y").status_code == 404
    before = hidden(visitor.get("/connexion").text, "before")
    assert visitor.post("/connexion/fournisseur", {"before": before}).status_code == 404


def test_settings_that_do_not_go_together_are_told_by_name_and_the_secret_by_nobody(monkeypatch):
    monkeypatch.setenv("COUPE_FILE_OIDC_ISSUER", "https://fournisseur.example/api/v2")
    with pytest.raises(settings.SettingsError, match=r"COUPE_FILE_OIDC_ISSUER : .*COUPE_FILE_OIDC_CLIENT_ID"):
        settings.read()
    monkeypatch.setenv("COUPE_FILE_OIDC_CLIENT_ID", CLIENT)
    monkeypatch.setenv("COUPE_FILE_OIDC_CLIENT_SECRET", SECRET)
    assert SECRET not in repr(settings.read())
    monkeypatch.setenv("COUPE_FILE_OIDC_ISSUER", "http://fournisseur.example")
    with pytest.raises(settings.SettingsError, match="http n'est admis que sur cette machine"):
        settings.read()
