"""What a shell offers after a tab, asked as the shells ask."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.cli.conftest import PROGRAM

# What bash does at a tab: it fills COMP_WORDS and COMP_CWORD, calls the function, and offers what COMPREPLY holds.
TAB = """
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
complete -p coupe-file >/dev/null || exit 3
_coupe_file_completion coupe-file
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def home(tmp_path):
    """Give an empty home, where a server that started would leave its folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(home):
    """The environment of a person whose database does not answer: completion must not ask it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUPE_FILE_")}
    path = f"{PROGRAM.parent}{os.pathsep}{kept['PATH']}"
    unreachable = "postgresql://nobody@127.0.0.1:1/nothing"
    return {**kept, "PATH": path, "HOME": str(home), "COUPE_FILE_LANG": "fr", "COUPE_FILE_DATABASE_URL": unreachable}


@pytest.fixture
def bash(environment, home):
    """Give a function that asks bash what it offers at the end of a line; the completion is the installed one."""
    subprocess.run([PROGRAM, "--install-completion", "bash"], env=environment, check=True, capture_output=True)
    left = sorted(path.name for path in home.iterdir())

    def offered(*line):
        script = f"source {home}/.bashrc\n{TAB}"
        command = ["bash", "--norc", "-c", script, "bash", *line]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert sorted(path.name for path in home.iterdir()) == left == [".bash_completions", ".bashrc"]
        return done.stdout.split()

    return offered


def asked(environment, shell, line, **more):
    """What the script of a shell receives."""
    variables = {"_COUPE_FILE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, **more}
    done = subprocess.run([PROGRAM], env={**environment, **variables}, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_bash_offers_commands_options_and_known_values_without_a_database(bash):
    assert {"submit", "show", "end-hold", "outbox", "up"} <= set(bash("coupe-file", ""))
    assert bash("coupe-file", "outb") == ["outbox"]
    assert bash("coupe-file", "outbox", "re") == ["requeue", "release"]
    assert bash("coupe-file", "outbox", "list", "--st") == ["--state"]
    assert bash("coupe-file", "outbox", "list", "--state", "") == ["queued", "dead", "held", "sent", "void"]


def test_bash_offers_what_the_shipped_definition_says(bash):
    assert bash("coupe-file", "resolve", "64-0001", "--outcome", "re") == ["refused", "redirected"]
    assert bash("coupe-file", "act", "64-0001", "e") == ["end_hold", "extend", "escalate"]
    assert bash("coupe-file", "submit", "--definition", "") == ["avis", "coupe-file", "projet", "raccordement"]
    assert bash("coupe-file", "workflow", "diff", "rac") == ["raccordement"]


def test_nothing_is_said_or_done_while_a_line_is_completed(bash):
    assert bash("coupe-file", "--version", "sub") == ["submit"]
    assert bash("coupe-file", "--install-completion", "fish", "sub") == ["submit"]
    assert "submit" in bash("coupe-file", "inconnue", "")


@pytest.mark.parametrize(
    ("lang", "command", "verb"),
    [("fr", "Remet en file", "Saisir l’échelon supérieur"), ("en", "Queue again", "Call upon the next rung up")],
)
def test_fish_and_zsh_are_told_what_each_thing_means_in_the_language_of_the_reader(environment, lang, command, verb):
    environment |= {"COUPE_FILE_LANG": lang}
    fish = asked(environment, "fish", "coupe-file outbox req", _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert fish.startswith(f"requeue\t{command}")
    zsh = asked(environment, "zsh", "coupe-file act 64-0001 esc")
    assert zsh.strip() == f"""_arguments '*: :(("escalate":"{verb}"))'"""


def test_a_shell_that_is_not_known_is_refused_with_those_that_are(environment):
    done = subprocess.run([PROGRAM, "--show-completion", "csh"], env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert "bash, zsh ou fish" in " ".join(done.stderr.decode().split())
    for shell in ("zsh", "fish"):
        shown = subprocess.run([PROGRAM, "--show-completion", shell], env=environment, capture_output=True, check=True)
        assert b"_COUPE_FILE_COMPLETE" in shown.stdout


def test_what_is_shown_is_what_would_be_installed(environment, home):
    for option in ("--install-completion", "--show-completion"):
        done = subprocess.run([PROGRAM, option, "bash"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (home / ".bash_completions" / "coupe-file.sh").read_text(encoding="utf-8").strip()


def test_a_home_that_cannot_be_written_is_said(environment, home):
    (home / ".bashrc").mkdir()
    command = [PROGRAM, "--install-completion", "bash"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "la complétion ne peut pas être installée" in done.stderr
