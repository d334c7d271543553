"""The lock file: what is written is read, in one order; damage is a line each; what is held, and what is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.binaries import lock
from pytest_greta.binaries.artifacts import Artifacts
from pytest_greta.binaries.changes import HELD
from pytest_greta.binaries.kernels import BuiltKernel
from pytest_greta.binaries.lock import Entry, Key, LockFile
from pytest_greta.binaries.locked import MOST_TOLD, Locking, Part, gone_lines, nothing_for, summary_of
from pytest_greta.errors import ConfigError
from pytest_greta.gates import file as gatefile
from pytest_greta.gates.model import Quantity

GOOD: dict[str, int | None] = {
    "scratch_bytes": 0,
    "vgprs": 32,
    "vgpr_spills": 0,
    "sgpr_spills": 0,
    "lds_bytes": 0,
}
GOOD["occupancy"] = 8


def key(symbol: str = "k", part: str = "k.so", target: str = "gfx942") -> Key:
    return Key("lib", part, target, symbol)


def entry(compiler: str = "clang 22", **figures: int | None) -> Entry:
    return Entry({**GOOD, **figures}, compiler)


def kernel(symbol: str = "k", compiler: str = "clang 22", **figures: int | None) -> BuiltKernel:
    quantities = {name: Quantity(value) for name, value in {**GOOD, **figures}.items()}
    return BuiltKernel(symbol, symbol, "gfx942", "k.so", "", compiler, 256, quantities)


numbers = st.integers(0, 1 << 40)
unknown = dict.fromkeys(("scratch_bytes", "occupancy"), st.none() | numbers)
figures = st.fixed_dictionaries({name: unknown.get(name, numbers) for name in HELD})
texts = st.text(st.characters(codec="utf-8"), max_size=8)
entries = st.dictionaries(
    st.builds(Key, texts, texts, texts, texts), st.builds(Entry, figures, texts), max_size=5
)


@given(entries)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, some: lock.Entries) -> None:
    path = tmp_path_factory.mktemp("lock") / lock.NAME
    lock.store(path, some)
    found = lock.load(path)
    assert found.entries == some
    assert lock.text(dict(reversed(list(found.entries.items())))) == path.read_text(encoding="utf-8")
    assert lock.of_plain(json.loads(json.dumps(lock.plain(some)))) == some
    assert [one.line for one in found.entries.values()] == list(range(2, len(some) + 2))


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    found = lock.load(tmp_path / lock.NAME)
    assert not found.is_there
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"link: is a link to nowhere, which is not there"):
        lock.load(tmp_path / "link")
    assert Locking(found).hold([Part("lib", "k.so", [kernel()])]).entries == {}
    with pytest.raises(ConfigError, match=r": cannot be read: Is a directory"):
        lock.load(tmp_path)


LINE = json.dumps({"of": "lib", "in": "k.so", "target": "gfx942", "kernel": "k", **GOOD, "compiler": "c"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "1: no JSON: ''; mend the line"),
        ("{}\n", "1: the first line is {\"greta_lock\": 1}, not '{}'"),
        (
            '{"greta_lock": 2}\n',
            "1: unknown version 2; this greta reads version 1: install the pytest-greta that",
        ),
        ('{"greta_lock": true}\n', '1: the first line is {"greta_lock": 1}, not \'{'),
        (f'{{"greta_lock": 1}}\n{LINE}\n\n{LINE}\n', "4: the same kernel stands in line 2; mend the line"),
        ('{"greta_lock": 1}\n>>>>>>> main\n', "2: a merge conflict: keep one line for each kernel"),
        ('{"greta_lock": 1}\n[1]\n', "2: no JSON object: '[1]'; mend the line"),
        ('{"greta_lock": 1}\n' + "[" * 100_000, "2: no JSON: '[[[["),
        (
            '{"greta_lock": 1}\n' + LINE.replace('"vgprs": 32', '"vgprs": -1'),
            "2: vgprs: a whole number, not -1; mend",
        ),
        *(
            (
                '{"greta_lock": 1}\n' + LINE.replace('"vgprs": 32', f'"vgprs": {stated}'),
                f"2: vgprs: a whole number, not {shown}; mend",
            )
            for stated, shown in (
                ("true", "true"),
                ('"12"', "'12'"),
                ("12.5", "12.5"),
                ("NaN", "NaN"),
                ("null", "null"),
                ("[1]", "[1]"),
            )
        ),
        (
            '{"greta_lock": 1}\n' + LINE.replace('"vgprs": 32', '"vgprs": 99, "vgprs": 32'),
            "2: 'vgprs' stands twice; mend",
        ),
        ('{"greta_lock": 1}\n' + LINE.replace('"c"', "7"), "2: compiler: a text, not 7; mend"),
        (
            '{"greta_lock": 1}\n' + LINE.replace('"vgprs"', '"vgpr"'),
            "2: no entry: no vgprs, unknown 'vgpr'; mend",
        ),
        ('{"greta_lock": 1}\n' + LINE.replace('"c"', "7") + "\x1b", "2: no JSON: "),
    ],
)
def test_damage_is_one_line_with_its_place(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / lock.NAME
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        lock.load(path)
    (problem,) = caught.value.problems
    assert problem.partition("greta.lock:")[2].startswith(told)
    assert problem.isprintable()


def held(known: dict[Key, Entry], *kernels: BuiltKernel) -> tuple[list[str], list[str]]:
    """Verdicts and notes of kernels against what is recorded."""
    numbered = {one: replace(known[one], line=number) for number, one in enumerate(sorted(known), 2)}
    found = Locking(LockFile(Path("greta.lock").absolute(), numbered)).hold([Part("lib", "k.so", kernels)])
    return [verdict.line() for verdict in found.verdicts], found.notes


def test_what_got_worse_is_a_limit_of_its_line() -> None:
    verdicts, notes = held(
        {key("a"): entry(vgprs=30, occupancy=9, lds_bytes=8), key("b"): entry(vgprs=40), key("c"): entry()},
        *(kernel("a"), kernel("b"), kernel("c")),
    )
    assert verdicts == [
        "greta.lock:2  a @ gfx942  vgprs <= 30   measured 32   FAIL",
        "greta.lock:2  a @ gfx942  occupancy >= 9   measured 8   FAIL",
        "greta.lock  2 kernels @ gfx942  locked is true   measured true   PASS",
    ]
    assert notes == [
        "greta.lock: lib k.so: 1 kernel worse; pytest --greta-lock accepts it",
        "greta.lock: lib k.so: 1 kernel better: b @ gfx942 (vgprs 40 -> 32); pytest --greta-lock records it",
    ]


def test_scratch_without_bounds_is_worse_than_any() -> None:
    verdicts, _ = held({key(): entry(scratch_bytes=8)}, kernel(scratch_bytes=None))
    assert verdicts == [
        "greta.lock:2  k @ gfx942  scratch_bytes <= 8   measured inf B   FAIL (not a finite number; nothing bounds it)"
    ]
    assert held({key(): entry(scratch_bytes=None)}, kernel(scratch_bytes=None))[0][0].endswith("PASS")


def test_a_file_without_entries_is_a_lock_and_what_it_does_not_know_is_not_measured(tmp_path: Path) -> None:
    lock.store(tmp_path / lock.NAME, {})
    assert lock.load(tmp_path / lock.NAME).is_there
    for known, passed in (({}, 0), ({key("b"): entry()}, 1)):
        verdicts, notes = held(known, kernel("a"), kernel("b"))
        assert sum(line.endswith("PASS") for line in verdicts) == passed
        assert verdicts[-1].endswith("NOT MEASURED (not recorded yet: pytest --greta-lock records it)")
        assert len(notes) == 1


def test_another_compiler_decides_nothing() -> None:
    verdicts, notes = held(
        {key("a"): entry("clang 21", vgprs=1), key("b"): entry("")}, kernel("a"), kernel("b")
    )
    (line,) = verdicts
    assert line.startswith("greta.lock  2 kernels @ gfx942  locked is true   NOT MEASURED (")
    why = "recorded of clang 21 and an unknown compiler, and this is of clang 22"
    assert line.endswith(f"({why}: pytest --greta-lock records it)")
    (note,) = notes
    assert note.startswith(
        "greta.lock: lib k.so: 1 kernel worse by another compiler: a @ gfx942 (vgprs 1 -> 32); "
    )


def test_compilers_are_told_by_what_tells_them_apart() -> None:
    for old, new, told in (
        ("clang 21 (a)", "clang 22 (b)", "recorded of clang 21, and this is of clang 22: "),
        ("clang 22 (a)", "clang 22 (b)", "recorded of clang 22 (a), and this is of clang 22 (b): "),
    ):
        (line,) = held({key(): entry(old)}, kernel(compiler=new))[0]
        assert told in line


def test_of_kernels_that_share_a_name_the_worst_counts() -> None:
    both = [kernel(vgprs=16), kernel(vgprs=48)]
    assert Part("lib", "k.so", both).entries() == {key(): entry(vgprs=48)}
    assert held({key(): entry(vgprs=48)}, *both)[0][0].endswith("PASS")


def test_of_many_that_got_worse_some_are_told() -> None:
    names = [f"k{number:02}" for number in range(30)]
    verdicts, notes = held({key(name): entry(vgprs=1) for name in names}, *map(kernel, names))
    assert len(verdicts) == MOST_TOLD
    assert notes == ["greta.lock: lib k.so: 30 kernels worse; pytest --greta-lock accepts it"]


def test_entries_for_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
    mangled = "_Z4sumsILi4EEvPf"
    lock.store(tmp_path / lock.NAME, {key(mangled): entry(), key("b", "other.so"): entry()})
    file = lock.load(tmp_path / lock.NAME)

    def told(seen: Iterable[Key], groups: Sequence[tuple[str, str, str]] | None = None) -> list[str]:
        lines = gone_lines(nothing_for(file, seen, groups), {one.of for one in seen})
        return [text.rpartition("greta.lock:")[2] for text in lines]

    kernel_name = f"sums<4> ({mangled})"
    assert told([key("c")]) == [
        f"2: no kernel {kernel_name} of lib k.so for gfx942; pytest --greta-lock drops it",
        "3: no kernel b of lib other.so for gfx942; pytest --greta-lock drops it",
    ]
    unread = f"2: no test read any kernel of lib, for which {kernel_name} of k.so for gfx942 is recorded; "
    assert told([])[0] == f"{unread}pytest --greta-lock drops it"
    assert len(told([], [key().group])) == 1
    assert told(file.entries) == []


def test_a_file_of_any_editor_is_read_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).write_text('\ufeff{"greta_lock": 1}\n' + LINE, encoding="utf-8")
    assert lock.load(tmp_path / lock.NAME).entries == {key(): entry("c")}
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe: is no regular file"):
        lock.load(tmp_path / "pipe")


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / lock.NAME).symlink_to("shared/real.lock")
    (tmp_path / "shared" / "real.lock").write_text("")
    with lock.alone(tmp_path / lock.NAME):
        lock.store(tmp_path / lock.NAME, {key(): entry()})
    assert (tmp_path / lock.NAME).is_symlink()
    assert lock.load(tmp_path / "shared" / "real.lock").entries == {key(): entry()}


def test_who_records_waits_for_another(tmp_path: Path) -> None:
    holder = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    command = [sys.executable, "-c", holder, str(tmp_path)]
    with lock.alone(tmp_path / lock.NAME):
        assert b"BlockingIOError" in subprocess.run(command, capture_output=True, check=False).stderr
    subprocess.run(command, check=True)


def test_what_two_sessions_record_at_once_is_not_lost() -> None:
    began = {key("a"): entry(), key("gone"): entry(), key("c", "other.so"): entry()}
    mine = {key("a"): entry(vgprs=8), key("b"): entry()}
    assert lock.meanwhile(began, began, mine) == ({}, [])
    assert lock.meanwhile(began, mine, mine) == ({}, [])  # the other one found the same
    theirs = {**began, key("c", "other.so"): entry(vgprs=9), key("new", "new.so"): entry()}
    others = {key("c", "other.so"): entry(vgprs=9), key("new", "new.so"): entry()}
    assert lock.meanwhile(began, theirs, mine) == (others, [])
    unlike = {**theirs, key("a"): entry(vgprs=7), key("b"): entry("clang 23"), key("d"): entry()}
    assert lock.meanwhile(began, unlike, mine) == (others, [key("a"), key("b"), key("d")])


def test_what_is_not_read_stays_where_not_all_was() -> None:
    old = {key("a"): entry(), key("b"): entry(), key("c", "other.so"): entry()}
    new = {key("a"): entry(vgprs=8), key("d"): entry()}
    assert lock.merged(old, new, keep_others=False) == new
    assert lock.merged(old, new, keep_others=True) == {**new, key("c", "other.so"): entry()}
    told = summary_of(old, {**new, key("c", "other.so"): entry("clang 23")})
    assert told == "3 kernels (1 new, 1 gone, 1 better, 1 by another compiler)"
    assert summary_of(old, old) == "3 kernels (nothing changed)"


def test_of_two_files_with_one_key_the_worst_is_recorded() -> None:
    some = [{key(): entry(vgprs=48, occupancy=8)}, {key(): entry(vgprs=16, occupancy=4, scratch_bytes=None)}]
    rows = [row for one in some for row in lock.plain(one)]
    worst = {key(): entry(vgprs=48, occupancy=4, scratch_bytes=None)}
    assert lock.of_plain(rows) == lock.of_plain(reversed(rows)) == worst


def test_a_wheel_is_recorded_by_member_and_without_its_version(library_path: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    with zipfile.ZipFile(tmp_path / "dist" / "shop-1.2.3-1-cp311-abi3-linux_x86_64.whl", "w") as wheel:
        wheel.write(library_path, "shop/libk.so")
        wheel.write(library_path, "shop-1.2.3.data/libk.so")
    (tmp_path / "gates.yaml").write_text("version: 1\nartifacts: {shop: dist/*.whl}\n")
    gates = gatefile.load(tmp_path / "gates.yaml")
    locking = Locking(LockFile(tmp_path / lock.NAME, {}), is_recording=True)
    artifacts = Artifacts(gates.artifacts, gates.folder, gates.path, locking)
    (case,) = artifacts.cases("shop")
    result = artifacts.judge(case, ["gfx942"])
    parts = [
        "dist/shop-cp311-abi3-linux_x86_64.whl shop/libk.so",
        "dist/shop-cp311-abi3-linux_x86_64.whl shop.data/libk.so",
    ]
    assert {one.group for one in result.held.entries} == {("shop", part, "gfx942") for part in parts}
    assert len(result.held.entries) == 6
    assert result.verdicts() == []
