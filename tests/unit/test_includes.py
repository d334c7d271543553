"""A source that compiles offline alone is told of: what it includes that hiprtc has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_greta.compiler import includes, inputs
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler

KERNEL = 'extern "C" __global__ void k(float* x) { x[0] = 1; }\n'


def noted(folder: Path, source: str, **headers: str) -> tuple[str, ...]:
    """The notes on a source with headers of its own beside it."""
    for name, text in headers.items():
        (folder / f"{name}.h").write_text(text)
    path = folder / "k.hip"
    path.write_text(source + KERNEL)
    compiler = Compiler(folder / "cache", 1)
    try:
        found = compiler.hiprtc_notes(Job(path, "gfx942"))
        assert compiler.hiprtc_notes(Job(path, "gfx942")) == found  # from the cache
        return found
    finally:
        compiler.close()


def test_a_library_header_is_named_with_the_file_that_includes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (note,) = noted(tmp_path, "#include <hip/hip_runtime.h>\n#include <cmath>\n#include <float.h>\n")
    assert note.startswith("k.hip includes <cmath>, <float.h>: this compiles here and with hipcc. hiprtc, ")
    assert note.endswith("leave it out there with #if !defined(__HIPCC_RTC__)")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("#define M <cmath>\n#include M\n", "<cmath>"),
        ("#include \\\n<cmath>\n", "<cmath>"),
        ("#import <cmath>\n", "<cmath>"),
        ("/* why */ #include <cmath>\n", "<cmath>"),
        ("#include <sys/types.h>\n", "<sys/types.h>"),
    ],
)
def test_it_is_named_however_it_is_included(tmp_path: Path, source: str, named: str) -> None:
    (note,) = noted(tmp_path, source)
    assert f" includes {named}:" in note


def test_what_our_own_header_has_included_already_counts(tmp_path: Path) -> None:
    (note,) = noted(tmp_path, "#include <cmath>\n#include <hip/hip_runtime.h>\n#include <math.h>\n")
    assert "includes <cmath>, <math.h>:" in note


def test_headers_of_the_source_count(tmp_path: Path) -> None:
    (note,) = noted(tmp_path, '#include "a.h"\n', a='#include "b.h"\n', b="#include <limits>\n")
    assert note.startswith(f"{tmp_path / 'b.h'} includes <limits>:")


@pytest.mark.parametrize(
    "source",
    [
        "#include <hip/hip_runtime.h>\n#include <hip/hip_fp16.h>\n#include <hip/hip_bf16.h>\n",
        "#if !defined(__HIPCC_RTC__)\n#include <cmath>\n#endif\n",
        "#ifndef __HIPCC_RTC__\n#  include <limits.h>\n#endif\n",
        "#ifdef NEVER\n#include <vector>\n#endif\n",
        "/*\n#include <cmath>\n*/\n",
        "#ifdef __HIPCC_RTC__\n#error not for hiprtc\n#endif\n#include <cmath>\n",
    ],
)
def test_what_hiprtc_will_not_see_is_not_told(tmp_path: Path, source: str) -> None:
    assert noted(tmp_path, source) == ()


def test_headers_are_followed_through_the_folders_that_are_given(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (second / "tile.h").write_text('#include "deep.h"\n')
    for folder in (first, second):
        (folder / "deep.h").write_text("#include <cmath>\n")
    (second / "quoted.h").write_text("")
    (tmp_path / "beside.h").write_text("")
    source = tmp_path / "k.hip"
    source.write_text('#include <tile.h>\n#include "quoted.h"\n#include "beside.h"\n#include <beside.h>\n')
    found = inputs.local_files(source, [first, second])
    # In quotes, a header beside the one that includes it comes first; then the folders, in order.
    assert {path.relative_to(tmp_path).as_posix() for path in found} == {
        *("k.hip", "beside.h", "second/tile.h", "second/quoted.h", "second/deep.h")
    }
    assert inputs.local_files(source) == (source, tmp_path / "beside.h")


def test_an_edit_is_seen(tmp_path: Path) -> None:
    assert noted(tmp_path, '#include "a.h"\n', a="#include <cmath>\n")
    assert not noted(
        tmp_path, '#include "a.h"\n', a="#if !defined(__HIPCC_RTC__)\n#include <cmath>\n#endif\n"
    )


def test_the_hint_names_the_header_that_the_log_names_first() -> None:
    log = (
        "In file included from k.hip:1:\n"
        "In file included from /usr/include/c++/12/cmath:47:\n"
        "/usr/include/stdlib.h:32:10: fatal error: 'stddef.h' file not found\n"
    )
    assert "(<cmath>)" in includes.hint(log)
    assert "(<float.h>)" in includes.hint("k.hip:1:10: fatal error: 'float.h' file not found\n")
    assert "(<sys/types.h>)" in includes.hint("k.hip:1:10: fatal error: 'sys/types.h' file not found\n")
    assert includes.hint("k.hip:3:1: error: use of undeclared identifier 'x'\n") == ""
    assert includes.hint("k.hip:1:10: fatal error: 'mine.h' file not found\n") == ""
