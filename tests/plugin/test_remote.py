"""Programs on another node: over a real sshd where one can be started, and over a script that stands in for ssh."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.plugin.conftest import Run, write_gates
from tests.plugin.test_programs import COMMAND, OUTPUT

SSH = r"""#!/bin/sh
# Stands in for ssh: the command runs here; what the host is called says what becomes of the connection.
while [ "$1" != "--" ]; do shift; done
case "$2" in
  off) echo "ssh: connect to host off port 22: No route to host" >&2; exit 255;;
  breaks) (sleep 0.5; kill -KILL $$) & ;;
esac
exec sh -c "$3"
"""


def sshd_problem() -> str:
    """Why no sshd can be started here, if so."""
    if not (shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") and shutil.which("ssh")):
        return "no sshd is installed"
    if os.geteuid() == 0:
        import pwd

        if "sshd" not in [entry.pw_name for entry in pwd.getpwall()] or not Path("/run/sshd").is_dir():
            return "root's sshd needs a user sshd and the folder /run/sshd"
    return ""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ssh"
    path.write_text(SSH)
    path.chmod(0o755)
    monkeypatch.setenv("GRETA_SSH", str(path))


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An sshd of this user's own, with keys made here."""
    if sshd_problem():
        pytest.skip(sshd_problem())
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "authorized").write_text((tmp_path / "user.pub").read_text())
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\n"
        f"PidFile {tmp_path}/pid\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
    )
    path = str(shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"))
    server = subprocess.Popen([path, "-D", "-e", "-f", str(tmp_path / "config")], stderr=subprocess.DEVNULL)
    options = f"-i {tmp_path}/user -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oLogLevel=ERROR"
    monkeypatch.setenv("GRETA_SSH", f"ssh -F /dev/null {options}")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with socket.socket() as there:
            if there.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
    server.terminate()
    server.wait(5)


def program(project: pytest.Pytester, on: str) -> str:
    """A gates file whose programs run on a node."""
    return f"""\
version: 1
programs:
  engine:
    on: "{on}"
    folder: {project.path}
    variants:
      honest: [{COMMAND}, --log, log]
      fails: [{COMMAND}, --vice, fails-late]
      dies: [{COMMAND}, --vice, crashes]
      hangs: [{COMMAND}, --vice, ignores-sigterm]
      forks: [{COMMAND}, --vice, forks]
      lost: [{COMMAND}, --vice, loses-the-device]
      says255: [sh, -c, "exit 255"]
      gone: [no-such-engine]
    contexts: 4096
    environment: {{GRETA_MAX_SEQ_LEN: "{{context+2}} 'x' $HOME"}}
{OUTPUT}
    gates:
      honest: {{max_seq_len: "4098 'x' $HOME", peak_bytes: {{max: 1}}}}
      hangs: {{deadline_seconds: 0.6}}
"""


@pytest.fixture
def engine(project: pytest.Pytester) -> pytest.Pytester:
    """A project of programs alone."""
    (project.path / "conftest.py").unlink()
    project.makepyfile(test_gates="def test_engine(greta_program):\n    greta_program.check()\n")
    return project


def _running_in(folder: Path) -> list[str]:
    """What runs in a folder: engines, and what the script on the other side left."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder and process.name != str(os.getpid()):
                found.append((process / "cmdline").read_text())
    return found


def check_all(greta: Run, engine: pytest.Pytester, on: str) -> None:
    write_gates(engine, program(engine, on))
    result = greta()
    result.assert_outcomes(passed=1, failed=7)
    for told in (
        "built-in  fails @ 4096  exit_status is 0   measured 3   FAIL *",
        "built-in  dies @ 4096  exit_status is 0   measured SIGSEGV   FAIL*",
        "gates.yaml:*  hangs @ 4096  deadline_seconds <= 0.6   measured 0.[6-9]* s   FAIL (the whole process *",
        f"built-in  forks @ 4096  left_processes <= 0   measured 1   FAIL (*a process on {on})",
        "BLOCKED: the device of program 'engine' is lost: hipErrorNoDevice: *",
        "built-in  says255 @ 4096  exit_status is 0   measured 255   FAIL",
        f"BLOCKED: program 'engine' is missing on {on}: looked for no-such-engine",
        "gates.yaml:* honest *peak_bytes <= 1 * NOT MEASURED *",
    ):
        result.stdout.fnmatch_lines([told])
    assert (engine.path / "log").read_text() == "baseline 4096\n"
    assert _running_in(engine.path) == []


@pytest.mark.usefixtures("stand_in")
def test_programs_run_on_another_node(greta: Run, engine: pytest.Pytester) -> None:
    check_all(greta, engine, "ssh://node")


@pytest.mark.usefixtures("stand_in")
def test_a_node_that_cannot_be_reached_is_told_from_a_program_that_fails(
    greta: Run, engine: pytest.Pytester
) -> None:
    hang = f"[{COMMAND}, --vice, hangs]"
    write_gates(
        engine,
        f"""\
        version: 1
        programs:
          far: {{on: "ssh://off", contexts: [1, 2], variants: {{v: [true]}}}}
          shaky: {{on: "ssh://breaks", contexts: 1, folder: {engine.path}, variants: {{v: {hang}}}}}
        """,
    )
    result = greta()
    result.assert_outcomes(failed=3)
    why = "ssh://off: the node cannot be reached: ssh: connect to host off port 22: No route to host"
    assert result.outlines.count(f"BLOCKED: {why}") == 2
    result.stdout.fnmatch_lines(["BLOCKED: ssh://breaks: the connection is lost: *", "*3 BLOCKED*"])
    end = time.monotonic() + 5
    while _running_in(engine.path) and time.monotonic() < end:
        time.sleep(0.05)
    assert _running_in(engine.path) == []


def test_over_a_real_sshd(greta: Run, engine: pytest.Pytester, sshd: str) -> None:
    check_all(greta, engine, sshd)
    port = int(sshd.rpartition(":")[2])
    write_gates(engine, program(engine, sshd.replace(str(port), "1")))
    result = greta("--greta-variant=honest")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["BLOCKED: ssh://*:1: the node cannot be reached: *Connection refused"])
