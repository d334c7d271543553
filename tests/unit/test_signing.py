"""Files of records signed with an SSH key: verified by ssh-keygen, refused where nobody who is allowed signed them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_greta.errors import ConfigError
from pytest_greta.records.signing import CannotSign, sign, signature_of
from pytest_greta.records.sources import load_all
from tests.fuzz.summaries import undamaged

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys `alice` and `mallory`, and `allowed`, which allows alice."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "mallory"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    (folder / "allowed").write_text(f"alice@example.org {(folder / 'alice.pub').read_text()}")
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "summary.json"
    path.write_text(undamaged().text())
    return path


def refused(path: Path, allowed: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_all([path], None, allowed)
    (problem,) = caught.value.problems
    return problem.removeprefix(str(path))


def test_who_has_signed_is_known(file: Path, keys: Path) -> None:
    sign(file, keys / "alice")
    _, signers = load_all([file], None, keys / "allowed")
    assert signers == {str(file): "alice@example.org"}


def test_what_nobody_has_signed_is_refused_where_signers_are_required(file: Path, keys: Path) -> None:
    assert refused(file, keys / "allowed").startswith(
        ": it is not signed: there is no summary.json.sig beside it, and "
    )
    load_all([file])


def test_a_signature_of_somebody_else_is_refused(file: Path, keys: Path) -> None:
    sign(file, keys / "mallory")
    assert refused(file, keys / "allowed") == f": it is signed by nobody whom {keys / 'allowed'} allows"
    with pytest.raises(ConfigError, match="nosuch: there is no such file of allowed signers"):
        load_all([file], None, keys / "nosuch")


def test_what_was_changed_after_it_was_signed_is_refused(file: Path, keys: Path) -> None:
    sign(file, keys / "alice")
    file.write_text(file.read_text().replace("1.05", "1.04").replace("v3", "v4"))
    assert refused(file, keys / "allowed").startswith(": its signature does not hold: ")


def test_a_signature_for_something_else_is_refused(file: Path, keys: Path) -> None:
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(keys / "alice"), "-n", "git", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    assert refused(file, keys / "allowed").startswith(": its signature does not hold: ")


@pytest.mark.parametrize("signature", [b"", b"nothing", b"\0" * 100_000])
def test_damaged_signatures_are_refused(file: Path, keys: Path, signature: bytes) -> None:
    signature_of(file).write_bytes(signature)
    assert refused(file, keys / "allowed")


def test_a_key_that_is_none_cannot_sign(file: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(CannotSign):
        sign(file, tmp_path / "key")
    assert not signature_of(file).exists()
