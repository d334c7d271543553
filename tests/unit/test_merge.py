"""Files of several sessions as one: in whatever order, with what contradicts told."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.__main__ import main
from pytest_greta.history import merging
from pytest_greta.history.whole import kept_whole
from pytest_greta.records.merge import merge
from pytest_greta.records.model import Summary, load
from tests.fuzz.summaries import SESSION, timed

STARTED = ("2026-02-12T08:00:00+00:00", "2026-02-13T09:00:00+01:00", "2026-02-14T08:00:00+00:00")


def session(day: int, context: int, taken: float = 1.0, **others: Any) -> Summary:
    """A session that ran one test."""
    runs = [timed("v3", context, taken, test=f"test[{context}]")]
    return Summary(replace(SESSION, started=STARTED[day], **others), runs, notes=[f"day {day}"])


def written(folder: Path, summaries: Sequence[Summary]) -> list[str]:
    for number, one in enumerate(summaries):
        (folder / f"{number}.json").write_text(one.text())
    return [str(folder / f"{number}.json") for number in range(len(summaries))]


def test_the_order_of_files_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, [session(0, 4096), session(1, 8192), session(2, 16384)])
    out = tmp_path / "all.json"
    found = set()
    for some in permutations(files):
        assert main(["merge", *some, "-o", str(out)]) == 0
        found.add(out.read_text())
    (text,) = found
    assert capsys.readouterr().out.endswith(": 3 measurements of 3 sessions\n")
    merged = load(out)
    assert [(one.test, merged.session_of(one).started) for one in merged.measurements] == [
        ("test[16384]", STARTED[2]),
        ("test[4096]", STARTED[0]),
        ("test[8192]", STARTED[1]),
    ]
    assert (merged.session.device, merged.session.seconds) == (SESSION.device, 36.9)
    assert merged.notes == ["day 0", "day 1", "day 2"]
    # A merged file is a file, and one that is there twice is there once.
    assert main(["merge", str(out), files[0], "-o", str(out)]) == 0
    assert out.read_text() == text


FIT = "parts fit together where all machines have the same tests and the same history"
OTHER_COMMIT = {"id": "d" * 40, "branch": "main", "dirty": False}


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (session(2, 4096, 2.0), f"prefill v3 @ 4096 has 2 results, of the sessions of {STARTED[0]}, {STARTED[2]}"),
        (session(2, 8192, commit=OTHER_COMMIT),
         "the sessions are of different commits: cccccccccccc, dddddddddddd"),
        (session(2, 8192, commit={**OTHER_COMMIT, "id": "c" * 40, "dirty": True}),
         "the sessions are of different commits: cccccccccccc, cccccccccccc with uncommitted changes"),
        (session(2, 8192, options={"--greta-shard": "2/3, cut as abc"}),
         f"of the 3 parts cut as abc there is 2, and not 1, 3: {FIT}"),
        (session(2, 8192, gates={"file": "gates.yaml", "sha256": "e" * 64}),
         "the sessions had different gates: gates.yaml eeeeeeeeeeee, gates.yaml ffffffffffff"),
    ],
)  # fmt: skip
def test_what_contradicts_is_told_and_kept_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: Summary, line: str
) -> None:
    out = tmp_path / "all.json"
    arguments = ["merge", *written(tmp_path, [session(0, 4096), other]), "-o", str(out)]
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"error: {line}\nerror: nothing was written; --force keeps all of it\n"
    assert not out.exists()
    assert main([*arguments, "--force"]) == 0
    merged = load(out)
    assert len(merged.measurements) == 2
    assert line in merged.notes


def test_sessions_of_one_second_are_told_by_their_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = written(tmp_path, [session(0, 4096), session(0, 4096, 2.0, seconds=9.0)])
    assert main(["merge", *files, "-o", str(tmp_path / "all.json")]) == 1
    told = f"of the sessions of {STARTED[0]} in {files[0]}, {STARTED[0]} in {files[1]}"
    assert capsys.readouterr().err.splitlines()[0].endswith(told)


def test_the_same_result_on_another_device_is_no_contradiction() -> None:
    device = {"kind": "hip", "identity": "hip: MI250X"}
    merged, conflicts = merge([session(0, 4096), session(2, 4096, 2.0, device=device)])
    assert not conflicts
    assert len(merged.measurements) == 2
    assert (merged.session.device, merged.session.not_measured) == (None, "several devices")


def test_what_one_session_could_not_measure_and_another_did_is_measured() -> None:
    row = {"kernel": "prefill", "variant": "v3", "where": "", "reason": "no GPU"}
    blocked = [{**row, "test": f"test[{n}]", "status": "NOT MEASURED"} for n in (4096, 8192)]
    failed = {**row, "test": "test[4096]", "status": "FAIL"}
    merged, _ = merge(
        [session(0, 4096), Summary(replace(SESSION, started=STARTED[1]), (), [*blocked, failed])]
    )
    assert [(one["test"], one["status"]) for one in merged.stopped] == [
        ("test[4096]", "FAIL"),
        ("test[8192]", "NOT MEASURED"),
    ]


def test_files_that_cannot_be_read_are_all_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    assert main(["merge", str(bad), str(tmp_path / "none.json"), "-o", str(tmp_path / "all.json")]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"error: {bad}: no summary.json of greta: it has no 'greta_summary'"
    assert second.startswith(f"error: {tmp_path / 'none.json'}: there is no such file")


def test_what_is_no_file_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.json").write_text("{}")
    assert main(["merge", str(tmp_path / "a.json"), "-o", str(tmp_path / "pipe")]) == 2
    assert capsys.readouterr().err.endswith("pipe: is no regular file\n")
    assert (tmp_path / "pipe").is_fifo()


def stored(folder: Path, node: str, *names: str, commit: str = "c" * 40, median: float = 1.0) -> Path:
    """A folder of `--benchmark-storage` with one run."""
    entries = [
        {"fullname": name, "stats": {"median": median}, "extra_info": {"place": ord(name)}} for name in names
    ]
    machine = {"node": node, "greta_device": "hip: MI300X"}
    data = {
        "machine_info": machine,
        "commit_info": {"id": commit, "dirty": False},
        "benchmarks": entries,
        "datetime": STARTED[0],
        "version": "5",
    }
    place = folder / node / "Linux-64bit"
    place.mkdir(parents=True)
    (place / "0007_old.json").write_text("{}")
    (place / "0008_run.json").write_text(json.dumps(data))
    return folder / node


def test_histories_are_one_whatever_their_order_and_become_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [str(stored(tmp_path, "n1", "a", "c")), str(stored(tmp_path, "n2", "b"))]
    for number, some in enumerate(permutations(nodes), 1):
        assert main(["merge", *some, "-o", str(tmp_path / "all")]) == 0
        assert (tmp_path / f"all/Linux-64bit/{number:04}_run.json").exists()
    first, second = (path.read_text() for path in sorted((tmp_path / "all").glob("*/*.json")))
    assert first == second
    data = json.loads(first)
    assert [one["fullname"] for one in data["benchmarks"]] == ["a", "b", "c"]
    assert data["machine_info"] == {"node": "n1, n2", "greta_device": "hip: MI300X"}
    assert capsys.readouterr().out.endswith(": 3 runs of 2 sessions\n")
    assert main(["merge", nodes[1], "-o", str(tmp_path / "all")]) == 0
    assert capsys.readouterr().out.endswith(": 1 run of 1 session\n")


def test_histories_that_contradict_are_told_and_kept_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = stored(tmp_path, "n1", "a"), stored(tmp_path, "n2", "a", commit="d" * 40, median=2.0)
    command = ["merge", str(one), str(other), "-o", str(tmp_path / "all")]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "error: the sessions are of different commits: cccccccccccc, dddddddddddd\n" in told
    assert "error: a has several results\n" in told
    assert not (tmp_path / "all").exists()
    assert main([*command, "--force"]) == 0
    (other / "Linux-64bit/0007_old.json").write_text("[")  # no session now has made that
    assert main([*command, "--force"]) == 0
    (other / "Linux-64bit/0009_run.json").write_text("[")
    assert main(command) == 2
    assert "0009_run.json: is damaged, or not of pytest-benchmark" in capsys.readouterr().err


def test_what_a_full_disk_left_of_a_run_is_removed_and_told(tmp_path: Path) -> None:
    run_of(tmp_path, "L/0001_x.json", 0, "a")

    def store(*files: tuple[str, str]) -> None:
        with kept_whole(tmp_path):
            for name, text in files:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(text)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device; the history was not saved"):
        store(("L/0002_x.json", '{"benchmarks": ['), ("M/0001_x.json", ""))
    with pytest.raises(OSError, match=r"No space left on device$"):
        store(("L/0002_y.json", "{}"))  # stored, and something after it was not
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["0001_x.json", "0002_y.json"]


def run_of(folder: Path, name: str, day: int, *tests: str, part: str = "", commit: str = "c") -> Path:
    """Store a run in a folder of `--benchmark-storage`: of one part, such as `2/3`, or of a whole session."""
    data = {
        "machine_info": {"node": "n", "greta_device": "hip: MI300X"},
        "commit_info": {"id": commit * 40, "dirty": False},
        "benchmarks": [{"fullname": test, "stats": {"median": 1.0}, "extra_info": {}} for test in tests],
        "datetime": STARTED[day],
    }
    number, _, count = part.partition("/")
    if part:
        data[merging.PART] = merging.part_mark([int(number)], (int(count), "abc"))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return folder


def test_the_last_run_is_the_one_of_the_latest_time_and_no_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / name for name in ("h-1", "h-2", "h-3")]
    for folder in folders:  # all began with a history of another interpreter and commit
        run_of(folder, "Linux-CPython-3.10-64bit/0042_old.json", 0, "a", "b", commit="d")
    run_of(folders[0], "Linux-CPython-3.11-64bit/0001_new.json", 1, "a")
    run_of(folders[1], "Linux-CPython-3.11-64bit/0001_new.json", 2, "b")
    command = ["merge", *map(str, folders), "-o", str(tmp_path / "all")]
    assert main(command) == 0
    told = capsys.readouterr()
    assert told.err == f"note: {folders[2]}: holds no run that is in no other folder: left out\n"
    assert told.out == f"{tmp_path}/all/Linux-CPython-3.11-64bit/0001_new.json: 2 runs of 2 sessions\n"
    data = json.loads((tmp_path / "all/Linux-CPython-3.11-64bit/0001_new.json").read_text())
    assert [one["fullname"] for one in data["benchmarks"]] == ["a", "b"]
    assert main(["merge", str(folders[2]), str(folders[2]), "-o", str(tmp_path / "one")]) == 0
    assert capsys.readouterr().out.endswith(": 2 runs of 1 session\n")


def test_parts_of_a_history_are_those_of_one_session_and_none_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = (tmp_path / name for name in ("h-1", "h-2", "h-3"))
    run_of(first, "L/0001_x.json", 2, "a", part="1/3")
    run_of(second, "L/0001_x.json", 1, "b", part="2/3")
    run_of(third, "L/0042_x.json", 0, "a", "b", commit="d")  # part 3 timed nothing; its machine has a past
    out = str(tmp_path / "all")
    assert main(["merge", str(first), str(second), str(third), "-o", out]) == 0
    left = f"note: {third}: holds no run of this session, but an older one: left out\n"
    assert capsys.readouterr().err == left
    missing = f"of the 3 parts cut as abc there is 1, 2, and not 3: {FIT}"
    assert main(["merge", str(first), str(second), "-o", out]) == 1
    assert missing in capsys.readouterr().err
    assert main(["merge", str(first), str(second), "-o", str(tmp_path / "two"), "--force"]) == 0
    run_of(third, "L/0043_x.json", 2, "c", part="3/3")
    capsys.readouterr()
    assert (
        main(["merge", str(tmp_path / "two"), str(third), "-o", out]) == 0
    )  # what was forced is parts still
    run_of(first, "L/0002_x.json", 2, "b", part="2/3")  # parts may lie in one folder
    run_of(first, "L/0003_x.json", 2, "c", part="3/3")
    assert main(["merge", str(first), "-o", out]) == 0
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "3 runs of 2 sessions",
        "3 runs of 3 sessions",
    ]
    empty = tmp_path / "h-4"
    empty.mkdir()
    assert main(["merge", str(empty), "-o", out]) == 2
    assert capsys.readouterr().err == f"error: {empty}: holds no run of pytest-benchmark\n"
