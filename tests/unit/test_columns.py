"""CSV and JSON of others as records: by a mapping of columns, whose mistakes are told with line and column."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.errors import ConfigError
from pytest_greta.records.mapping import load
from pytest_greta.records.model import Recorded, Summary
from pytest_greta.records.sources import load_all

ENTRY = """\
version: 1
records:
  - files: "*"
    kernel: prefill
    variant: {column: v}
    context: {column: n}
    quantities:
      prefill_seconds: {column: ms, unit: ms}
"""


def read(folder: Path, content: str | bytes, mapping: str = ENTRY) -> Summary:
    (folder / "columns.yaml").write_text(mapping)
    path = folder / "data"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_all([path], folder / "columns.yaml")[0][str(path)]


def of(summary: Summary, variant: str) -> Recorded:
    return next(one for one in summary.measurements if one.variant == variant)


@pytest.mark.parametrize(
    "content",
    [
        "v,n,ms\na,64,1000\na,64,3000\na,64,2000\nb,64,4\n",
        json.dumps([{"v": "a", "n": 64, "ms": [1000, 3000.0, 2000]}, {"v": "b", "n": 64, "ms": 4}]),
        '{"v": "a", "n": 64, "ms": [1000, 3000, 2000]}\n\n{"v": "b", "n": "64", "ms": "4"}\n',
    ],
)
def test_csv_json_and_json_lines_say_the_same(tmp_path: Path, content: str) -> None:
    summary = read(tmp_path, content)
    assert [one.variant for one in summary.measurements] == ["a", "b"]
    one = of(summary, "a")
    assert (one.seconds, one.quantities["prefill_seconds"].value, one.orders) == ([1.0, 3.0, 2.0], 2.0, ())
    assert one.problem is not None
    assert (one.problem.context, one.problem.id) == (64, "64")
    assert of(summary, "b").quantities["prefill_seconds"].value == 0.004


ROCPROFV3 = """\
"Kind","Agent_Id","Queue_Id","Kernel_Name","Start_Timestamp","End_Timestamp","Scratch_Size","VGPR_Count"
"KERNEL_DISPATCH","Agent 4",1,"void attention<128>(float*, int)",1000,3500,0,8
"KERNEL_DISPATCH","Agent 4",1,"__amd_rocclr_fillBufferAligned",4000,4100,0,8
"KERNEL_DISPATCH","Agent 4",1,"void attention<128>(float*, int)",5000,7500,0,8
"""
LLAMA_BENCH = [
    {"n_prompt": 512, "n_gen": 0, "avg_ns": 9, "samples_ns": [2_000_000_000, 3_000_000_000], "avg_ts": 200.0,
     "gpu_info": "MI300X", "test_time": "2026-02-12T08:00:00Z"},
    {"n_prompt": 0, "n_gen": 128, "avg_ns": 5, "samples_ns": [5], "avg_ts": 1.0, "gpu_info": "MI300X",
     "test_time": "2026-02-12T08:00:09Z"},
]  # fmt: skip


def test_the_kernel_trace_of_rocprofv3(tmp_path: Path) -> None:
    mapping = """\
version: 1
records:
  files: "*"
  form: rocprofv3
  kernel: prefill
  variant: {column: Kernel_Name, names: {"*attention<128>*": v3}}
  context: 4096
"""
    (one,) = read(tmp_path, ROCPROFV3, mapping).measurements
    assert one.variant == "v3"
    assert one.seconds == pytest.approx([2.5e-6, 2.5e-6])


def test_llama_bench(tmp_path: Path) -> None:
    mapping = 'version: 1\nrecords: {files: "*", form: llama-bench, kernel: prefill, variant: v3}\n'
    summary = read(tmp_path, json.dumps(LLAMA_BENCH), mapping)
    (one,) = summary.measurements  # not that of generating, which has no prompt
    assert (one.seconds, one.problem and one.problem.context) == ([2.0, 3.0], 512)
    assert summary.session.device is not None
    assert summary.session.device["identity"] == "hip: MI300X"
    (again,) = read(
        tmp_path, json.dumps([*LLAMA_BENCH, {**LLAMA_BENCH[0], "n_gen": 128}]), mapping
    ).measurements
    assert again.seconds == [2.0, 3.0]  # a prompt with tokens that are generated behind it is another thing
    (engine,) = read(
        tmp_path, json.dumps(LLAMA_BENCH), mapping.replace("v3}", "v3, device: program}")
    ).measurements
    assert [one["seconds"].value for one in engine.each] == [2.0, 3.0] == [*engine.seconds]
    assert [one["tokens_per_second"].value for one in engine.each] == [200, 200]
    columns = [name for name in LLAMA_BENCH[0] if name != "samples_ns"]
    text = "\n".join(
        [",".join(columns), *(",".join(str(row[name]) for name in columns) for row in LLAMA_BENCH)]
    )
    assert read(tmp_path, text, mapping).measurements[0].seconds == pytest.approx([9e-9])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("v,n,mss\na,64,1\n", ": no row has column 'ms' for prefill_seconds; did you mean 'mss'?"),
        ("v,n,ms\na,64,fast\n", ":2: prefill_seconds: expected a number, found 'fast'"),
        ("v,n,ms\na,64,1_8\n", ":2: prefill_seconds: expected a number, found '1_8'"),
        ("v,n,ms\na,x,1\n", ":2: context: expected a whole number, found 'x'"),
        ("v,n,ms\na,64\n", ":2: 2 cells, and the header has 3"),
        ("v,n,v\na,64,1\n", ":1: column 'v' is there twice"),
        ("v,n,ms\n", ": no row of it is of a kernel and a variant that the mapping names"),
        (b"v,n,ms\n\xff,64,1\n", ": not UTF-8: invalid start byte at byte 7"),
        ("[1]", "[0]: expected an object with columns, found 1"),
        ('[{"v": "a", "n": 64, "ms": {}}]', "[0]: prefill_seconds: expected a number, found {}"),
    ],
)
def test_rows_that_say_nothing_are_told_with_their_line(
    tmp_path: Path, content: str | bytes, line: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    (problem,) = caught.value.problems
    assert problem.removeprefix(str(tmp_path / "data")) == line.replace(
        "whole number, found", "number, found"
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("unit: ms", "unit: hours"),
         ":8:43: prefill_seconds is no quantity in 'hours'; there is s, ms, us, ns"),
        ((", unit: ms", ""), ":8:24: prefill_seconds has no 'unit': say which of s, ms, us, ns the column holds"),
        (("prefill_seconds", "prefil_seconds"),
         ":8:7: unknown quantity 'prefil_seconds'; did you mean 'prefill_seconds'?"),
        (("kernel: prefill", "kernel: {colum: x}"),
         ":4:14: unknown key 'colum' in kernel; did you mean 'column'?"),
        (("kernel: prefill", "form: rocprof"), ":4:11: unknown form 'rocprof'; did you mean 'rocprofv3'?"),
        (("version: 1", "version: 2"), ":1:10: unknown version; this greta reads version 1"),
    ],
)  # fmt: skip
def test_mistakes_of_a_mapping_are_told_with_line_and_column(
    tmp_path: Path, change: tuple[str, str], line: str
) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text(ENTRY.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert f"{path}{line}" in caught.value.problems


@given(content=st.one_of(st.binary(max_size=80), st.text(alphabet='vnms,"\n[]{}:0123456789a', max_size=80)))
def test_whatever_a_file_holds_it_is_read_or_refused_with_its_name(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        read(folder, content)
    except ConfigError as error:
        for problem in error.problems:
            if not problem.startswith(str(folder / "data")):
                raise AssertionError(problem) from error
