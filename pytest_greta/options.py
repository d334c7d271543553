"""greta's options: command line over ini over default, resolved once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pytest_greta import option_values
from pytest_greta.errors import ConfigError

if TYPE_CHECKING:
    import pytest

T = TypeVar("T")

DEFAULT_ROUNDS = 5
"""Where no gate on a speed asks for more."""

DEFAULT_WAIT_SECONDS = 900.0
"""Another run keeps a device for one test at a time, and a test takes minutes at most."""

DEFAULT_BUDGET_SECONDS = 60.0
"""Time one test spends on rounds, on top of verifying; no round is begun after it."""


class Option(NamedTuple):  # every pytest session makes these: a dataclass would take five times as long
    """One option with its ini twin."""

    name: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    has_ini: bool = True
    """False for what must be said anew each time."""
    repeated: bool = False
    """May be given several times; the ini twin has a line for each."""
    several: bool = False
    """Takes several values at once as well."""

    @property
    def flag(self) -> str:
        """As typed: `--greta-ctx`."""
        return f"--greta-{self.name}"

    @property
    def ini(self) -> str:
        """The ini twin: `greta_ctx`."""
        return f"greta_{self.name.replace('-', '_')}"


OPTIONS = {
    option.name: option
    for option in (
        Option("ctx", "contexts (sequence lengths) to run, e.g. 4096,8192 [those of gates.yaml]", "N[,N...]"),
        Option(
            "axis",
            "other axes of the problems to run, e.g. heads=4,32; may be given several times [those of gates.yaml]",
            "AXIS=VALUE[,...]",
            repeated=True,
        ),
        Option(
            "variant",
            "variants to test, e.g. v3,v4; the baseline runs beside them anyway [all]",
            "NAME[,...]",
        ),
        Option(
            "target", "compile and gate code for these instead of the targets of gates.yaml", "GFX[,GFX...]"
        ),
        Option(
            "device",
            "device to run on: hip (an AMD GPU), cpu, or auto: hip where a GPU answers, else cpu [auto]",
            choices=("auto", "hip", "cpu"),
        ),
        Option(
            "devices",
            "devices to run on, by number as the runtime counts them: 0,2; with pytest-xdist one for each worker [all]",
            "N[,N...]",
        ),
        Option(
            "wait",
            "seconds another pytest run that has the device is waited for; what needs one is not measured then "
            f"[{DEFAULT_WAIT_SECONDS:.0f}]",
            "SECONDS",
        ),
        Option(
            "shard",
            "run one part of the tests, e.g. 2/8 on the second of eight machines; parts are equal by expected cost",
            "PART/PARTS",
            has_ini=False,
        ),
        Option("gates", "file with the gates [gates.yaml in the root directory]", "PATH"),
        Option(
            "require",
            "fail, instead of skipping or noting it, whatever was not measured on this device",
            choices=("hip", "cpu"),
        ),
        Option(
            "rounds",
            "exactly so many timed rounds (a launch of the variant, the baseline and the accepted code), for all "
            "contexts or each, e.g. 5 or 4096:2,8192:1 [as many as the gates on speed need to be decided; "
            f"{DEFAULT_ROUNDS} without one]",
            "N|CTX:N,...",
        ),
        Option(
            "budget",
            "seconds one test may spend on timed rounds; what is undecided then is INCONCLUSIVE "
            f"[{DEFAULT_BUDGET_SECONDS:.0f}]",
            "SECONDS",
        ),
        Option(
            "session-budget",
            "seconds all tests together may spend on timed rounds; each still runs one",
            "SECONDS",
        ),
        Option(
            "deadline", "seconds one launch may take before it is killed, over those of gates.yaml", "SECONDS"
        ),
        Option(
            "accept",
            "make runs that fail their gate `regression` a new reference, for this reason (with --benchmark-autosave)",
            "REASON",
            has_ini=False,
        ),
        Option(
            "calibrate",
            "instead of testing, find out how far a gate on speedup can be trusted on this device: N gates on equal "
            "code, and half as many on each of five slowdowns",
            "N",
            has_ini=False,
        ),
        Option(
            "cache-size",
            "compiled code to keep, e.g. 500M or 8G; what was used longest ago goes first [2G]",
            "SIZE",
        ),
        Option("seed", "seed of the inputs, to repeat a run [another one for every run]", "N"),
        Option(
            "replay",
            "instead of compiling and measuring, gate what these files say was measured: summary.json and others",
            "FILE",
            repeated=True,
            several=True,
        ),
        Option(
            "columns",
            "which columns of CSV and JSON files of --greta-replay are which quantities",
            "FILE",
        ),
        Option(
            "allowed-signers",
            "take files of --greta-replay only if one of these SSH keys has signed them (ssh-keygen, ALLOWED SIGNERS)",
            "FILE",
        ),
        Option("sign", "sign the file of --greta-summary with this SSH key", "KEY", has_ini=False),
        Option(
            "summary",
            "write what was measured, with the verdicts, to this file: for reports, for --greta-replay",
            "FILE",
        ),
        Option("report", "write report.html and summary.md for people into this folder", "DIR"),
        Option(
            "annotate",
            "annotate lines of gates.yaml and of kernels that failed, and append the tables of --greta-report to the "
            "job's summary: for github, off, or auto: where GITHUB_ACTIONS is true [auto]",
            choices=("auto", "github", "off"),
        ),
        Option(
            "code-quality",
            "write what failed to this file as GitLab's Code Quality report",
            "FILE",
        ),
    )
}
FLAGS = {
    flag.name: flag
    for flag in (
        Option(
            "lock", "write greta.lock: what every kernel takes, which later runs hold it to", has_ini=False
        ),
        Option(
            "require-regression",
            "fail a session in which no gate `regression` was held against an accepted run",
            has_ini=False,
        ),
        Option("explain", "say what to do next about each gate that failed or was not decided"),
        Option("single-shot", "one launch per test: verified and timed, not compared"),
        Option(
            "resume",
            "take runs of programs that an earlier session has finished from its journal, and go on from there",
            has_ini=False,
        ),
        Option(
            "serialize",
            "wait for the GPU before and after every kernel, to find the one that hangs or faults; "
            "times taken so are not compared with others",
        ),
    )
}
"""Options without a value; their ini twins, where they have one, are booleans."""


class Options(NamedTuple):
    """Every option, parsed. None stands for "not given"."""

    contexts: tuple[int, ...] | None
    axes: Mapping[str, tuple[str, ...]]
    """Values as they were written: whether one is a number is up to the axis."""
    variants: tuple[str, ...] | None
    targets: tuple[str, ...] | None
    device: str
    devices: tuple[int, ...]
    """The devices to run on, by number; all where none is named."""
    wait_seconds: float
    """How long another run that has the device is waited for."""
    shard: tuple[int, int] | None
    """The part of the tests that is run, from 1, and how many parts there are: one is the whole."""
    gates: Path | None
    require: str | None
    require_regression: bool
    """Whether a session fails that was compared with no accepted run."""
    rounds: Mapping[int, int]
    """Rounds by context; the key 0 holds those of every other context."""
    rounds_given: bool
    budget_seconds: float
    session_budget_seconds: float
    """No round is begun after so much time; infinite where only the rounds were given."""
    single_shot: bool
    serialize: bool
    """The worker waits for the GPU before and after every kernel."""
    deadline_seconds: float | None
    seed: int | None
    accept: str
    """Why runs that fail the gate `regression` become the new reference; empty where they do not."""
    cache_bytes: int | None
    """Compiled code to keep."""
    lock: bool
    """Whether what kernels take is recorded, instead of held against what was."""
    replay: tuple[str, ...]
    """Files of records that are gated, in place of measuring."""
    summary: Path | None
    """What was measured goes there."""
    report: Path | None
    """The folder of the report."""
    annotates: bool
    """Whether GitHub is told which lines failed."""
    code_quality: Path | None
    """What failed goes there, for GitLab."""
    explain: bool
    """Whether the summary says what to do next."""
    resume: bool
    """Whether finished runs of programs are taken from the journal."""
    calibrate: int
    """How many gates on equal code to measure instead of testing; 0 for none."""

    @property
    def is_part(self) -> bool:
        """Whether other sessions run other tests of the same."""
        return self.shard is not None and self.shard[1] > 1

    @property
    def is_recorded(self) -> bool:
        """Whether what is measured is kept as records."""
        return self.summary is not None or self.report is not None

    @property
    def is_marked(self) -> bool:
        """Whether a CI server is told what failed where."""
        return self.annotates or self.code_quality is not None

    def rounds_for(self, context: int) -> int:
        """Timed rounds at a context."""
        return self.rounds.get(context, self.rounds.get(0, DEFAULT_ROUNDS))


def any_given(config: pytest.Config) -> bool:
    """Whether the command line names any greta option."""
    return bool(given(config))


def given(config: pytest.Config) -> dict[str, Any]:
    """The options that the command line names, with their values."""
    values = {option.flag: config.getoption(option.ini) for option in (*OPTIONS.values(), *FLAGS.values())}
    return {flag: value for flag, value in values.items() if value is not None}


def read_options(config: pytest.Config) -> Options:
    """Parse all options. Raises ConfigError with one line per mistake."""
    problems: list[str] = []

    def read(name: str, parse: Callable[[str], T]) -> T | None:
        option = OPTIONS[name]
        text, place = config.getoption(option.ini), option.flag
        if text is None and option.has_ini:
            text, place = config.getini(option.ini) or None, option.ini
        if text is None:
            return None
        try:
            return parse("\n".join(text) if option.repeated else str(text))
        except ValueError as error:
            problems.append(f"{place}: {error}")
            return None

    def is_set(name: str) -> bool:
        given = config.getoption(FLAGS[name].ini)
        return bool(config.getini(FLAGS[name].ini) if given is None and FLAGS[name].has_ini else given)

    rounds = read("rounds", option_values.rounds)
    waits = read("wait", option_values.waiting)
    options = Options(
        contexts=read("ctx", option_values.contexts),
        axes=read("axis", option_values.axes) or {},
        variants=read("variant", option_values.names),
        targets=read("target", option_values.targets),
        device=read("device", _choice(OPTIONS["device"])) or "auto",
        devices=read("devices", option_values.devices) or (),
        wait_seconds=DEFAULT_WAIT_SECONDS if waits is None else waits,
        shard=read("shard", option_values.shard),
        gates=read("gates", Path),
        require=read("require", _choice(OPTIONS["require"])),
        require_regression=is_set("require-regression"),
        rounds=rounds or {},
        rounds_given=rounds is not None,
        budget_seconds=read("budget", option_values.seconds)
        or (math.inf if rounds else DEFAULT_BUDGET_SECONDS),
        session_budget_seconds=read("session-budget", option_values.seconds) or math.inf,
        lock=is_set("lock"),
        explain=is_set("explain"),
        resume=is_set("resume"),
        single_shot=is_set("single-shot"),
        serialize=is_set("serialize"),
        deadline_seconds=read("deadline", option_values.seconds),
        seed=read("seed", option_values.seed),
        accept=read("accept", option_values.reason) or "",
        cache_bytes=read("cache-size", option_values.size),
        replay=read("replay", lambda text: tuple(text.splitlines())) or (),
        summary=read("summary", Path),
        report=read("report", Path),
        annotates=_annotates(read("annotate", _choice(OPTIONS["annotate"])) or "auto"),
        code_quality=read("code-quality", Path),
        calibrate=read("calibrate", option_values.gates) or 0,
    )
    if options.require and options.device not in ("auto", options.require):
        problems.append(f"--greta-require={options.require} contradicts --greta-device={options.device}")
    if options.accept and not (
        config.getoption("benchmark_autosave", None) or config.getoption("benchmark_save", None)
    ):
        problems.append("--greta-accept records a run: add --benchmark-autosave, or --benchmark-save=NAME")
    if options.calibrate and config.getoption("dist", "no") != "no":
        problems.append("--greta-calibrate measures in one process: leave out -n")
    if config.getoption(OPTIONS["sign"].ini) and not options.summary:
        problems.append("--greta-sign signs what --greta-summary writes: add --greta-summary=FILE")
    problems += _replay_problems(options, given(config))
    if problems:
        raise ConfigError(*problems)
    return options


def _replay_problems(options: Options, on_command_line: Mapping[str, Any]) -> list[str]:
    """What cannot be asked for where nothing is measured; how to measure may stand in the ini file."""
    asked: dict[str, object] = {
        "calibrate": options.calibrate,
        "lock": options.lock,
        "accept": options.accept,
    }
    for name in ("resume", "single-shot", "serialize", "rounds"):
        asked[name] = f"--greta-{name}" in on_command_line
    return [
        f"--greta-{name} takes a measurement, and --greta-replay makes none: leave one of them out"
        for name, value in asked.items()
        if value and options.replay
    ]


def _annotates(wanted: str) -> bool:
    """Whether GitHub is told: where it listens, unless an option says otherwise."""
    return wanted == "github" or (wanted == "auto" and os.environ.get("GITHUB_ACTIONS") == "true")


def _choice(option: Option) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in (option.choices or ()):
            raise ValueError(f"{text!r} is none of {', '.join(option.choices or ())}")
        return text

    return parse
