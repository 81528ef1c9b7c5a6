"""How a webhook is called: signed (Standard Webhooks 1.0), at an address that was looked at first, with nothing taken on its word.

The name is resolved once, every address that it gives must be allowed (`config.outside`), and the connection goes to one of
those very addresses, while TLS and `Host` go by the name. No redirect is followed, no proxy is used, no body is read.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import socket
import ssl
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import httpx2 as httpx
from sqlalchemy.orm import Session, sessionmaker

from config import outside
from config.settings import Settings, program
from workflow import business_time, cloud_events, webhook_deliveries
from workflow.webhook_deliveries import Delivery

log = logging.getLogger(__name__)

SECONDS = 10.0
"""How long a call may take in all, whatever the other side does."""
BATCH = 20
FINE = range(200, 300)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: the status, or none; `why` says what went wrong, if something did."""

    host: str
    status: int | None
    why: str = ""


def signed(message_id: str, at: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers of a message sent at an instant, in seconds: its id, the instant, and a signature by each secret."""
    given = b"%b.%d.%b" % (message_id.encode(), at, body)
    made = [base64.b64encode(hmac.digest(secret, given, hashlib.sha256)).decode() for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{one}" for one in made),
    }


def deliver_webhooks(make: sessionmaker[Session], settings: Settings, *, limit: int = BATCH) -> int:
    """Call for one batch of deliveries, at once; returns how many were taken. Nothing is sent inside a transaction."""
    with make.begin() as session:
        claimed = webhook_deliveries.claim(session, limit=limit, base_url=settings.base_url)
    ready = [one for one in claimed if not one.lost]
    answers = asyncio.run(_calls(ready, settings)) if ready else []
    for delivery, answer in zip(ready, answers, strict=True):
        with make.begin() as session:
            if answer.status in FINE:
                webhook_deliveries.sent(session, delivery, answer.host, answer.status or 0)
            else:
                webhook_deliveries.failed(session, delivery, answer.why, answer.status)
    for delivery in (one for one in claimed if one.lost):
        with make.begin() as session:
            webhook_deliveries.lost(session, delivery)
    return len(claimed)


def trial(url: str, secrets: Sequence[bytes], settings: Settings) -> Answer:
    """Call a webhook with a trial that tells of nothing, and say what it answered."""
    key = uuid.uuid4()
    body = cloud_events.test(at=business_time.real_now(), base_url=settings.base_url, message_id=key)
    delivery = Delivery(0, key, 0, url, 1, tuple(secrets), body)
    (answer,) = asyncio.run(_calls([delivery], settings))
    return answer


async def _calls(deliveries: Sequence[Delivery], settings: Settings) -> list[Answer]:
    allow = outside.allowed(settings.webhooks_allow)
    return await asyncio.gather(*(_call(one, allow) for one in deliveries))


async def _call(delivery: Delivery, allow: outside.Allowed) -> Answer:
    """Call once; what goes wrong is an answer too."""
    host = ""
    try:
        target = outside.read(delivery.url, allow)
        host = target.host
        async with asyncio.timeout(SECONDS):
            addresses = await _resolved(target)
            why = outside.refused(host, addresses, allow)
            if why is not None:
                return Answer(host, None, f"refusé : {why}")
            status = await _posted(target, addresses, delivery)
    except TimeoutError:
        return Answer(host, None, f"sans réponse en {SECONDS:.0f} s")
    except ValueError as error:
        return Answer(host, None, f"refusé : {error}")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Answer(host, None, f"injoignable : {type(error).__name__} {error}"[:300])
    except Exception as error:
        log.exception("webhook %s", delivery.webhook)
        return Answer(host, None, repr(error)[:300])
    return Answer(host, status, "" if status in FINE else f"réponse {status}")


async def _resolved(target: outside.Target) -> list[outside.Address]:
    """Every address that the host has; of a literal, itself."""
    found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found))


async def _posted(target: outside.Target, addresses: Sequence[outside.Address], delivery: Delivery) -> int:
    """Send to the first of these addresses that can be reached; the status that it answers."""
    at = int(business_time.real_now().timestamp())
    headers = {
        "host": target.authority, "content-type": cloud_events.MEDIA_TYPE, "user-agent": f"coupe-file/{program()}",
        "accept": "*/*", "connection": "close", **signed(str(delivery.message_id), at, delivery.body, delivery.secrets),
    }  # fmt: skip
    named = {"sni_hostname": target.host} if outside.literal(target.host) is None else {}
    async with httpx.AsyncClient(verify=_trust(), trust_env=False, follow_redirects=False, timeout=SECONDS) as client:
        for number, address in enumerate(addresses, start=1):
            there = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004  (the version of IP)
            url = f"{target.scheme}://{there}:{target.port}{target.path}"
            try:
                async with client.stream(
                    "POST", url, headers=headers, content=delivery.body, extensions=named
                ) as answer:
                    return answer.status_code
            except httpx.ConnectError:
                if number == len(addresses):
                    raise
    raise OSError("aucune adresse")


@cache
def _trust() -> ssl.SSLContext:
    """Whom TLS believes: this machine's authorities, or those that SSL_CERT_FILE names."""
    return ssl.create_default_context()
