"""The help, in the two languages of its readers."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import typer

from cli import english
from cli.main import app
from config.settings import language

FRENCH = re.compile(
    r"[àâçéèêëîïôùûœ«»’]|(?<!-)\b(le|la|les|un|une|du|des|et|est|pour|dans|avec|sans|qui|que|par|ou)\b",
    re.IGNORECASE,
)
ENGLISH = re.compile(
    r"(?<!-)\b(the|of|and|with|this|from|required|default|env var|arguments:|commands?|bool|str|path|usage:)\b",
    re.IGNORECASE,
)


def commands():
    """Every command and group, with the context of its help."""
    root = typer.main.get_command(app)
    waiting = [typer.Context(root, info_name="coupe-file")]
    while waiting:
        context = waiting.pop()
        yield context
        below = getattr(context.command, "commands", {})
        waiting += [typer.Context(one, parent=context, info_name=name) for name, one in below.items()]


@pytest.fixture
def shown(monkeypatch, capsys):
    """Give a function that gives the help of every command, in a language and on a width."""

    def helps(lang, columns):
        monkeypatch.setenv("COUPE_FILE_LANG", lang)
        monkeypatch.setenv("COLUMNS", str(columns))
        return {context.command_path: context.get_help() + capsys.readouterr().out for context in commands()}

    return helps


@pytest.fixture
def texts(monkeypatch):
    """Every French text that help or completion can show."""
    monkeypatch.setenv("COUPE_FILE_LANG", "fr")
    found = set()
    for context in commands():
        panel = context.command.rich_help_panel
        found |= {context.command.help, panel if isinstance(panel, str) else None}
        for parameter in context.command.get_params(context):
            offered = [item.help for item in parameter.shell_complete(context, "")]
            found |= {parameter.help, parameter.metavar, *(words and words.replace("’", "'") for words in offered)}
    return {english.key(words) for words in found if words}


def test_every_text_of_the_help_has_its_english(texts):
    assert texts - english.WORDS.keys() == set()


def test_no_english_is_kept_for_a_text_that_is_gone(texts):
    assert english.WORDS.keys() - texts == set()


def left(out):
    """The French texts that stand in a help as they are, its frames and line breaks put aside."""
    words = " ".join(re.sub(r"[│─╭╮╰╯]", " ", out).split())
    differ = [" ".join(text.split()) for text, said in english.WORDS.items() if text != said]
    return [text for text in differ if re.search(rf"(?<![\w-]){re.escape(text)}(?![\w-])", words)]


@pytest.mark.parametrize("columns", [60, 100])
def test_help_in_english_shows_no_french(shown, columns):
    for command, out in shown("en", columns).items():
        assert f"Usage: {command}" in out
        assert FRENCH.findall(out) == [], command
        assert left(out) == [], command


@pytest.mark.parametrize("columns", [60, 100])
def test_help_in_french_shows_no_english(shown, columns):
    for command, out in shown("fr", columns).items():
        assert f"Usage : {command}" in out
        assert ENGLISH.findall(out) == [], command


def test_what_the_two_tests_above_look_for_is_seen_where_it_is(shown):
    assert all(FRENCH.search(out) and left(out) for out in shown("fr", 100).values())
    assert all(ENGLISH.search(out) for out in shown("en", 100).values())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "fr"),
        ({"LANG": "C.UTF-8"}, "fr"),
        ({"LANG": "POSIX"}, "fr"),
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en"}, "en"),
        ({"LANG": "enm_GB"}, "fr"),
        ({"LANG": "de_DE.UTF-8"}, "fr"),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LC_ALL": "fr_FR.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LANG": "en_US.UTF-8"}, "fr"),
        ({"LC_ALL": "", "LANG": "en_US.UTF-8"}, "en"),
        ({"COUPE_FILE_LANG": "en", "LC_ALL": "fr_FR.UTF-8"}, "en"),
        ({"COUPE_FILE_LANG": "fr", "LC_ALL": "en_US.UTF-8"}, "fr"),
        ({"COUPE_FILE_LANG": "de", "LANG": "en_US.UTF-8"}, "en"),
    ],
)
def test_the_language_is_the_one_chosen_else_that_of_the_locale_else_french(environment, expected):
    assert language(environment) == expected


def test_another_language_is_refused_where_settings_are_read_and_help_still_answers(cli):
    said = cli("clock", "show", COUPE_FILE_LANG="de")
    assert said.code == 2
    assert "COUPE_FILE_LANG" in said.err
    assert "fr ou en" in said.err
    assert "Usage : coupe-file clock" in cli("clock", "--help", COUPE_FILE_LANG="de", LC_ALL="C").out


@pytest.mark.parametrize(("lang", "opened"), [("fr", "False"), ("en", "True")])
def test_the_english_is_opened_only_for_who_reads_it(lang, opened):
    script = "import sys; from cli.main import app; app(['show', '--help'], standalone_mode=False); print('cli.english' in sys.modules)"
    environment = {**os.environ, "COUPE_FILE_LANG": lang}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == opened


def test_what_needs_no_database_loads_nothing_that_speaks_to_one():
    script = "import sys; from cli.main import app; app(['--version'], standalone_mode=False); print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
