"""Real workers, a real broker, a real database, a real SMTP server: killed, frozen and flushed while 200 dossiers live."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import sabotage

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.long


def chaos(kind: str, seconds: int, seed: int) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.chaos", kind, str(seconds), str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    sys.stdout.write(f"\n{kind}, seed {seed}: {done.stdout}\n")
    return report


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_and_nothing_happens_twice_whatever_is_killed(seed):
    report = chaos("none", 75, seed)
    assert report["dossiers"] == 200
    assert len(report["harm"]) == 9, "every kind of harm was done at least once"
    for what in ("lost", "doubled", "errors", "verify"):
        assert report[what] == [], what
    assert report["mails"] >= report["notices_sent"]


@pytest.mark.parametrize("kind", [kind for kind in sabotage.KINDS if kind != "none"])
def test_the_kill_test_fails_when_a_protection_is_switched_off(kind):
    report = chaos(kind, 60, 2)
    assert not report["ok"]
    assert report["lost"] or report["doubled"] or report["errors"] or report["verify"]
