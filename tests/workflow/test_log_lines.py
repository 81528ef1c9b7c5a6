"""The log of real tasks: who and what by number, in the form that was asked for; nothing that people wrote, no secret."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import time

import psycopg
import pytest

from config import log_lines
from states.errors import BadInput

SECRET, PASSWORD = "Le-forage-est-confidentiel", "mot-de-passe"


@pytest.fixture
def written():
    """Give a function that writes one line in a form and gives it back."""
    kept = logging.root.handlers[:], logging.root.level

    def write(form, message, *args, **more):
        stream = io.StringIO()
        log_lines.configure(form, stream=stream)
        logging.getLogger("essai").warning(message, *args, **more)
        return stream.getvalue()

    yield write
    logging.root.handlers[:], logging.root.level = kept


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "message",
    [
        "postgresql://agent:mot-de-passe@h/b",
        "redis://:mot-de-passe@h:6379/0",
        "smtps://a%40b:mot-de-passe@h",
        "host=h password=mot-de-passe dbname=b",
        "host=h password='mot-de-passe' dbname=b",
        "postgresql://h/b?password=mot-de-passe&x=1",
    ],
)
def test_a_password_is_masked_wherever_it_stands(written, form, message):
    assert PASSWORD not in written(form, "lien %s", message)
    assert PASSWORD not in written(form, "lien %r", ConnectionError(message))


def test_an_address_of_a_person_is_masked(written):
    assert "ddt.example" not in written("text", "refusé : %s", "agent.de-la@ddt.example.fr")


def test_a_refusal_is_told_by_its_code_since_it_may_repeat_what_was_given(written):
    line = written("json", "non : %r", BadInput("value", f"« {SECRET} » illisible", field="title"))
    assert SECRET not in line
    assert json.loads(line)["message"] == "non : BadInput: value (title)"


def test_an_error_of_the_database_is_told_without_the_row(written, world):
    outer = RuntimeError("en écrivant")
    with psycopg.connect(world.url.replace("+psycopg", "")) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("insert into persons (id, login, name) values (null, 'x', %s)", [SECRET])
        assert SECRET in str(caught.value)
        outer.__cause__ = caught.value
    line = written("json", "échec %r", caught.value, exc_info=outer, extra={"dossier": 7, "text": SECRET})
    assert SECRET not in line
    said = json.loads(line)
    assert "23502" in said["message"]
    assert "RuntimeError: en écrivant" in said["trace"]
    assert said["dossier"] == 7


@pytest.mark.parametrize("form", ["text", "json"])
def test_real_tasks_write_neither_a_text_nor_a_password_even_when_they_fail(world, valkey, form, tmp_path):
    world.submit(blockage=SECRET)
    world.sql(
        "create function spoil() returns trigger language plpgsql as $$ begin raise exception 'non' "
        "using detail = (select string_agg(body, ' ') from texts); end $$"
    )
    world.sql("create trigger spoil before insert on notices for each row execute function spoil()")
    world.sql("alter table sweep_batches rename to gone")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COUPE_FILE_")}
    environment |= {
        "COUPE_FILE_DATABASE_URL": world.url.replace("//coupe_file@", f"//coupe_file:{PASSWORD}@"),
        "COUPE_FILE_REDIS_URL": f"redis+socket://{valkey.path}?virtual_host=0",
        "COUPE_FILE_MAIL": f"smtp://agent:{PASSWORD}@127.0.0.1:1",
        "COUPE_FILE_LOG": form,
        "COUPE_FILE_PROCESS": "ouvrier-1",
    }
    command = [sys.executable, "-m", "celery", "-A", "tasks.app", "worker", "-c", "1", "-l", "INFO"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    ring = [sys.executable, "-c", "from tasks.bell import ring; ring('react', 'sweep', 'deliver')"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            subprocess.run(ring, env=environment, check=True)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                if "42P01" in (tmp_path / "log").read_text() and world.sql("select from reaction_failures"):
                    break
                time.sleep(0.1)
        finally:
            worker.terminate()
            # celery 5.6.3 may read for ever from a pipe of its own while it stops: whoever supervises it kills it then
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(20)
            worker.kill()
            worker.wait()
    said = (tmp_path / "log").read_text()
    assert SECRET not in said
    assert PASSWORD not in said
    assert "coupe_file.sweep" in said
    assert "42P01" in said
    lines = [line for line in said.splitlines() if "subscriber tell failed" in line]
    assert lines
    if form == "json":
        fields = json.loads(lines[0])
        assert (fields["process"], fields["task"], fields["dossier"], fields["actor"]) == (
            "ouvrier-1", "coupe_file.react", 1, "system",
        )  # fmt: skip
    else:
        assert "ouvrier-1" in lines[0]
        assert "task=coupe_file.react dossier=1 actor=system" in lines[0]
