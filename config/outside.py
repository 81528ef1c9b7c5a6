"""Which addresses outside may be called on somebody's word: public ones, and those that this installation names.

What is not public is what the registries of special addresses (RFC 6890, kept by the standard library's `ipaddress`) say is not,
and of IPv6 whatever lies outside 2000::/3 or carries an IPv4 address in it.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Special ones that not every version of Python that this program runs on calls so.
SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")))
LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Allowed:
    """The private places that may be called all the same: hosts by their exact name, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def names(self, host: str) -> bool:
        """Whether this host is one of those named, whatever its address; or a literal address of the networks."""
        found = literal(host)
        return host in self.hosts or (found is not None and self.holds(found))

    def holds(self, address: Address) -> bool:
        """Whether an address lies in the networks."""
        return any(address in network for network in self.networks if network.version == address.version)


class Target(NamedTuple):
    """An address to call, read: `path` is with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as the header `Host` says it, with its port where that is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"https": 443, "http": 80}


def allowed(given: str) -> Allowed:
    """The hosts and the networks of a setting, between commas. Raises ValueError: a part is neither."""
    hosts, networks = set(), []
    for part in filter(None, (one.strip().lower() for one in given.split(","))):
        try:
            networks.append(ipaddress.ip_network(part))
        except ValueError:
            if "/" in part or ":" in part or numeric(part):
                raise ValueError("un réseau est illisible, ou ses derniers bits ne sont pas nuls") from None
            hosts.add(part)
    return Allowed(frozenset(hosts), tuple(networks))


def literal(host: str) -> Address | None:
    """The address that a host is written as, an IPv4 address within IPv6 taken out; None for a name."""
    try:
        return plain(ipaddress.ip_address(host))
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for (::ffff:127.0.0.1), or the address itself."""
    return getattr(address, "ipv4_mapped", None) or address


def numeric(host: str) -> bool:
    """Whether a host is an IPv4 address in another dress: decimal, octal, hexadecimal, or with parts left out."""
    try:
        socket.inet_aton(host)
    except (OSError, UnicodeError):
        return False
    return True


def private(address: Address) -> bool:
    """Whether an address is no public one: loopback, link-local, private, shared, multicast, reserved, or in disguise."""
    address = plain(address)
    if not address.is_global or address.is_multicast or any(address in network for network in SPECIAL):
        return True
    return isinstance(address, ipaddress.IPv6Address) and address not in GLOBAL_UNICAST


def read(url: str, within: Allowed) -> Target:
    """An address that may be called, as far as its text tells; what its name resolves to is asked when it is called.

    Raises ValueError, in words that can be shown: the rule, never the address, which may hold a secret.
    """
    if not 0 < len(url) <= LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("adresse vide, trop longue ou illisible")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("adresse illisible") from None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or "%" in host:
        raise ValueError("adresse illisible : https://, puis un hôte")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise ValueError("ni identifiant, ni mot de passe, ni « # » dans l'adresse : c'est la signature qui prouve")
    named = within.names(host)
    if parts.scheme == "http" and not named:
        raise ValueError("sans TLS, l'envoi se lirait en chemin")
    found = literal(host)
    if found is None and numeric(host):
        raise ValueError("adresse numérique sous une forme détournée")
    if found is not None and private(found) and not named:
        raise ValueError("adresse privée")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path)


def refused(host: str, addresses: list[Address], within: Allowed) -> str | None:
    """Why what a host resolves to may not be called, or None: one address that may not is enough, whichever would be tried."""
    if not addresses:
        return "le nom ne mène à aucune adresse"
    if within.names(host):
        return None
    if any(private(one) and not within.holds(plain(one)) for one in addresses):
        return "le nom mène à une adresse privée"
    return None
