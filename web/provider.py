"""The OpenID provider that people may sign in with (ProConnect, for an administration): what is asked of it, and what is believed.

Authorization code with PKCE, state and nonce (OpenID Connect Core 1.0; RFC 7636). A token is believed when its signature
is that of a key of the provider, and it is for us, from it, of now, and of this sign-in. Its keys and addresses are asked for
each time: a key that it retires is believed no longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext, create_default_context
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2 as httpx
from authlib.integrations.httpx_client import OAuth2Client, OAuthError
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from config.settings import Settings
from workflow.identities import Asked

SECONDS = 5
LEEWAY = 60
ALGORITHMS = ("RS256", "ES256", "PS256", "EdDSA")
"""Signed by a key that only the provider has: with HS256 whoever knows our secret could sign."""
WAY_OUT = "end_session_endpoint"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", WAY_OUT)
LONGEST_SUB, LONGEST_MAIL = 255, 320


class Unanswered(Exception):
    """The provider does not answer, or not now."""


class Unbelieved(Exception):
    """What the provider answered cannot be believed: why, for the log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider has seen. `mail` is None unless it is verified; the token is shown to it again to sign out."""

    sub: str
    mail: str | None
    id_token: str = field(repr=False)


class Provider:
    """One OpenID provider, and what this portal is to it."""

    def __init__(self, settings: Settings) -> None:
        self.issuer, self.name = settings.oidc_issuer or "", settings.oidc_name
        self.client = settings.oidc_client_id or ""
        self._secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret is not None else ""
        self._scopes, self._trusted = settings.oidc_scopes, settings.oidc_mail == "trusted"
        self._home = settings.base_url.rstrip("/")

    @property
    def callback(self) -> str:
        """Where it sends people back to; registered with it."""
        return f"{self._home}/connexion/fournisseur/retour"

    def way_in(self, asked: Asked) -> str:
        """Where somebody goes to be identified. Raises Unanswered, Unbelieved."""
        with self._oauth() as client:
            address, _ = client.create_authorization_url(
                self._addresses()["authorization_endpoint"], state=asked.state, code_verifier=asked.verifier, nonce=asked.nonce
            )  # fmt: skip
        return str(address)

    def way_out(self, id_token: str, state: str) -> str | None:
        """Where somebody goes to sign out there too, to come back here; None when it has no such place. Raises likewise."""
        there = self._addresses().get(WAY_OUT)
        if there is None:
            return None
        words = {"id_token_hint": id_token, "post_logout_redirect_uri": f"{self._home}/", "state": state}
        return f"{there}{'&' if urlsplit(there).query else '?'}{urlencode(words)}"

    def identified(self, code: str, asked: Asked) -> Identity:
        """Who came back with a code. Raises Unanswered, Unbelieved."""
        addresses = self._addresses()
        keys = self._keys(addresses["jwks_uri"])
        try:
            with self._oauth() as client:
                given = client.fetch_token(
                    addresses["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=asked.verifier
                )  # fmt: skip
        except OAuthError as error:
            raise Unbelieved(f"code: {error}") from error
        except (httpx.HTTPError, ValueError) as error:
            raise Unanswered(f"token: {error!r}") from error
        token, access = given.get("id_token"), given.get("access_token")
        if not isinstance(token, str) or not isinstance(access, str):
            raise Unbelieved("the answer has no id_token or no access_token")
        claims = self._claims(token, keys, exp={"essential": True}, nonce={"essential": True, "value": asked.nonce})
        sub = claims["sub"]
        if not 0 < len(sub) <= LONGEST_SUB:
            raise Unbelieved("sub")
        info = self._userinfo(addresses["userinfo_endpoint"], access, keys)
        if info.get("sub") != sub:
            raise Unbelieved("userinfo is of somebody else")
        return Identity(sub, self._mail(info), token)

    def _mail(self, info: Mapping[str, Any]) -> str | None:
        mail = info.get("email")
        if not isinstance(mail, str) or not 0 < len(mail) <= LONGEST_MAIL or not mail.isprintable():
            return None
        return mail if self._trusted or info.get("email_verified") is True else None

    def _userinfo(self, address: str, access: str, keys: KeySet) -> Mapping[str, Any]:
        """What the provider knows of the person: signed (application/jwt) as ProConnect does, or plain JSON."""
        answer = self._get(address, {"Authorization": f"Bearer {access}"})
        if answer.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/jwt":
            return self._claims(answer.text.strip(), keys)
        return _object(answer)

    def _claims(self, token: str, keys: KeySet, **wanted: Any) -> Mapping[str, Any]:
        """What a token says, once its signature, its issuer and its audience are right."""
        required: dict[str, Any] = {
            "iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": self.client},
            "sub": {"essential": True}, **wanted,
        }  # fmt: skip
        try:
            claims = _signed(token, keys)
            jwt.JWTClaimsRegistry(leeway=LEEWAY, **required).validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise Unbelieved(f"token: {error!r}") from error
        audience = claims["aud"]
        if ((isinstance(audience, list) and len(audience) > 1) or "azp" in claims) and claims.get("azp") != self.client:
            raise Unbelieved("azp")
        return claims

    def _addresses(self) -> Mapping[str, str]:
        """Where its endpoints are, as it says itself (OpenID Connect Discovery 1.0)."""
        found = _object(self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"))
        if found.get("issuer") != self.issuer:
            raise Unbelieved(f"the provider says that it is {found.get('issuer')!r}")
        addresses = {name: value for name, value in found.items() if isinstance(value, str)}
        scheme = urlsplit(self.issuer).scheme
        for name in ENDPOINTS:
            there = addresses.get(name)
            if (there is None and name != WAY_OUT) or (
                there is not None and not there.startswith(("https://", f"{scheme}://"))
            ):
                raise Unbelieved(f"{name} : {there!r}")
        return addresses

    def _keys(self, address: str) -> KeySet:
        found: Any = _object(self._get(address))
        try:
            return KeySet.import_key_set(found)
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise Unbelieved(f"keys: {error!r}") from error

    def _get(self, address: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        try:
            answer = httpx.get(address, headers=headers, timeout=SECONDS, follow_redirects=False, verify=_trusted())
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unanswered(repr(error)) from error
        return answer

    def _oauth(self) -> OAuth2Client:
        return OAuth2Client(
            self.client, self._secret, scope=self._scopes, redirect_uri=self.callback, code_challenge_method="S256",
            timeout=SECONDS, follow_redirects=False, verify=_trusted(),
        )  # fmt: skip


@cache
def _trusted() -> SSLContext:
    """The authorities that this machine trusts: an administration may have its own."""
    return create_default_context()


def _signed(token: str, keys: KeySet) -> dict[str, Any]:
    """The claims of a token that a key of the set has signed: the key that it names, or any if it names none."""
    named = jws.extract_compact(token.encode()).headers().get("kid")
    for key in keys.keys:
        if named in (None, key.kid):
            with suppress(JoseError):
                return dict(jwt.decode(token, key, algorithms=list(ALGORITHMS)).claims)
    raise Unbelieved("no key of the provider has signed this token")


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found: Any = answer.json()
    except ValueError as error:
        raise Unbelieved(f"{answer.url} : no JSON") from error
    if not isinstance(found, dict):
        raise Unbelieved(f"{answer.url} : no object")
    return found
