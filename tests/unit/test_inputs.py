"""Code is compiled again whenever another compile would give other code, and from nothing that is not looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_greta.compiler import clang, inputs
from pytest_greta.compiler import compiler as compiler_module
from pytest_greta.compiler.clang import Job, search_path
from pytest_greta.compiler.codeobject import CodeObject
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, READ_BY_COMPILERS, find_toolchain
from pytest_greta.device.worker import worker_environment
from pytest_greta.errors import CompileError

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

KERNEL = """\
#ifndef TILE
#define TILE 1
#endif
extern "C" __attribute__((amdgpu_kernel)) void k(float* x) { x[0] = TILE; }
"""

Build = Callable[..., CodeObject]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`first` and `second` are folders of headers, `k.hip` a source to be."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def build(folder: Path) -> Iterator[Build]:
    """Compile `k.hip`, or take it from the cache, in a session of its own."""
    made: list[Compiler] = []

    def compiled(*flags: str) -> CodeObject:
        made.append(Compiler(folder / "cache", 1))
        job = Job(folder / "k.hip", "gfx942", flags=flags, include=(folder / "first", folder / "second"))
        return made[-1].compile(job)

    yield compiled
    for compiler in made:
        compiler.close()


def is_kept(build: Build, *flags: str) -> bool:
    """Whether code is compiled anew once, and not again."""
    return [build(*flags).cached, build(*flags).cached] == [False, True]


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize(
    "source",
    [
        "#include <tile.h>\n",
        '#include "tile.h"\n',
        "#define WHERE <tile.h>\n#include WHERE\n",
        "#define WHERE(x) <x>\n#include WHERE(tile.h)\n",
        "#import <tile.h>\n",
        "#include \\\n<tile.h>\n",
        "#include_next <tile.h>\n",
        "#if __has_include(<tile.h>)\n#include <tile.h>\n#endif\n",
    ],
)
def test_a_header_that_changes_or_appears_in_front_is_seen(folder: Path, build: Build, source: str) -> None:
    write(folder / "k.hip", source + KERNEL)
    write(folder / "second" / "tile.h", "#define TILE 2\n")
    assert is_kept(build)
    write(folder / "second" / "tile.h", "#define TILE 3\n")
    assert is_kept(build)
    write(folder / "first" / "tile.h", "#define TILE 4\n")
    assert is_kept(build)
    (folder / "first" / "tile.h").unlink()
    assert is_kept(build)


def test_a_header_that_appears_beside_its_includer_is_seen(folder: Path, build: Build) -> None:
    write(folder / "k.hip", '#include "tile.h"\n' + KERNEL)
    write(folder / "first" / "tile.h", "#define TILE 2\n")
    assert is_kept(build)
    write(folder / "tile.h", "#define TILE 3\n")
    assert not build().cached


@pytest.mark.parametrize(
    ("question", "flags"),
    [
        ("__has_include(<later.h>)", ()),
        ('__has_include("later.h")', ()),
        ("defined(__has_include) && __has_include(<later.h>)", ()),
        ("__has_include(WHERE)", ("-DWHERE=<later.h>",)),
        ("HAS(<later.h>)", ("-DHAS(x)=__has_include(x)",)),
        ("__has_embed(<later.h>)", ("--embed-dir=embedded",)),
    ],
)
def test_a_header_that_was_asked_for_in_vain_is_seen(
    folder: Path, build: Build, question: str, flags: tuple[str, ...]
) -> None:
    write(folder / "k.hip", f"#if {question}\n#define TILE 2\n#endif\n{KERNEL}")
    assert is_kept(build, *flags)
    first = build(*flags).code
    where = folder / ("second" if "include" in question or "HAS" in question else "embedded")
    where.mkdir(exist_ok=True)
    write(where / "later.h", "")
    assert is_kept(build, *flags)
    (where / "later.h").unlink()
    assert build(*flags).code == first


def test_headers_that_count_as_the_systems_are_tracked(folder: Path, build: Build) -> None:
    system = folder / "system"
    system.mkdir()
    write(system / "tile.h", "#define TILE 2\n")
    write(folder / "k.hip", "#include <tile.h>\n" + KERNEL)
    flags = ("-isystem", str(system))
    assert is_kept(build, *flags)
    write(system / "tile.h", "#define TILE 3\n")
    assert not build(*flags).cached


def test_of_the_library_that_comes_with_the_compiler_only_what_hides_it_counts(folder: Path) -> None:
    write(folder / "k.hip", "#include <vector>\n" + KERNEL)
    job = Job(folder / "k.hip", "gfx942", include=(folder / "first",))
    read = clang.reading(find_toolchain(CPU_TARGET), job)
    assert read
    assert read.released
    found = inputs.inputs(read)
    assert found
    assert found[str(folder / "first" / "vector")] == found[str(folder / "first" / "__config")] == "nothing"
    assert not any(read.is_released(Path(place)) for place in found)


def test_a_folder_that_appears_on_the_search_path_is_seen(folder: Path, build: Build) -> None:
    later = folder / "later"
    write(folder / "k.hip", "#include <tile.h>\n" + KERNEL)
    write(folder / "second" / "tile.h", "#define TILE 2\n")
    flags = ("-iquote", str(later))
    assert is_kept(build, *flags)
    later.mkdir()
    assert not build(*flags).cached


def test_a_link_that_leads_elsewhere_is_seen(folder: Path, build: Build) -> None:
    write(folder / "k.hip", '#include "tile.h"\n' + KERNEL)
    for number in (1, 2):
        write(folder / f"tile{number}.h", f"#define TILE {number}\n")
    (folder / "tile.h").symlink_to("tile1.h")
    assert is_kept(build)
    (folder / "tile.h").unlink()
    (folder / "tile.h").symlink_to("tile2.h")
    assert not build().cached


@pytest.mark.parametrize("name", ["a b.h", "a#b.h", "a$b.h", "a'b.h", "../up.h", "ä.h"])
def test_a_header_of_any_name_is_tracked(folder: Path, build: Build, name: str) -> None:
    write(folder / "k.hip", f"#include <{name}>\n{KERNEL}")
    write(folder / "first" / name, "#define TILE 2\n")
    assert is_kept(build)
    write(folder / "first" / name, "#define TILE 3\n")
    assert not build().cached


def test_a_file_that_a_flag_names_is_tracked(folder: Path, build: Build) -> None:
    write(folder / "k.hip", KERNEL)
    write(folder / "ignored.txt", "fun:none\n")
    assert is_kept(build, "-fsanitize-ignorelist=ignored.txt")
    write(folder / "ignored.txt", "fun:other\n")
    assert not build("-fsanitize-ignorelist=ignored.txt").cached


def test_what_is_saved_while_it_compiles_is_compiled_again(
    folder: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "k.hip", "#include <tile.h>\n" + KERNEL)
    write(folder / "first" / "tile.h", "#define TILE 2\n")
    run = clang.run_compiler

    def run_and_save(*arguments: object) -> object:
        done = run(*arguments)  # type: ignore[arg-type]
        write(folder / "first" / "tile.h", "#define TILE 3\n")
        return done

    monkeypatch.setattr(compiler_module, "run_compiler", run_and_save)
    assert not build().cached
    monkeypatch.undo()
    assert is_kept(build)


def test_what_is_saved_between_looking_and_compiling_is_compiled_again(
    folder: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "k.hip", KERNEL)
    write(folder / "new.h", "#define TILE 2\n")
    look = clang.reading

    def look_and_save(*arguments: object) -> object:
        found = look(*arguments)  # type: ignore[arg-type]
        write(folder / "k.hip", '#include "new.h"\n' + KERNEL)
        return found

    monkeypatch.setattr(compiler_module, "reading", look_and_save)
    assert not build().cached
    monkeypatch.undo()
    assert is_kept(build)
    write(folder / "new.h", "#define TILE 3\n")
    assert not build().cached


def test_code_whose_assembler_reads_files_is_not_kept(folder: Path, build: Build) -> None:
    write(folder / "w.bin", "weights")
    write(folder / "k.hip", KERNEL.replace("x[0]", f'asm volatile(".incbin \\"{folder}/w.bin\\""); x[0]'))
    assert [build().cached, build().cached] == [False, False]


@pytest.mark.parametrize("variable", READ_BY_COMPILERS[:6])
def test_variables_of_the_environment_reach_no_compiler(
    folder: Path, build: Build, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    write(elsewhere / "hidden.h", "")
    write(folder / "k.hip", "#include <hidden.h>\n" + KERNEL)
    monkeypatch.setenv(variable, str(elsewhere))
    with pytest.raises(CompileError, match=r"'hidden\.h' file not found"):
        build()


@pytest.mark.parametrize("variable", READ_BY_COMPILERS)
def test_the_process_that_hiprtc_compiles_in_has_none_of_them(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "elsewhere")
    monkeypatch.setenv("HSA_XNACK", "1")
    environment = worker_environment()
    assert variable not in environment
    assert environment["HSA_XNACK"] == "1"


def test_neither_the_day_nor_the_working_folder_is_in_the_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        folder / "k.hip",
        'extern "C" __attribute__((device)) const char day[] = __DATE__ __TIME__;\n' + KERNEL,
    )
    job = Job(folder / "k.hip", "gfx942", flags=("-g",))
    code, _ = clang.run_compiler(find_toolchain("gfx942"), job)
    assert b"Jan  1 1970" in code
    monkeypatch.chdir(folder / "first")
    assert clang.run_compiler(find_toolchain("gfx942"), job)[0] == code


SAID = """\
clang version 19.0.0
Configuration file: /opt/rocm/lib/llvm/bin/rocm.cfg
Found candidate GCC installation: /usr/lib/gcc/x86_64-linux-gnu/11
Found candidate GCC installation: /usr/lib/gcc/x86_64-linux-gnu/12
 "/opt/rocm/bin/clang" -cc1 -I /it's -mlink-builtin-bitcode "/opt/my rocm/ocml.bc" -mlink-builtin-bitcode /opt/ockl.bc
clang -cc1 version 19.0.0
ignoring nonexistent directory "/include"
ignoring duplicate directory "/usr/include"
#include "..." search starts here:
 /a/quoted
#include <...> search starts here:
 /a/with space
 /usr/include
End of search list.
k.hip:1:2: warning: some
 text
"""


def test_what_clang_says_of_its_search() -> None:
    folders, besides = search_path(SAID)
    assert [str(one) for one in folders] == ["/a/quoted", "/a/with space", "/usr/include"]
    assert {str(one) for one in besides} == {
        *("/opt/rocm/lib/llvm/bin/rocm.cfg", "/include", "/usr/lib/gcc/x86_64-linux-gnu"),
        *("/opt/my rocm/ocml.bc", "/opt/ockl.bc"),
    }
    assert search_path("") == ((), ())


def test_the_device_libraries_of_rocm_are_inputs(folder: Path) -> None:
    libraries = folder / "rocm" / "amdgcn" / "bitcode"
    libraries.mkdir(parents=True)
    choices = ("daz_opt", "unsafe_math", "finite_only", "correctly_rounded_sqrt", "wavefrontsize64")
    made_for = ["isa_version_942", "abi_version_500", "abi_version_600"]
    made_for += [f"{choice}_{way}" for choice in choices for way in ("on", "off")]
    for name in ("ocml", "ockl", "opencl", *(f"oclc_{one}" for one in made_for)):
        write(libraries / f"{name}.bc", "")
    write(folder / "k.hip", KERNEL)
    toolchain = replace(find_toolchain("gfx942"), flags=(f"--rocm-path={folder / 'rocm'}", "-nogpuinc"))
    read = clang.reading(toolchain, Job(folder / "k.hip", "gfx942"))
    assert read
    assert {libraries / "ocml.bc", libraries / "ockl.bc", libraries / "oclc_isa_version_942.bc"} <= set(
        read.besides
    )


NAMES = ["a.h", "b.h", "sub/c.h", "d.h"]
LINES = st.sampled_from(
    [
        form.format(name)
        for name in NAMES
        for form in ("#include <{}>\n", '#include "{}"\n', "#define M <{}>\n", "/* {} */")
    ]
    + ["#ifdef M\n#include M\n#endif\n", "#undef M\n", "// it's\n", "int n = 1'0;\n"]
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(LINES, max_size=4), min_size=len(NAMES) * 2 + 1, max_size=len(NAMES) * 2 + 1))
def test_what_clang_reads_is_among_what_is_followed(folder: Path, texts: list[list[str]]) -> None:
    places = [folder / "k.hip", *(folder / base / name for base in ("first", "second") for name in NAMES)]
    for place, lines in zip(places, texts, strict=True):
        place.parent.mkdir(exist_ok=True)
        guard = "" if place.suffix == ".hip" else "#pragma once\n"
        place.write_text(guard + "".join(lines) + "\n")
    folders = (folder / "first", folder / "second")
    read = clang.reading(find_toolchain("gfx942"), Job(folder / "k.hip", "gfx942", include=folders))
    followed, _ = inputs.follow(folder / "k.hip", folders)
    assert read
    assert {file for file in read.files if file.name != "libcxx_config.h"} <= set(followed.files)
    looked_at = inputs.inputs(replace(read, besides=()))
    assert looked_at
    assert {str(file) for file in read.files} <= set(looked_at)


def test_folders_of_headers_are_given_as_they_are(folder: Path) -> None:
    """What a name is found under is compared as text: no folder is written another way by clang."""
    write(folder / "k.hip", "#include <tile.h>\n")
    write(folder / "second" / "tile.h", "")
    job = Job(folder / "k.hip", "gfx942", include=(folder / "first", folder / "second"))
    read = clang.reading(find_toolchain("gfx942"), job)
    assert read
    assert read.folders[1:3] == job.include  # greta's own are in front
    assert read.files[-1] == folder / "second" / "tile.h"
