"""docker-compose.yml as the compose program reads it, and each service's very command run as a process here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SETTINGS = {"POSTGRES_PASSWORD": "tres5ecret"}


def compose(folder: Path, *arguments: str, given: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the compose program on our file and on .env.example, filled in with what is given."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, value in (SETTINGS if given is None else given).items():
        lines = re.sub(rf"^#?{name}=.*$", f"{name}={value}", lines, flags=re.MULTILINE)
    shutil.copy(ROOT / "docker-compose.yml", folder)
    (folder / ".env").write_text(lines, encoding="utf-8")
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [BIN / "docker-compose", "--project-directory", folder, *arguments]
    return subprocess.run(command, env=clean, cwd=folder, capture_output=True, text=True, check=False)


def services(folder: Path, *profiles: str, given: dict[str, str] | None = None) -> dict[str, Any]:
    """The services of these profiles, as compose understands them."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    done = compose(folder, *chosen, "config", "--format", "json", given=given)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give every service of every profile."""
    return services(tmp_path_factory.mktemp("compose"), "*")
