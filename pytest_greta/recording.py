"""What a session measured, from its tests to summary.json: kept on items, carried by reports, written at the end."""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta import __version__
from pytest_greta.compiler.cache import is_special, write_whole
from pytest_greta.errors import printable, shown_path
from pytest_greta.gates.model import Status
from pytest_greta.options import OPTIONS, given, read_options
from pytest_greta.paths import gates_digest, gates_path, path_of
from pytest_greta.programs.result import ProgramResult
from pytest_greta.records.making import record_of_program, records_of, records_of_artifact, replayed
from pytest_greta.records.merge import part_text
from pytest_greta.records.model import Session as RecordedSession
from pytest_greta.records.model import Summary as Records
from pytest_greta.records.model import recorded_of
from pytest_greta.records.replay import ReplayedResult
from pytest_greta.records.signing import CannotSign, sign, signature_of
from pytest_greta.results import Result
from pytest_greta.stash import (
    CUT,
    LEFT_OUT,
    NOTES,
    RECORDS,
    SESSION_NOTES,
    STOPPED,
    VERDICTS,
    get_device,
    get_session,
)
from pytest_greta.table import Row

if TYPE_CHECKING:
    from pytest_greta.binaries.artifacts import ArtifactResult
    from pytest_greta.results import CodeResult, RunResult
    from pytest_greta.session import Session
    from pytest_greta.summary import Summary


def keep(
    item: pytest.Item,
    session: Session,
    result: ArtifactResult | CodeResult | ProgramResult | ReplayedResult | RunResult,
) -> None:
    """Keep what a test found, for its report."""
    kept = item.stash.setdefault(RECORDS, [])
    if isinstance(result, ReplayedResult):
        kept += replayed(result)
        return
    if isinstance(result, ProgramResult):
        found = [record_of_program(result)]
    elif isinstance(result, Result):
        of = result.measurements[0].measurement
        kernel = session.kernels[of.kernel]
        found = records_of(result, session.digests.of(kernel, kernel.variant(of.variant)))
    else:
        artifact = item.callspec.params["greta_artifact"].artifact  # type: ignore[attr-defined]
        found = records_of_artifact(result, artifact)
    kept += [recorded_of(one.plain()) for one in found]  # as a file would give them: no numbers of numpy


def carry(item: pytest.Item, report: Any, subject: tuple[str, str, str]) -> None:
    """Put what a test found into its report. Its records become plain data where it leaves the process, under xdist:
    ten thousand of them need not be made plain and read again. `subject` is what it is about.
    """
    session, device = get_session(item.config), get_device(item.config)
    rows = [Row.of(verdict).plain() for verdict in item.stash.get(VERDICTS, [])]
    if STOPPED in item.stash:
        rows.append(Row.stopped(*subject, *item.stash[STOPPED]).plain())
    report.greta_subject = subject[0]
    report.greta_rows = rows
    report.greta_device = device.device_name()
    report.greta_notes = item.stash.get(NOTES, [])
    if session.options.is_recorded:
        stated = device.stated
        report.greta_records = {
            "measurements": item.stash.get(RECORDS, []),
            "stopped": [*subject, *item.stash[STOPPED]] if STOPPED in item.stash else [],
            "outcome": report.outcome,
            "device": _plain(stated) if stated else None,
            "not_measured": "; ".join(device.notes()) if stated is None else "",
            "is_blocked": device.blocked,
            "targets": list(session.targets),
        }


def carry_crash(config: pytest.Config, report: Any, subject: tuple[str, str, str], why: str) -> None:
    """Put into the report of a test whose process ended what its own report would have, had it been stopped."""
    status = Status.FAIL.value
    report.greta_subject = subject[0]
    report.greta_rows = [Row.stopped(*subject, status, why).plain()]
    if read_options(config).is_recorded:
        report.greta_records = _failed(report, subject, why)


def _failed(report: Any, subject: tuple[str, str, str], why: str) -> dict[str, Any]:
    """What is kept of a test that failed before it had measured anything."""
    return {
        "measurements": [],
        "stopped": [*subject, Status.FAIL.value, why],
        "outcome": report.outcome,
        "device": None,
        "not_measured": "",
        "is_blocked": False,
        "targets": [],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    return value if isinstance(value, (bool, int, float, str)) else str(value)


class Recording:
    """Makes plain data of the records in a report that leaves the process, and records of those in one that comes."""

    def __init__(self, subject_of: Callable[[Any, Mapping[str, Any]], tuple[str, str, str] | None]) -> None:
        """`subject_of` says what a test is about by its parameters; None of one that is not about greta's."""
        self._subject_of = subject_of

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """A test that crashes before it measures is one that failed, and fails again where the records are replayed."""
        report = yield
        if (
            report.failed
            and call.when != "teardown"
            and not (VERDICTS in item.stash or STOPPED in item.stash)
        ):
            subject = self._subject_of(item, getattr(getattr(item, "callspec", None), "params", {}))
            if subject:
                crash = getattr(report.longrepr, "reprcrash", None)
                told = (crash.message if crash else str(report.longrepr)).strip().partition("\n")[0]
                report.greta_records = _failed(report, subject, printable(f"the test failed: {told}"))
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, Any, Any]:
        """For xdist, and for whoever else writes reports down."""
        data = yield
        told = data.get("greta_records") if data else None
        if told:
            data["greta_records"] = {**told, "measurements": [one.plain() for one in told["measurements"]]}
        return data

    @pytest.hookimpl(wrapper=True)
    def pytest_report_from_serializable(self) -> Generator[None, Any, Any]:
        """In xdist's controller."""
        report = yield
        told = getattr(report, "greta_records", None)
        if told:
            found = [recorded_of(one) for one in told["measurements"]]
            report.greta_records = {**told, "measurements": found}
        return report


def write(config: pytest.Config, summary: Summary, path: Path, exit_code: int) -> None:
    """Write the records of a session, whole or not at all, and sign them where that is asked for. Raises OSError, also
    where they cannot be signed.
    """
    key = path_of(config, "sign")
    if not is_special(signature_of(path)):
        signature_of(path).unlink(missing_ok=True)  # of what was there before
    write_whole(path, records(config, summary, exit_code).text().encode())
    try:
        if key is not None:
            sign(path, key)
    except CannotSign as error:
        raise OSError(0, f"it is not signed: {error}") from None


def records(config: pytest.Config, summary: Summary, exit_code: int) -> Records:
    """The records of a session, as a file would give them."""
    return Records(
        session=_session(config, summary, exit_code),
        measurements=[
            replace(one, test=test, outcome=told["outcome"])
            for test, told in summary.records.items()
            for one in told["measurements"]
        ],
        stopped=list(_stopped(summary)),
        unevaluated=summary.unevaluated,
        due=summary.due,
        left_out=[list(case) for case in config.stash.get(LEFT_OUT, [])],
        lock=summary.lock_lines,
        notes=[*summary.notes, *config.stash.get(SESSION_NOTES, [])],
    )


def _session(config: pytest.Config, summary: Summary, exit_code: int) -> RecordedSession:
    told = list(summary.records.values())
    return RecordedSession(
        greta=__version__,
        python=platform.python_version(),
        pytest=pytest.__version__,
        started=summary.began.isoformat(timespec="seconds"),
        seconds=round((datetime.now(timezone.utc) - summary.began).total_seconds(), 3),
        options={**given(config), **_part(config)},
        commit=_commit(config),
        gates={"file": shown_path(gates_path(config)), "sha256": gates_digest(config)},
        device=next((one["device"] for one in told if one["device"]), None),
        not_measured=next((one["not_measured"] for one in told if one["not_measured"]), ""),
        targets=list(dict.fromkeys(target for one in told for target in one["targets"])),
        exit_code=exit_code,
    )


def _part(config: pytest.Config) -> dict[str, str]:
    """Which part of a session this is, and how it was cut; nothing for a whole one."""
    part = read_options(config).shard
    if part is None or CUT not in config.stash:
        return {}
    return {OPTIONS["shard"].flag: part_text(*part, config.stash[CUT])}


def _commit(config: pytest.Config) -> Mapping[str, Any] | None:
    """The commit of the working tree, as pytest-benchmark knows it; None outside of a repository."""
    if not config.pluginmanager.has_plugin("benchmark"):
        return None
    info = config.hook.pytest_benchmark_generate_commit_info(config=config)
    if info.get("error") or not info.get("id") or info["id"] in ("unversioned", "unknown"):
        return None
    return {"id": str(info["id"]), "branch": str(info.get("branch") or ""), "dirty": bool(info.get("dirty"))}


def _stopped(summary: Summary) -> Iterator[dict[str, Any]]:
    """Tests that could not evaluate their gates."""
    names = ("kernel", "variant", "where", "status", "reason")
    for test, told in summary.records.items():
        if told["stopped"]:
            one = {"test": test, **dict(zip(names, told["stopped"], strict=True))}
            is_blocked = told["is_blocked"] and one["status"] == "NOT MEASURED"
            yield {**one, "status": "BLOCKED"} if is_blocked else one
