"""Every example of docs/records.md does what the page says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest

from pytest_greta.__main__ import main
from tests.plugin.conftest import REPOSITORY, Run
from tests.plugin.test_docs import FENCE, files
from tests.plugin.test_docs_binaries import shape

DOCUMENT = "docs/records.md"
CODES = {
    "pytest -k run --greta-columns=columns.yaml --greta-replay=monday.csv --greta-replay=wednesday.csv": 1
}


def test_the_examples(project: pytest.Pytester, greta: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    (project.path / "test_gates.py").unlink()
    for path, text in files(DOCUMENT).items():
        (project.path / path).write_text(text.partition("\n")[2] if path.endswith(".csv") else text)
    ran = 0
    for block in FENCE.finditer((REPOSITORY / DOCUMENT).read_text()):
        lines = block["text"].splitlines() if block["language"] == "console" else []
        printed = [line for line in lines if not line.startswith("$ ")]
        for line in lines:
            if not line.startswith("$ "):
                continue
            program, *options = shlex.split(line[2:])
            if program == "ssh-keygen" or "--greta-sign=key" in options or "signed.json" in options:
                if shutil.which("ssh-keygen") is None:
                    continue
                if program == "ssh-keygen":
                    subprocess.run([program, *options], check=True, cwd=project.path)
                    key = (project.path / "key.pub").read_text()
                    (project.path / "allowed_signers").write_text(f"me@example.org {key}")
            if program == "pytest":
                result = greta(*options)
                assert result.ret == CODES.get(line[2:], 0), line
                output = result.stdout.str()
                assert set(shape("\n".join(printed))) <= set(shape(output)), line
                for told in printed:
                    assert re.sub(r"\s+", " ", told) in re.sub(r"[ \t]+", " ", output)
            elif program == "python":
                capsys.readouterr()
                assert main(options[2:]) == 0
                assert capsys.readouterr().out.splitlines() == printed
            ran += 1
    assert ran in (5, 8)


def test_every_key_of_the_formats_is_on_the_page() -> None:
    from pytest_greta.records.mapping import FORMS, TEXTS
    from pytest_greta.records.schema import schema

    page = (REPOSITORY / DOCUMENT).read_text()
    assert [name for name in schema()["properties"] if f"`{name}`" not in page] == []
    assert [name for name in (*FORMS, *TEXTS, "rows", "form", "axes") if f"`{name}`" not in page] == []
