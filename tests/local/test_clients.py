"""The client programs of PostgreSQL: one that the server accepts, or a sentence."""

import re
import subprocess

import pytest

from local import binaries
from local.folder import LocalError


@pytest.mark.parametrize("program", ["pg_dump", "pg_restore"])
@pytest.mark.parametrize("server", [15, 16, 17, 18])
def test_the_client_is_never_older_than_the_server(program, server):
    said = subprocess.run(
        [binaries.postgres_client(program, server), "--version"], capture_output=True, text=True, check=True
    )
    assert int(re.search(r"\) (\d+)", said.stdout)[1]) >= server


def test_a_server_newer_than_every_client_is_refused_with_what_to_install():
    with pytest.raises(LocalError, match="postgresql-client-99"):
        binaries.postgres_client("pg_dump", 99)
