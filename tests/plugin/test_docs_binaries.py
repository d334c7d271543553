"""Every example of docs/binaries.md does what the page says, but for figures, which are a compiler's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_greta.__main__ import main
from pytest_greta.binaries.columns import BY_NAME, COLUMNS
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from tests.fuzz.code_objects import bundle
from tests.plugin.conftest import REPOSITORY, Run
from tests.plugin.test_docs import FENCE, files
from tests.unit.binary_files import SUMS, compressed, elf, fatbin

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
pytest.importorskip("pydemumble", reason="demangling needs the extra 'binaries'")
DOCUMENT = "docs/binaries.md"
BEFORE = ("kept[int(tile[i % 64]) % N]", "kept[i] + tile[i % 64]")
"""What was another in the build before: no array that is indexed, so none in scratch."""


@pytest.fixture
def builds(code_cache: Path) -> Callable[[Path], bytes]:
    """The library of a source."""

    def library(source: Path) -> bytes:
        compiler = Compiler(code_cache)
        codes = {target: compiler.compile(Job(source, target)).code for target in ("gfx942", "gfx1100")}
        compiler.close()
        packed = compressed(bundle({target.encode(): code for target, code in codes.items()}))
        return elf({b".hip_fatbin": fatbin([packed])})

    return library


def examples() -> list[tuple[str, str]]:
    """Every command of the page with what it prints."""
    blocks = [
        m["text"] for m in FENCE.finditer((REPOSITORY / DOCUMENT).read_text()) if m["language"] == "console"
    ]
    return [(text.partition("\n")[0].removeprefix("$ "), text.partition("\n")[2]) for text in blocks]


def shape(text: str) -> list[str]:
    """Lines without figures and widths of columns."""
    return [re.sub(r"\s+", " ", re.sub(r"\d+", "N", line)).strip() for line in text.splitlines()]


def test_the_examples(
    project: pytest.Pytester, greta: Run, builds: Callable[[Path], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("build", "old"):
        (project.path / folder).mkdir()
    before = project.path / "before.hip"
    before.write_text(SUMS.read_text().replace(*BEFORE))
    new, old = builds(SUMS), builds(before)
    (project.path / "build" / "libk.so").write_bytes(new)
    (project.path / "old" / "libk.so").write_bytes(old)
    for path, text in files(DOCUMENT).items():
        (project.path / path).write_text(text)
    (project.path / "test_gates.py").unlink()
    (project.path / "conftest.py").unlink()
    ran = 0
    for command, printed in examples():
        program, *options = shlex.split(command)
        if program == "python":
            assert options[:2] == ["-m", "pytest_greta"]
            assert main(options[2:]) == 0
            assert shape(capsys.readouterr().out) == shape(printed), command
        elif program == "pytest":
            (project.path / "build" / "libk.so").write_bytes(old if "--greta-lock" in options else new)
            result = greta(*options)
            assert result.ret == (0 if "--greta-lock" in options else 1)
            assert set(shape(printed)) <= set(shape(result.stdout.str())), command
        else:
            assert program == "pip"
        ran += program != "pip"
    assert ran == 7


def test_every_option_of_inspect_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", "--help"])
    page = (REPOSITORY / DOCUMENT).read_text()
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert {option for option in options if option not in page} == set()
    assert {name for name in (*COLUMNS, *BY_NAME) if f"`{name}`" not in page} == set()
