"""The private folder of a server: who may hold it, who can reach it, how long its paths may be."""

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from pathlib import Path

NOBODY = 65534
"""The user PostgreSQL runs as when we are root, since it refuses root."""

LONGEST_SOCKET = 107
"""Bytes that a unix socket's path may have on Linux (108 with its final zero)."""


class LocalError(Exception):
    """An embedded server cannot run; the message says why and what to do."""


def home(preferred: Path) -> Path:
    """Return the preferred folder, or a stable one in /tmp if root's PostgreSQL cannot reach it."""
    preferred = preferred.resolve()
    if os.geteuid() != 0 or closed_parent(preferred) is None:
        return preferred
    mark = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:12]
    stand_in = Path(tempfile.gettempdir()).resolve() / f"coupe-file-{mark}"
    stand_in.mkdir(mode=0o755, exist_ok=True)
    seen = stand_in.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != 0 or seen.st_mode & 0o022:
        message = f"{stand_in} existe et n'est pas un dossier où seul root écrit : enlevez-le."
        raise LocalError(message)
    stand_in.chmod(0o755)  # whatever the umask
    return stand_in


def closed_parent(path: Path) -> Path | None:
    """Return the highest folder on the way to path that uid 65534 cannot enter, if any."""
    for folder in reversed([path, *path.parents]):
        if folder.exists() and not _nobody_enters(folder.stat()):
            return folder
    return None


def _nobody_enters(folder: os.stat_result) -> bool:
    if folder.st_uid == NOBODY:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == NOBODY:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def refuse_closed_parent(path: Path) -> None:
    """Refuse a path that uid 65534 cannot reach, naming the folder that stops it."""
    closed = closed_parent(path)
    if closed is not None:
        message = (
            f"lancé par root, PostgreSQL tourne sous l'uid {NOBODY}, qui ne peut entrer ni dans {closed} ni donc dans "
            f"{path} : choisissez un autre dossier (COUPE_FILE_HOME), un utilisateur ordinaire, ou ouvrez le "
            f"passage : chmod o+x {closed}"
        )
        raise LocalError(message)


def refuse_long_socket(path: Path) -> None:
    """Refuse a socket path longer than the 107 bytes Linux allows."""
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET:
        message = (
            f"le chemin du socket {path} a {length} octets, Linux en accepte {LONGEST_SOCKET} : "
            f"choisissez un dossier au chemin plus court d'au moins {length - LONGEST_SOCKET} octets (COUPE_FILE_HOME)."
        )
        raise LocalError(message)


def make_private(path: Path, *, group: int | None = None) -> None:
    """Make the folder ours alone (a given group may cross it), refusing another user's folder."""
    try:
        _make_parents(path, crossable=group is not None)
        path.mkdir(mode=0o700, exist_ok=True)
        owner = path.stat().st_uid
        if owner == os.geteuid():
            if group is not None:
                os.chown(path, -1, group)
            path.chmod(0o700 if group is None else 0o710)
    except OSError as refusal:
        message = f"le dossier {path} ne peut pas être créé ({refusal}) : choisissez-en un où écrire (COUPE_FILE_HOME)."
        raise LocalError(message) from refusal
    if owner != os.geteuid():
        message = f"{path} appartient à l'uid {owner} et vous êtes l'uid {os.geteuid()} : soyez cet utilisateur, ou choisissez un autre dossier."
        raise LocalError(message)


def _make_parents(path: Path, *, crossable: bool) -> None:
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        if crossable:
            folder.chmod(0o711)  # whatever the umask


class Lock:
    """A flock on a file that also holds the pid of its holder."""

    def __init__(self, path: Path) -> None:
        """Remember the file; nothing is locked yet."""
        self.path = path
        self._descriptor: int | None = None
        self._holder: int | None = None

    @property
    def held(self) -> bool:
        """Tell whether this very process took the lock (a fork of it did not)."""
        return self._descriptor is not None and self._holder == os.getpid()

    def acquire(self, patience: float = 0.0) -> int:
        """Take the lock within patience seconds and return its descriptor, or name who holds it."""
        if self._descriptor is not None and self.held:
            return self._descriptor
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(descriptor, time.monotonic() + patience)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor, self._holder = descriptor, os.getpid()
        return descriptor

    def _take(self, descriptor: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as refusal:
                if refusal.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise
                if time.monotonic() >= deadline:
                    raise self._busy(descriptor) from None
            else:
                return
            time.sleep(0.01)

    def _busy(self, descriptor: int) -> LocalError:
        holder = os.pread(descriptor, 32, 0).decode().strip() or "inconnu"
        return LocalError(
            f"{self.path.parent} est déjà tenu par le processus {holder} : arrêtez-le, ou choisissez un autre dossier (COUPE_FILE_HOME)."
        )

    def release(self) -> None:
        """Free the lock for anyone."""
        if self._descriptor is not None and self.held:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.hand_over()

    def hand_over(self) -> None:
        """Close our descriptor, leaving the lock to the children that inherited it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
