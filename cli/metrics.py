"""The figures for a monitor, in the OpenMetrics form: printed once, or served to whoever collects them."""

from __future__ import annotations

import ipaddress
import threading
from contextlib import closing

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.openmetrics.exposition import generate_latest
from sqlalchemy import text

from cli import database, say
from states.errors import BadInput, Refused
from workflow.figures import Figures, Patient

DEFAULT_PORT = 9464


def measure(serve: str | None, *, exposed: bool) -> None:
    """Print the figures once, or serve them until the process is stopped."""
    where = address(serve, exposed=exposed) if serve is not None else None
    registry = CollectorRegistry(auto_describe=False)
    with database.sessions() as make:
        figures = Figures(make)
        if where is None:
            registry.register(figures)
            say.raw(generate_latest(registry).decode())  # type: ignore[no-untyped-call]
            return
        with make() as session:
            session.execute(text("select 1"))
        registry.register(Patient(figures))
        _serve(registry, *where)


def address(given: str, *, exposed: bool) -> tuple[str, int]:
    """A host and a port of this machine; of another network only when asked for. Raises BadInput."""
    host, _, port = given.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise BadInput("address", "adresse illisible", field="--serve", accepted=f"127.0.0.1:{DEFAULT_PORT}")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not exposed:
        raise BadInput(
            "address",
            f"« {host[:60]} » se voit d'autres machines",
            field="--serve",
            accepted=f"127.0.0.1:{port}, ou la même adresse avec --exposed",
        )
    return host, int(port)


def _serve(registry: CollectorRegistry, host: str, port: int) -> None:
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Refused("port", f"impossible de servir sur {host}:{port} ({error.strerror})", field="--serve") from None
    say.aside(f"Mesures servies sur http://{host}:{port}/metrics ; Ctrl-C pour arrêter.")
    with closing(server.socket):
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            server.shutdown()
            thread.join(5)
