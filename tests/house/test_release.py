"""What is released: a version from git, locks that agree, licences that may be given on, a changelog that is kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


# --- the version ----------------------------------------------------------------------------------------------------


def git(folder, *arguments):
    identity = ["-c", "user.name=x", "-c", "user.email=x@x.example", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def version(folder, **environment):
    """The version that the tree in this folder says it is of."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SETUPTOOLS_SCM", "GIT_"))}
    done = subprocess.run(
        [BIN / "hatchling", "version"],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """Give a fresh repository, without tags, that holds what decides the version."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitattributes", ".git_archival.txt"):
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "One")
    return folder


def unpacked(clone, folder):
    folder.mkdir()
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=clone, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x"], cwd=folder, input=packed, check=True)
    return folder


def test_a_clone_without_tags_has_a_version_that_names_its_commit(clone):
    head = git(clone, "rev-parse", "--short=7", "HEAD")
    assert re.fullmatch(rf"0\.\d+\.\d+\.dev1\+g{head}\w*", version(clone))


def test_a_tag_is_the_version_and_what_comes_after_it_comes_after_it(clone):
    git(clone, "tag", "v1.2.0")
    assert version(clone) == "1.2.0"
    git(clone, "commit", "-q", "--allow-empty", "-m", "Two")
    assert version(clone).startswith("1.2.1.dev1+g")


def test_an_archive_of_a_tag_has_its_version_without_git(clone, tmp_path):
    git(clone, "tag", "v1.2.0")
    assert version(unpacked(clone, tmp_path / "archive")) == "1.2.0"


def test_an_archive_without_a_tag_and_a_bare_copy_have_a_version_too(clone, tmp_path):
    assert version(unpacked(clone, tmp_path / "archive")).startswith("0.0")
    copied = shutil.copytree(clone, tmp_path / "copy", ignore=shutil.ignore_patterns(".git"))
    assert version(copied) == "0.0.0"


def test_a_version_that_is_given_wins_as_in_the_image(clone):
    assert version(clone, SETUPTOOLS_SCM_PRETEND_VERSION="3.1.4") == "3.1.4"
    assert "SETUPTOOLS_SCM_PRETEND_VERSION" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_program_says_its_version():
    said = subprocess.run([BIN / "coupe-file", "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"coupe-file {metadata.version('coupe-file')}\n"


# --- the locks ------------------------------------------------------------------------------------------------------


def locked(name):
    """The lines of a lock, by package: version, marker and hashes."""
    joined = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return {line.partition("==")[0]: " ".join(line.split()) for line in joined.splitlines() if line.strip()}


def test_what_production_installs_is_what_was_tested():
    tested = locked("requirements-dev.lock")
    assert {name: line for name, line in locked("requirements.lock").items() if tested.get(name) != line} == {}


def test_the_build_stage_of_the_image_finds_its_tools_in_the_lock():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert set(asked) <= set(locked("requirements-dev.lock"))


# --- licences -------------------------------------------------------------------------------------------------------

LESSER = {"psycopg", "psycopg-binary"}  # LGPL-3.0: used as a library, not changed; it may be given on so
FREE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public|Zlib|Unlicense|0BSD|HPND)\b"
)
COPYLEFT = re.compile(r"A?GPL|GNU (?:Affero )?General Public", re.IGNORECASE)


def licence(name):
    """What a package says of its licence: the expression, the field or the classifiers."""
    about = metadata.metadata(name)
    said = [about.get("License-Expression") or "", (about.get("License") or "").partition("\n")[0]]
    said += [one for one in about.get_all("Classifier") or [] if one.startswith("License ::")]
    return " | ".join(one for one in said if one)


def runs():
    """The packages that the program needs to run here, followed from its own list."""
    found, todo = set(), [Requirement(line) for line in PROJECT["dependencies"]]
    while todo:
        asked = todo.pop()
        name, extras = canonicalize_name(asked.name), frozenset(asked.extras)
        if (name, extras) in found:
            continue
        found.add((name, extras))
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": one}) for one in extras or {""}):
                todo.append(needed)
    return {name for name, _ in found}


def test_what_is_followed_from_the_list_of_the_project_is_what_the_lock_holds():
    joined = {name for name, line in locked("requirements.lock").items() if " ; " not in line}
    assert joined <= runs()
    assert runs() <= set(locked("requirements.lock"))


def test_nothing_that_runs_is_under_the_gpl_or_the_agpl():
    said = {name: licence(name) for name in runs()}
    assert {name: words for name, words in said.items() if COPYLEFT.search(words.replace("LGPL", ""))} == {}


def test_everything_that_runs_is_under_a_free_licence_that_is_known():
    said = {name: licence(name) for name in runs() - LESSER}
    assert {name: words for name, words in said.items() if not FREE.search(words)} == {}


def test_the_lesser_licence_is_where_it_is_expected_and_nowhere_else():
    lesser = {name for name in runs() if re.search("LGPL|Lesser", licence(name))}
    assert lesser == LESSER


# --- the changelog --------------------------------------------------------------------------------------------------


def test_the_changelog_is_in_the_form_that_it_says_it_is_in():
    written = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", written, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert [one for one in headings[1:] if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", one)] == []
    kinds = set(re.findall(r"^### (.*)$", written, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert "keepachangelog.com" in written
