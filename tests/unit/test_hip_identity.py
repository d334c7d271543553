"""What identifies a HIP device besides its properties."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_greta.device import hip_identity

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("target", "mebibytes"),
    [
        ("gfx942:sramecc+:xnack-", 256),
        ("gfx90a:sramecc+:xnack-", 0),
        ("gfx1100", 96),
        ("gfx1103", 0),
        ("sm_90", 0),
    ],
)
def test_infinity_cache_by_architecture(target: str, mebibytes: int) -> None:
    assert hip_identity.infinity_cache_bytes(target) == mebibytes * 2**20


def test_versions_are_hips() -> None:
    assert hip_identity.hip_version(70253211) == "7.2.53211"
    assert hip_identity.hip_version(60443484) == "6.4.43484"


def test_an_emulator_in_the_process_is_seen(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc)")
    library = tmp_path / "librocjitsu.so"
    (tmp_path / "empty.c").write_text("int empty;\n")
    subprocess.run([compiler, "-shared", "-o", str(library), str(tmp_path / "empty.c")], check=True)
    assert not hip_identity.is_emulated()
    program = (
        f"import ctypes, sys; sys.path.insert(0, {str(ROOT)!r}); ctypes.CDLL({str(library)!r})\n"
        "from pytest_greta.device.hip_identity import is_emulated\n"
        "sys.exit(0 if is_emulated() else 1)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
