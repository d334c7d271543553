"""Files of records signed with an SSH key, and verified against a file of allowed signers: by OpenSSH's own ssh-keygen.

A signature is beside its file, with `.sig` behind the name (ssh-keygen(1), "-Y sign" and "ALLOWED SIGNERS").
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pytest_greta.compiler.cache import write_whole
from pytest_greta.errors import ConfigError, printable, shown_path

NAMESPACE = "pytest-greta"
"""A signature is for this and nothing else: not for a commit or an e-mail."""
SECONDS = 60.0
"""What ssh-keygen may take: somebody may have to touch a security key."""
_MOST_BYTES = 64 * 1024


class CannotSign(Exception):
    """ssh-keygen is not there, or refuses; the message says why."""


def signature_of(path: Path) -> Path:
    """Where the signature of a file is."""
    return path.with_name(f"{path.name}.sig")


def sign(path: Path, key: Path) -> None:
    """Sign a file with a private key, or a public one whose other half an agent has. Raises CannotSign, OSError."""
    done = _keygen(["-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE], path.read_bytes())
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise CannotSign(_said(done))
    write_whole(signature_of(path), done.stdout)


def signer(path: Path, content: bytes, allowed: Path) -> str:
    """Who of the `allowed` signers has signed this content of a file. Raises ConfigError where nobody has."""
    shown, place = shown_path(path), signature_of(path)
    try:
        signature = place.read_bytes()[: _MOST_BYTES + 1]
    except OSError:
        required = f"{shown_path(allowed)} requires it"
        raise ConfigError(
            f"{shown}: it is not signed: there is no {place.name} beside it, and {required}"
        ) from None
    if len(signature) > _MOST_BYTES:
        raise ConfigError(f"{shown_path(place)}: larger than {_MOST_BYTES} bytes, which no signature is")
    with tempfile.NamedTemporaryFile(suffix=".sig") as kept:  # what is verified is what was read
        kept.write(signature)
        kept.flush()
        by = ["-f", str(allowed), "-s", kept.name]
        try:
            found = _keygen(["-Y", "find-principals", *by], b"")
            names = [line for line in found.stdout.decode("utf-8", "replace").splitlines() if line]
            if not names:
                raise ConfigError(f"{shown}: it is signed by nobody whom {shown_path(allowed)} allows")
            why = ""
            for name in names:
                done = _keygen(["-Y", "verify", "-q", *by, "-I", name, "-n", NAMESPACE], content)
                if done.returncode == 0:
                    return printable(name)
                why = _said(done)
        except CannotSign as error:
            raise ConfigError(f"{shown}: its signature cannot be verified: {error}") from None
    raise ConfigError(f"{shown}: its signature does not hold: {why}")


def _keygen(arguments: Sequence[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen on some content. Raises CannotSign where it cannot be run."""
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments], input=content, capture_output=True, check=False, timeout=SECONDS
        )
    except FileNotFoundError:
        raise CannotSign("there is no ssh-keygen: install OpenSSH 8.2 or later") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotSign(f"ssh-keygen: {error}") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line of what ssh-keygen said."""
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1].strip()) if lines else f"ssh-keygen ended with {done.returncode}"
