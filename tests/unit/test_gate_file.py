"""gates.yaml: what is read, which gates apply, and every mistake word for word."""

# ruff: noqa: E501  -- the messages stand in a table, one line each

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_greta.errors import ConfigError
from pytest_greta.gates import file as gatefile
from pytest_greta.gates.model import Gate
from pytest_greta.kernel import Kernel, Problem, Variant

GOOD = """\
version: 1
targets: [gfx942, gfx90a, gfx1100]
kernels:
  prefill:
    baseline: baseline
    contexts:
      hip: [4096, 8192, 16384]
      cpu: [512, 1024]
    gates:
      "*":
        scratch_bytes: 0
        vgprs: 128
        max_error: 2.0e-3
        speedup: 1.0
        deadline_seconds:
          - 600
          - {max: 1800, contexts: 16384, devices: hip}
          - {max: 60, devices: cpu}
          - {max: 90, contexts: 1024, devices: cpu}
      v3:
        vgprs: [{max: 96, targets: [gfx942, gfx90a]}, {max: 112, targets: gfx1100}]
        speedup: {min: 1.20, contexts: [4096, 8192], devices: hip}
        prefill_seconds: 20
        deterministic: [{equals: false, contexts: 8192}, true]
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "gates.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(path: str | Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        gatefile.load(path)
    return caught.value.problems


def texts(gates: list[Gate]) -> list[str]:
    return [f"{gate.place} {gate.text}" for gate in gates]


# -- reading and choosing --------------------------------------------------------------------------------


def test_the_lists_of_a_file(write: Write) -> None:
    file = gatefile.load(write(GOOD))
    assert file.path == "gates.yaml"
    assert file.targets == ("gfx942", "gfx90a", "gfx1100")
    entry = file.kernels["prefill"]
    assert ([b.variant for b in entry.baselines], list(entry.variants)) == (["baseline"], ["v3"])
    contexts = {device: [one.context for one in listed] for device, listed in entry.problems.items()}
    assert contexts == {"hip": [4096, 8192, 16384], "cpu": [512, 1024]}


def test_a_path_elsewhere_is_shown_as_given(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(GOOD)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert gatefile.load(path).path == str(path)
    assert gatefile.load("../gates.yaml").path == "../gates.yaml"


LAUNCHABLE, UNWAITED = "built-in launchable is true", "built-in unwaited_barriers <= 0"


@pytest.mark.parametrize(
    ("variant", "target", "expected"),
    [
        ("v1", "gfx942", ["gates.yaml:11 scratch_bytes <= 0", "gates.yaml:12 vgprs <= 128"]),
        ("v3", "gfx942", ["gates.yaml:11 scratch_bytes <= 0", "gates.yaml:21 vgprs <= 96"]),
        ("v3", "gfx942:sramecc+:xnack-", ["gates.yaml:11 scratch_bytes <= 0", "gates.yaml:21 vgprs <= 96"]),
        ("v3", "gfx1100", ["gates.yaml:11 scratch_bytes <= 0", "gates.yaml:21 vgprs <= 112"]),
        # The variant's own entry replaces that of "*" as a whole, also where it does not apply.
        ("v3", "gfx1201", ["gates.yaml:11 scratch_bytes <= 0"]),
    ],
)
def test_the_gates_of_a_code_object(write: Write, variant: str, target: str, expected: list[str]) -> None:
    gates = gatefile.load(write(GOOD)).gates_for("prefill", variant, target=target)
    assert texts(gates) == [LAUNCHABLE, UNWAITED, *expected]


def test_an_entry_takes_the_place_of_the_built_in_gate_of_code(write: Write) -> None:
    text = GOOD.replace("      v3:\n", "      v3:\n        unwaited_barriers: {max: 1, targets: gfx942}\n")
    file = gatefile.load(write(text))
    for target, built_in in {"gfx942": False, "gfx1100": True, "sm_90": False}.items():
        assert (UNWAITED in texts(file.gates_for("prefill", "v3", target=target))) == built_in


def run_gates(file: gatefile.GateFile, variant: str, context: int, device: str) -> set[str]:
    gates = file.gates_for(
        "prefill", variant, problem=Problem(context), device=device, entry="kernel", outputs={"out": 0.5}
    )
    return set(texts(gates))


FIXED = {
    "built-in implementation is kernel",
    "built-in complete is true",
    "built-in canaries is true",
    "built-in no_fault is true",
    "built-in inputs_unchanged is true",
    "built-in prefill_seconds > 0",
}
ERROR = "gates.yaml:13 max_error <= 2.00e-03"
DETERMINISTIC = "built-in deterministic is true"


@pytest.mark.parametrize(
    ("variant", "context", "device", "expected"),
    [
        ("v1", 4096, "hip", {"gates.yaml:14 speedup >= 1.00", "gates.yaml:16 deadline_seconds <= 600", DETERMINISTIC}),
        ("baseline", 4096, "hip", {"gates.yaml:16 deadline_seconds <= 600", DETERMINISTIC}),
        ("baseline", 16384, "hip", {"gates.yaml:17 deadline_seconds <= 1800", DETERMINISTIC}),
        ("baseline", 512, "cpu", {"gates.yaml:18 deadline_seconds <= 60", DETERMINISTIC}),
        ("baseline", 1024, "cpu", {"gates.yaml:19 deadline_seconds <= 90", DETERMINISTIC}),
        (
            "v3",
            4096,
            "hip",
            {
                "gates.yaml:22 speedup >= 1.20",
                "gates.yaml:23 prefill_seconds <= 20",
                "gates.yaml:24 deterministic is true",
                "gates.yaml:16 deadline_seconds <= 600",
            },
        ),
        ("v3", 8192, "hip", {  # deterministic is waived, and only there
            "gates.yaml:22 speedup >= 1.20",
            "gates.yaml:23 prefill_seconds <= 20",
            "gates.yaml:16 deadline_seconds <= 600",
        }),
        ("v3", 512, "cpu", {
            "gates.yaml:23 prefill_seconds <= 20",
            "gates.yaml:24 deterministic is true",
            "gates.yaml:18 deadline_seconds <= 60",
        }),
    ],
)  # fmt: skip
def test_the_gates_of_a_run(
    write: Write, variant: str, context: int, device: str, expected: set[str]
) -> None:
    assert run_gates(gatefile.load(write(GOOD)), variant, context, device) == FIXED | {ERROR} | expected


def test_a_kernel_without_entries_has_its_built_in_gates(write: Write) -> None:
    file = gatefile.load(write("version: 1\nkernels: {prefill: {baseline: v0}}"))
    defaults = {"built-in max_error <= 5.00e-01", DETERMINISTIC, "built-in deadline_seconds <= 600"}
    assert run_gates(file, "v3", 4096, "hip") == FIXED | defaults
    assert texts(file.gates_for("prefill", "v3", target="gfx942")) == [LAUNCHABLE, UNWAITED]
    assert texts(file.gates_for("other", "v3", target="gfx942")) == [LAUNCHABLE, UNWAITED]
    assert file.deadline_seconds("other", "v3", Problem(4096), "hip") == 600


def test_a_run_needs_all_its_arguments(write: Write) -> None:
    with pytest.raises(ValueError, match="entry and outputs"):
        gatefile.load(write(GOOD)).gates_for("prefill", "v3", problem=Problem(4096), device="hip")


@pytest.mark.parametrize(
    ("context", "device", "seconds"), [(4096, "hip", 600), (16384, "hip", 1800), (1024, "cpu", 90)]
)
def test_the_deadline_of_a_run(write: Write, context: int, device: str, seconds: float) -> None:
    assert gatefile.load(write(GOOD)).deadline_seconds("prefill", "v3", Problem(context), device) == seconds


def gate_lines(*lines: str) -> str:
    body = "".join(f"        {line}\n" for line in lines)
    return f"version: 1\nkernels:\n  k:\n    baseline: b\n    gates:\n      v:\n{body}"


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("gfx90a:xnack-", "gfx90a:xnack+", False),
        ("gfx90a:xnack-", "gfx90a:sramecc+", True),
        ("gfx90a", "gfx90a:sramecc+", True),
        ("gfx90a", "gfx942", False),
    ],
)
def test_two_entries_clash_where_one_target_is_in_both(
    write: Write, first: str, second: str, clash: bool
) -> None:
    path = write(gate_lines(f"vgprs: [{{max: 8, targets: '{first}'}}, {{max: 9, targets: '{second}'}}]"))
    if clash:
        assert "neither is more specific" in problems(path)[0]
    else:
        assert len(gatefile.load(path).kernels["k"].gates) == 2


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", ".001", "+1e-3", "{max: 1e-3}", "[1e-3]"])
def test_every_way_to_write_a_number(write: Write, text: str) -> None:
    (gate,) = gatefile.load(write(gate_lines(f"max_error: {text}"))).kernels["k"].gates
    assert gate.limit.max == 0.001


def test_anchors_and_aliases_are_read(write: Write) -> None:
    text = GOOD.replace("v3:\n", "v4: &same {vgprs: &limit 7, sgprs: *limit}\n      v3: *same\n      v5:\n")
    file = gatefile.load(write(text))
    assert [gate.text for gate in file.gates_for("prefill", "v3", target="gfx942")][3:] == [
        "vgprs <= 7",
        "sgprs <= 7",
    ]


# -- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1\n", "", ["1:1: the file has no 'version: 1'"]),
        ("version: 1", "version: 2", ["1:10: unknown version 2; this greta reads version 1"]),
        ("version: 1", "version: '1'", ["1:10: version: expected a number, found the text '1'"]),
        (
            "version: 1\n",
            "version: 1\ninconclusive: maybe\n",
            ["2:15: inconclusive: expected fail or warn, found the text 'maybe'"],
        ),
        ("targets:", "target:", ["2:1: unknown key 'target' in the file; did you mean 'targets'?"]),
        ("[gfx942, gfx90a, gfx1100]", "[]", ["2:10: targets: the list is empty"]),
        (
            "[gfx942, gfx90a, gfx1100]",
            "[942, mi300, gfx942, gfx942, [gfx90a]]",
            [
                "2:11: targets: expected the name of a target, such as gfx942, found the number 942",
                "2:16: 'mi300' is not a target; a target reads like gfx942 or gfx90a:xnack-",
                "2:31: targets: 'gfx942' is listed twice",
                "2:39: targets: expected the name of a target, such as gfx942, found a list",
                "21:45: target 'gfx90a' is not among the targets of the file; did you mean 'gfx942'?",
                "21:75: target 'gfx1100' is not among the targets of the file; there is gfx942",
            ],
        ),
        ("    baseline: baseline\n", "", ["4:3: kernel 'prefill' has no 'baseline'"]),
        ("baseline: baseline", "baseline:", ["5:14: baseline: expected the name of a variant, found nothing"]),
        ("baseline: baseline", "baseline: 1", ["5:15: baseline: expected the name of a variant, found the number 1"]),
        (
            "baseline: baseline",
            "baseline: off",
            [
                ("5:15: baseline: expected the name of a variant, found 'off', true or false to some YAML readers "
                "and text to others; write true or false")
            ],
        ),
        (
            "baseline: baseline",
            "baseline: baseline\n    base: x",
            ["6:5: unknown key 'base' in kernel 'prefill'; did you mean 'baseline'?"],
        ),
        (
            "baseline: baseline",
            "baseline: baseline\n    baseline: v1",
            ["6:5: duplicate key 'baseline' in kernel 'prefill'; the first one is in line 5"],
        ),
        ("cpu: [512", "gpu: [512", [
            "8:7: unknown device 'gpu'; did you mean 'cpu'?",
        ]),
        ("[512, 1024]", "[0, 1024]", ["8:13: contexts: expected a whole number above 0, found the number 0"]),
        ("[512, 1024]", "[1.5, 1024]", ["8:13: contexts: expected a whole number, found the number 1.5"]),
        ("[512, 1024]", "[true, 1024]", ["8:13: contexts: expected a whole number, found true"]),
        ("[512, 1024]", "[4k, 1024]", ["8:13: contexts: expected a whole number, found the text '4k'"]),
        (
            "[512, 1024]",
            "[08, 1024]",
            [
                ("8:13: contexts: expected a whole number, found '08', octal to some YAML readers; "
                "write it without the leading zero")
            ],
        ),
        ("vgprs: 128", "vpgrs: 128", ["12:9: unknown gate 'vpgrs' for every variant; did you mean 'vgprs'?"]),
        ("prefill_seconds: 20", "vpgrs: 2", ["23:9: unknown gate 'vpgrs' for variant 'v3'; did you mean 'vgprs'?"]),
        ("vgprs: 128", "complete: true", ["12:9: gate 'complete' is built into every run and cannot be changed"]),
        ("vgprs: 128", "vgprs:", ["12:15: vgprs: expected a whole number, found nothing"]),
        ("vgprs: 128", "vgprs: true", ["12:16: vgprs: expected a whole number, found true"]),
        ("vgprs: 128", "vgprs: -1", ["12:16: vgprs: expected a whole number of 0 or more, found the number -1"]),
        ("vgprs: 128", "vgprs: '128'", ["12:16: vgprs: expected a whole number, found the text '128'"]),
        ("vgprs: 128", "vgprs: 1.5", ["12:16: vgprs: expected a whole number, found the number 1.5"]),
        ("vgprs: 128", "vgprs: {}", [
            "12:16: gate 'vgprs' has no limit; give it min or max",
        ]),
        (
            "vgprs: 128",
            "vgprs: {max: 128, expect: {max: 152}}",
            ["12:35: expect of vgprs has no 'reason'"],
        ),
        (
            "vgprs: 128",
            "vgprs: {max: 128, expect: {max: 100, reason: r}}",
            ["12:41: expect of vgprs is not outside the limit; give the value that is known to miss it"],
        ),
        (
            "vgprs: 128",
            "vgprs: {max: 128, expect: {min: 1, max: 200, reason: r}}",
            ["12:35: expect of vgprs needs one bound: min or max"],
        ),
        ("vgprs: 128", "vgprs: {targets: gfx942}", ["12:16: gate 'vgprs' has no limit; give it min or max"]),
        ("vgprs: 128", "vgprs: {min: 8, max: 8}", []),
        ("vgprs: 128", "vgprs: {min: 9, max: 8}", ["12:22: vgprs: min 9 is above max 8"]),
        (
            "vgprs: 128",
            "vgprs: {max: 8, contexts: 4096}",
            ["12:25: unknown key 'contexts' in gate 'vgprs'; contexts narrow another kind of gate; there is min, max, targets, where, expect"],
        ),
        (
            "vgprs: 128",
            "vgprs: {equals: yes, max: 8}",
            ["12:17: unknown key 'equals' in gate 'vgprs'; there is min, max, targets, where, expect"],
        ),
        (
            "prefill_seconds: 20",
            "prefill_seconds: {max: 20, targets: gfx942}",
            [
                ("23:36: unknown key 'targets' in gate 'prefill_seconds'; targets narrow another kind of gate; "
                "there is min, max, contexts, devices, where, expect")
            ],
        ),
        ("prefill_seconds: 20", "prefill_seconds: 0", [
            "23:26: prefill_seconds: expected a number above 0, found the number 0"
        ]),
        ("2.0e-3", ".nan", ["13:20: max_error: expected a number, found .nan, which is not finite"]),
        ("2.0e-3", "-.inf", ["13:20: max_error: expected a number, found -.inf, which is not finite"]),
        ("2.0e-3", "1e999", ["13:20: max_error: expected a number, found '1e999', too large for a number"]),
        ("2.0e-3", "!!float 1", []),
        ("2.0e-3", "!x%0A 1", ["13:20: max_error: expected a number, found the tag '!x\\n'; tags are not supported"]),
        ("2.0e-3", "1_0.0", ["13:20: max_error: expected a number, found '1_0.0'; write plain decimal digits"]),
        ("2.0e-3", "{min: 0.1}", [
            "13:20: gate 'max_error' has no limit; give it max",
            "13:21: unknown key 'min' in gate 'max_error'; there is max, contexts, devices, where, outputs, expect",
        ]),
        ("- 600", "- 10:00", [
            ("16:13: deadline_seconds: expected a number, found '10:00', base 60 to some YAML readers; "
            "write plain decimal digits")
        ]),
        ("- 600", "- 0x10", [
            "16:13: deadline_seconds: expected a number, found '0x10'; write plain decimal digits"
        ]),
        ("16384, devices: hip", "1638", [
            "17:35: context 1638 is not among the contexts of the kernel; there is 512, 1024, 4096, 8192, 16384"
        ]),
        ("contexts: [4096, 8192], devices: hip", "contexts: 512, devices: hip", [
            "22:40: context 512 is not among the contexts of the kernel; there is 4096, 8192, 16384"
        ]),
        ("8192], devices: hip", "8192], devices: cuda", ["22:63: unknown device 'cuda'; there is hip, cpu"]),
        ("contexts: 1024, devices: cpu", "contexts: [], devices: cpu", ["19:33: contexts: the list is empty"]),
        ("{max: 60, devices: cpu}", "{max: 60, contexts: [4096, 16384], devices: hip}", [
            "18:13: this entry of deadline_seconds applies where the entry of line 17 does, and neither is more specific"
        ]),
        ("{max: 60, devices: cpu}", "60", [
            "18:13: this entry of deadline_seconds applies where the entry of line 16 does, and neither is more specific"
        ]),
        ("targets: gfx1100", "targets: 'gfx90a:xnack+'", [
            "21:75: target 'gfx90a:xnack+' is not among the targets of the file; did you mean 'gfx90a'?"
        ]),
        ("{max: 96, targets: [gfx942, gfx90a]}", "{max: 96, targets: gfx1100}", [
            "21:46: this entry of vgprs applies where the entry of line 21 does, and neither is more specific"
        ]),
        ("vgprs: 128", "vgprs: [{max: 9, targets: gfx942}, 8]", []),
        ("[{equals: false, contexts: 8192}, true]", "3", [
            "24:24: deterministic: expected true or false, found the number 3"
        ]),
        ("[{equals: false, contexts: 8192}, true]", "on", [
            ("24:24: deterministic: expected true or false, found 'on', true or false to some YAML readers "
            "and text to others; write true or false")
        ]),
        ("[{equals: false, contexts: 8192}, true]", "[]", ["24:24: deterministic: the list is empty"]),
        ("deterministic: [{equals: false, contexts: 8192}, true]", "implementation: 2001-01-01", [
            ("24:25: implementation: expected text, found '2001-01-01', a timestamp to some YAML readers; "
            "put text in quotes")
        ]),
        ("      v3:\n", "      speedup:\n", [
            ("20:7: 'speedup' is a gate, not a variant; gates are written under the name of a variant, "
            'or under "*" for every variant')
        ]),
        ("      v3:\n", "      baseline:\n", ["22:9: speedup of the baseline 'baseline' against itself says nothing"]),
        ("      v3:\n", "      v3: !!set\n", ["20:11: found the tag 'tag:yaml.org,2002:set'; tags are not supported"]),
        ("      v3:\n", "      v3:\n        <<: {vgprs: 3}\n", [
            "21:9: merge keys (<<) are not read; write the entries of gates of variant 'v3' out"
        ]),
        ("      v3:\n", "      v2:\n      v3:\n", ["20:10: gates of variant 'v2': expected a mapping, found nothing"]),
        ('"*"', "*", [
            ("10:8: not valid YAML: while scanning an alias expected alphabetic or numeric character, but found ':'; "
            'a lone * needs quotes: "*"')
        ]),
        ("vgprs: 128", "\tvgprs: 128", [
            "12:9: not valid YAML: while scanning for the next token found character '\\t' that cannot start any token"
        ]),
        ("version: 1", "version: 1\x07", ["1:11: the character U+0007 is not allowed in YAML"]),
        ("version: 1", 'version: "\\UFFFFFFFF"', [None]),
        ("version: 1", "a: 1\n---\nversion: 1", [
            "2:1: not valid YAML: expected a single document in the stream but found another document"
        ]),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_place(
    write: Write, old: str, new: str, expected: list[str | None]
) -> None:
    assert GOOD.count(old) >= 1
    path = write(GOOD.replace(old, new, 1))
    if not expected:
        gatefile.load(path)
    elif expected == [None]:  # Python's own message
        assert re.fullmatch(r"gates.yaml: not valid YAML: .+", "\n".join(problems(path)))
    else:
        assert problems(path) == tuple(f"gates.yaml:{line}" for line in expected)


def test_all_mistakes_of_a_file_are_reported_at_once(write: Write) -> None:
    text = (
        GOOD.replace("vgprs: 128", "vpgrs: 128").replace("version: 1", "version: 7").replace("1.20", "high")
    )
    assert [line.split(" ")[0] for line in problems(write(text))] == [
        "gates.yaml:1:10:",
        "gates.yaml:12:9:",
        "gates.yaml:22:24:",
    ]


def test_a_mistake_behind_an_alias_is_reported_once_for_each_gate(write: Write) -> None:
    text = gate_lines("vgprs: &a {max: no}", "agprs: *a", "lds_bytes: [*a, *a]")
    assert [problem.split(":")[1:4] for problem in problems(write(text))] == [
        ["7", "25", " vgprs"],
        ["7", "25", " agprs"],
        ["7", "25", " lds_bytes"],
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "gates.yaml: the file is empty; begin it with 'version: 1'"),
        (b"# nothing\n", "gates.yaml: the file is empty; begin it with 'version: 1'"),
        (b"\xff\xfev\x00", "gates.yaml:1:1: not UTF-8: invalid start byte"),
        (b"version: 1\nkernels: \xe4", "gates.yaml:2:10: not UTF-8: unexpected end of data"),
        (b"[\n" * 20000, "gates.yaml: nested too deeply"),
        (b"- " * 20000 + b"1", "gates.yaml: nested too deeply"),
        (b"#" * 300_000, "gates.yaml: larger than 262144 bytes, which no gates file needs"),
        (b"5", "gates.yaml:1:1: the file: expected a mapping, found the number 5"),
        (b"&a [*a]", "gates.yaml:1:1: the file: expected a mapping, found a list"),
        (b"{}", "gates.yaml:1:1: the file has no 'kernels', no 'artifacts' and no 'programs'"),
        (b"version: 1\nkernels: {}", "gates.yaml:2:10: kernels: the mapping is empty"),
        (b"version: 1\nkernels: &a {k: *a}", "gates.yaml:2:14: unknown key 'k' in kernel 'k'; there is baseline, contexts, problems, caches, gates"),
        (b"version: 1\nkernels: {? [a] : 1}", "gates.yaml:2:13: key of kernels: expected a name, found a list"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_gates_file(write: Write, content: bytes, expected: str) -> None:
    path = write("")
    path.write_bytes(content)
    assert expected in problems(path)


def test_a_byte_order_mark_is_read_over(write: Write) -> None:
    write("").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert gatefile.load("gates.yaml").targets


def test_a_path_that_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    where = f"looked for {tmp_path / 'none.yaml'}"
    assert problems("none.yaml") == (
        f"none.yaml: there is no such file ({where}); --greta-gates names another",
    )
    assert problems("folder") == ("folder: this is a folder, not a gates file",)
    (tmp_path / "loop").symlink_to("loop")
    assert problems("loop")[0].startswith("loop: cannot be read: ")


# -- against the registered kernels ----------------------------------------------------------------------


class Prefill(Kernel):
    name = "prefill"
    variants = tuple(Variant(name, f"{name}.hip", name) for name in ("baseline", "v1", "v2", "v3"))


def test_a_file_that_fits_its_kernels(write: Write) -> None:
    gatefile.load(write(GOOD)).check([Prefill()])


def test_names_that_are_not_registered(write: Write) -> None:
    text = GOOD.replace("baseline: baseline", "baseline: base_line").replace("      v3:", "      v33:")
    text += "  prefil: {baseline: baseline}\n"
    with pytest.raises(ConfigError) as caught:
        gatefile.load(write(text)).check([Prefill()])
    assert caught.value.problems == (
        "gates.yaml:5:15: unknown baseline 'base_line' of kernel 'prefill'; did you mean 'baseline'?",
        "gates.yaml:20:7: unknown variant 'v33' of kernel 'prefill'; did you mean 'v3'?",
        "gates.yaml:25:3: unknown kernel 'prefil'; did you mean 'prefill'?",
    )


# -- anything at all -------------------------------------------------------------------------------------

fixture_is_constant = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@fixture_is_constant
@given(
    content=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass"))
)
def test_whatever_is_in_a_file_the_worst_is_a_config_error(write: Write, content: bytes) -> None:
    path = write("")
    path.write_bytes(content)
    check_loads_or_complains(path)


fragments = st.sampled_from(
    [*"[]{}:,-?&*!|>'\"%@`#\n \t~<=.", "&a ", "*a", "<<: ", "!!set ", "!x ", "1:30", "08", "1e-3", "yes", ".nan", ": ",
     "\n  ", "\\U", "version: 1\n", "kernels:\n", "gates:\n", "max", "---\n", "...\n", "%YAML 9.9\n", "2001-01-01"]
)  # fmt: skip


@fixture_is_constant
@given(start=st.integers(0, len(GOOD)), cut=st.integers(0, 30), parts=st.lists(fragments, max_size=6))
def test_whatever_is_done_to_a_good_file_the_worst_is_a_config_error(
    write: Write, start: int, cut: int, parts: list[str]
) -> None:
    check_loads_or_complains(write(GOOD[:start] + "".join(parts) + GOOD[start + cut :]))


def check_loads_or_complains(path: Path) -> None:
    try:
        gatefile.load(path)
    except ConfigError as error:
        found = error.problems
    else:
        return
    assert found
    for problem in found:
        assert problem.startswith("gates.yaml:")
        assert len(problem.splitlines()) == 1
