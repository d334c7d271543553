"""Programs on another node, through the system's ssh: what is lost on the way is told apart from what failed there.

A shell script goes along with the command. It ends the program, with all that has its mark, at the deadline and when
its own standard input ends: so does ssh's when the connection is lost or pytest is killed. Its last line on standard
error says how the program ended; without that line the connection is what failed.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pytest_greta.errors import ProgramBlocked, quote
from pytest_greta.programs.capture import Lines
from pytest_greta.programs.place import Invocation
from pytest_greta.programs.process import Ended, run_command, signal_name
from pytest_greta.programs.tree import MARK

CONNECT_SECONDS = 10
ALIVE_SECONDS, ALIVE_COUNT = 10, 3
"""A connection on which nothing is heard for so many times so long is lost."""
MARGIN_SECONDS = CONNECT_SECONDS + ALIVE_SECONDS * ALIVE_COUNT
"""What ssh may take beyond the deadline that is kept on the other side."""
LOST = 255
"""What ssh exits with where it failed itself (ssh(1))."""

SCRIPT = r"""
say() { echo "$GRETA_SAY $*" >&2; }
marked() { grep -lz "^@MARK@=$GRETA_ID\$" /proc/[0-9]*/environ 2>/dev/null | sed 's,/proc/,,;s,/environ,,'; }
end() {
  for n in 1 2 3 4 5 6 7 8 9 10; do
    found=$(marked); [ -z "$found" ] && break
    kill -KILL $found 2>/dev/null; sleep 0.1
  done
}
exec 3<&0
GRETA_SAY=@SAY@ GRETA_ID=@ID@
say began
cd @FOLDER@ 2>/dev/null || { say folder; exit 0; }
command -v @PROGRAM@ >/dev/null 2>&1 || { say missing; exit 0; }
flag=$(mktemp) || { say folder; exit 0; }
began=$(date +%s%N)
env @MARK@=@ID@ @ENVIRONMENT@ setsid @WORDS@ </dev/null 3<&- &
child=$!
( trap 'kill $sleeps; exit' TERM; sleep @DEADLINE@ & sleeps=$!; wait $sleeps; echo overdue > "$flag"; end
) </dev/null >/dev/null 2>&1 3<&- &
late=$!
( read nothing <&3; end; kill $late; rm -f "$flag" ) </dev/null >/dev/null 2>&1 &
lost=$!
wait $child; status=$?
ended=$(date +%s%N)
kill $late 2>/dev/null
left=$(marked | wc -l); end
overdue=$(cat "$flag"); rm -f "$flag"
kill $lost 2>/dev/null
say ended $status $((ended - began)) $left ${overdue:-whole}
"""


def ssh_words(on: str, script: str) -> list[str]:
    """The words of ssh for `ssh://[user@]host[:port]`. Options of a user's own are in ~/.ssh/config, or in the
    environment variable GRETA_SSH.
    """
    place = urlsplit(on)
    options = [
        "-T",
        "-oBatchMode=yes",
        f"-oConnectTimeout={CONNECT_SECONDS}",
        f"-oServerAliveInterval={ALIVE_SECONDS}",
        f"-oServerAliveCountMax={ALIVE_COUNT}",
        *(["-p", str(place.port)] if place.port else []),
        *(["-l", place.username] if place.username else []),
    ]
    ssh = shlex.split(os.environ.get("GRETA_SSH", "ssh"))
    return [*ssh, *options, "--", str(place.hostname), f"sh -c {shlex.quote(script)}"]


def script_for(invocation: Invocation, deadline_seconds: float, say: str) -> str:
    """The script that runs a command on its node."""
    environment = " ".join(f"{name}={shlex.quote(text)}" for name, text in invocation.environment.items())
    values = {
        "SAY": say,
        "ID": say,
        "MARK": MARK,
        "FOLDER": shlex.quote(str(invocation.folder)),
        "PROGRAM": shlex.quote(invocation.words[0]),
        "ENVIRONMENT": environment,
        "WORDS": shlex.join(invocation.words),
        "DEADLINE": f"{deadline_seconds:.3f}",
    }
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], SCRIPT)


class _Ending:
    """Waits for the line in which the script says how the program ended; lets all others through."""

    def __init__(self, say: str, lines: Lines) -> None:
        self._say, self._lines = say.encode(), lines
        self.told: list[str] = []
        self.has_begun = False
        """The script has spoken: the node was reached."""
        self.last = ""
        """The last line that is not the script's: ssh's own, where it failed."""

    def look(self, lines: bytes, _number: int) -> None:
        """Take the script's own line out of these."""
        rest = b""
        for line in lines.splitlines(keepends=True):
            at = line.find(self._say)
            if at >= 0:
                told = line[at:].decode(errors="replace").split()[1:]
                self.has_begun = True
                self.told = [] if told == ["began"] else told
                line = line[:at]
            if line.strip():
                self.last = line.decode(errors="replace").strip()
            rest += line
        if rest:
            self._lines.feed(rest)


def run_there(
    program: str,
    invocation: Invocation,
    deadline_seconds: float,
    output: Lines,
    errors: Lines,
    waited: Callable[[], None],
) -> Ended:
    """Run a command on its node. Raises ProgramBlocked where the node cannot be reached, where the connection is lost,
    and where the program or its folder is not there. Memory and CPU time are not known from here.
    """
    say = f"greta-{secrets.token_hex(8)}"
    ending = _Ending(say, errors)
    words = ssh_words(invocation.on, script_for(invocation, deadline_seconds, say))
    try:
        with tempfile.TemporaryDirectory(prefix="greta-ssh") as folder:
            limit = deadline_seconds + MARGIN_SECONDS
            ended = run_command(
                words, os.environ, Path(folder), limit, output, Lines(ending.look), waited, is_held=True
            )
    except OSError as error:
        raise ProgramBlocked(f"{words[0]} cannot be started: {error.strerror or error}") from None
    errors.close()
    place, told = invocation.on, ending.told
    if not told:
        why = ending.last or (
            "it did not answer in time" if ended.is_overdue else f"ssh ended with {ended.status}"
        )
        if ending.has_begun or ended.status != LOST:
            raise ProgramBlocked(f"{place}: the connection is lost: {why}")
        raise ProgramBlocked(f"{place}: the node cannot be reached: {why}", place)
    if told[0] == "missing":
        raise ProgramBlocked(
            f"program {quote(program)} is missing on {place}: looked for {invocation.words[0]}"
        )
    if told[0] != "ended":
        raise ProgramBlocked(f"program {quote(program)}: there is no folder {invocation.folder} on {place}")
    status, nanoseconds, left, how = int(told[1]), int(told[2]), int(told[3]), told[4]
    overdue = how == "overdue"
    return replace(
        ended,
        status=_status(status),
        wall_seconds=max(nanoseconds / 1e9, deadline_seconds if overdue else 0.0),
        cpu_seconds=None,
        peak_bytes=None,
        vram_bytes=None,
        vram_how=f"device memory is not measured on {place}",
        vram_course=(),
        errors=re.sub(rf"{say}[^\n]*\n?", "", ended.errors),
        left=() if overdue else tuple(f"a process on {place}" for _ in range(left)),
        is_overdue=overdue,
    )


def _status(status: int) -> int | str:
    """What a shell says of a program: 128 and the number of a signal, where one ended it."""
    return signal_name(status - 128) if 128 < status <= 128 + signal.NSIG - 1 else status
