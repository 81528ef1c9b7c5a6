"""What the whole repository keeps to, whoever writes in it: every rule here is one that a reader relies on."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI, TestPyPI  # no public name holds pip's own defaults

ROOT = Path(__file__).parents[2]


def files():
    """Every file that git tracks or would track; without git, every file that .gitignore does not name."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        found = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        ignored = {line.strip("/*") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()} | {".git"}
        found = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in ignored and not name.endswith(".egg-info")]
            found += [Path(folder, name) for name in names]
    return sorted(path for path in found if path.is_file())


def text(path):
    """A file's text, or nothing if it has none (an image, a font, a log packed)."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


def found(pattern, paths):
    """`file:line: the line` wherever the pattern is."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:160]}"
        for path in paths
        for number, line in enumerate(text(path).splitlines(), start=1)
        if re.search(pattern, line, re.IGNORECASE)
    ]


def modules(*folders):
    return [
        path for path in files() if path.suffix == ".py" and (not folders or path.relative_to(ROOT).parts[0] in folders)
    ]


# --- nothing of one machine -----------------------------------------------------------------------------------------


def test_no_file_names_the_host_of_a_package_registry():
    hosts = {host for index in (PyPI, TestPyPI) for host in (index.netloc, index.file_storage_domain)}
    assert all("." in host for host in hosts)
    assert found("|".join(re.escape(host) for host in sorted(hosts)), files()) == []


def test_no_file_holds_a_path_of_one_machine():
    tops = "work|home|root|Users"
    assert found(rf"(?<![\w.~}})\]/*-])/(?:{tops})/[\w.]", files()) == []


def test_no_file_holds_a_private_key_or_a_token():
    assert found("-----BEGIN " + "[A-Z ]*PRIVATE KEY|" + r"\b(?:ghp|gho|glpat|xoxb)[_-]\w{16}", files()) == []


# --- the lock -------------------------------------------------------------------------------------------------------


LOCKS = ("requirements.lock", "requirements-dev.lock")


def locked(name):
    """The requirements of a lock, one string each, continuation lines joined."""
    joined = text(ROOT / name).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_of_a_lock_is_pinned_and_hashed_and_comes_from_no_address(name):
    assert locked(name)
    pinned = re.compile(r"[a-z0-9.-]+==[\w.]+(?: ; [^#]+?)?(?: +--hash=sha256:[0-9a-f]{64})+")
    assert [line.split()[0] for line in locked(name) if not pinned.fullmatch(line)] == []
    assert found(r"://|@|^\s*-(?!-hash)", [ROOT / name]) == []


def test_the_locks_hold_every_dependency_of_the_project():
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    for lock, asked in zip(LOCKS, ([], extras["local"] + extras["dev"]), strict=True):
        names = {re.match(r"[\w.-]+", line).group().lower() for line in project["dependencies"] + asked}
        assert names - {line.split("==")[0] for line in locked(lock)} == set()


# --- make and the tests ---------------------------------------------------------------------------------------------


def test_every_target_of_make_has_its_line_of_help():
    targets = re.findall(r"^([a-z][\w-]*):(?!=)(.*)$", text(ROOT / "Makefile"), re.MULTILINE)
    assert targets
    assert [name for name, rest in targets if "## " not in rest] == []
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [name for name, _ in targets if f"make {name} " not in shown] == []


def test_the_commands_of_the_readme_are_targets_of_make():
    asked = set(re.findall(r"^make ([\w-]+)", text(ROOT / "README.md"), re.MULTILINE))
    assert {"setup", "test"} <= asked
    assert [name for name in asked if not re.search(rf"^{name}:", text(ROOT / "Makefile"), re.MULTILINE)] == []


def test_no_test_is_skipped_or_expected_to_fail():
    words = ("ski" + r"p(?:if)?\(", "mark.ski" + "p", "import" + r"orskip\(", "xf" + r"ail\(", "mark.xf" + "ail")
    assert found("|".join(rf"\b{word}" for word in words), modules("tests")) == []


# --- names and time -------------------------------------------------------------------------------------------------


def test_no_folder_or_module_is_named_for_holding_anything():
    banned = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "service", "services"}
    named = [path.relative_to(ROOT) for path in modules() if banned & {*path.relative_to(ROOT).parts[:-1], path.stem}]
    assert named == []


@pytest.mark.parametrize("reading", ["datetime.datetime.now()", "datetime.date.today()", "time.time()"])
def test_the_clock_is_read_in_one_module_only(reading):
    def lint(name):
        command = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--select=TID251",
            "--no-cache",
            f"--stdin-filename={name}",
            "-",
        ]
        source = f"import datetime\nimport time\n\nprint({reading}, time, datetime)\n"
        return subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, check=False)

    for room in ("cli", "config", "local", "states", "tasks", "web", "workflow", "tests", "bench"):
        assert "TID251" in lint(f"{room}/anything.py").stdout
    assert lint("workflow/business_time.py").returncode == 0


def test_no_task_asks_the_broker_to_hold_a_message():
    """A countdown, an ETA and Celery's own retry all leave a timed message in a worker (docs/adr/0003-celery-is-a-doorbell.md)."""
    timed = {"eta", "countdown", "autoretry_for", "retry_backoff", "default_retry_delay"}
    seen = []
    for path in modules("tasks"):
        for node in ast.walk(ast.parse(text(path))):
            words = set()
            if isinstance(node, ast.Call):
                words |= {keyword.arg for keyword in node.keywords}
                if isinstance(node.func, ast.Attribute) and node.func.attr == "retry":
                    words |= (
                        {"countdown"} if ast.unparse(node.func.value) in ("self", "task", "current_task") else set()
                    )
            elif isinstance(node, ast.Dict):
                words |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
                words.add(node.attr if isinstance(node, ast.Attribute) else node.id)
            seen += [f"{path.relative_to(ROOT)}:{node.lineno}: {word}" for word in timed & words]
    assert seen == []


# --- the documentation ----------------------------------------------------------------------------------------------


def links(page):
    """The files that a Markdown page links to."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(page))
    return {
        (page.parent / target).resolve()
        for target in targets
        if "://" not in target and not target.startswith("mailto:")
    }


def test_every_file_of_docs_is_reached_from_its_index():
    index = ROOT / "docs" / "index.md"
    pages = {path.resolve() for path in files() if path.is_relative_to(ROOT / "docs")} - {index.resolve()}
    assert sorted(str(page.relative_to(ROOT.resolve())) for page in pages - links(index)) == []


def test_every_link_of_a_page_leads_somewhere():
    pages = [path for path in files() if path.suffix == ".md"]
    assert [
        f"{page.relative_to(ROOT)} -> {target.name}" for page in pages for target in links(page) if not target.exists()
    ] == []
