"""What a project is to get, and how it is written: nothing that is there is written over."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.gates import file as gatefile
from pytest_greta.remedies import CLONE
from pytest_greta.scaffold.layout import Layout

GATES, INI = "gates.yaml", "pytest.ini"
WORKFLOW = Path(".github/workflows/greta.yml")
TARGETS = ("gfx942", "gfx90a", "gfx1100")
_HEAD = """\
# What must hold of this project's kernels. `python -m pytest_greta explain` shows every gate.
version: 1
"""
_EXAMPLE = Path(__file__).with_name("example")


@dataclass(frozen=True)
class Draft:
    """An entry of gates.yaml, and the files beside it."""

    section: str
    """The section of gates.yaml: `kernels` or `artifacts`."""
    names: Sequence[str]
    """What is added to it."""
    entry: str
    """The lines below the section, indented by two."""
    folder: Path
    """That of the tests."""
    files: dict[str, str]
    """What is written into it, by name."""
    targets: Sequence[str] = TARGETS
    notes: Sequence[str] = field(default=())

    @property
    def tests(self) -> Path:
        """The file with the tests, which is written last."""
        return self.folder / list(self.files)[-1]


def template(name: str) -> str:
    """A file of the example."""
    return (_EXAMPLE / f"{name}-tpl").read_text(encoding="utf-8")


def write(layout: Layout, draft: Draft) -> list[str]:
    """Write what is not there yet, and tell of each file when all of it is written. Raises OSError."""
    return [*_files(layout, draft), *_workflow(layout, draft.folder), *draft.notes]


def _files(layout: Layout, draft: Draft) -> Iterator[str]:
    if layout.ini is None:
        yield _written(layout.root / INI, "[pytest]\n")
    yield from _gates(layout.root / GATES, draft)
    for name, text in draft.files.items():
        yield _written(draft.folder / name, text)


def _workflow(layout: Layout, folder: Path) -> Iterator[str]:
    """At the root of the repository, where alone GitHub looks for it."""
    path = layout.repository / WORKFLOW
    is_there, text = path.exists(), workflow(layout, folder)
    told = _written(path, text)
    if is_there:
        runs, project = (path.as_posix() for path in _places(layout, folder))
        yield f"{told}; let it run {runs} too" + ("" if project == "." else f", in {project}")
        return
    yield told
    if CLONE in text:
        place = f"in the place of {CLONE}, a folder, a wheel or a URL"
        yield f"todo   {shown_path(path)}: write where CI finds greta {place}"


def _places(layout: Layout, folder: Path) -> tuple[Path, Path]:
    """A folder in the project, and the project in its repository."""
    return folder.relative_to(layout.root), layout.root.relative_to(layout.repository)


def workflow(layout: Layout, folder: Path) -> str:
    """The workflow that runs the tests of a folder, in the project's own place in its repository."""
    text = template("workflow.yml").replace("SOURCE", source())
    runs, project = (path.as_posix() for path in _places(layout, folder))
    text = text.replace("FOLDER", shlex.quote(runs))
    if project == ".":
        return text.replace("        working-directory: PROJECT\n", "").replace("PROJECT/", "")
    report = json.dumps(f"{project}/greta.xml", ensure_ascii=False)
    directory = json.dumps(project, ensure_ascii=False)
    return text.replace("PROJECT/greta.xml", report).replace("PROJECT", directory)


def _written(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"kept   {shown_path(path)}, which is there already"
    return f"wrote  {shown_path(path)}"


def _gates(path: Path, draft: Draft) -> Iterator[str]:
    """The entry, in a new file or in the one that is there; shown where it cannot be added for certain."""
    if not path.exists():
        targets = f"{_targets(draft)}\n" if draft.section == "kernels" else ""
        yield _written(path, f"{_HEAD}{targets}{draft.section}:\n{draft.entry}")
        return
    longer = added(path.read_text(encoding="utf-8"), draft)
    if longer:
        path.write_text(longer, encoding="utf-8")
        yield f"wrote  {shown_path(path)}, with {', '.join(draft.names)} below {draft.section}"
        return
    yield f"kept   {shown_path(path)}; add below its `{draft.section}:`"
    yield from draft.entry.splitlines()


def added(text: str, draft: Draft) -> str:
    """A gates file with the entry of a draft; empty where what comes out would not be the file with the entry."""
    before = _names(text, draft.section)
    if before is None:
        return ""
    lines = text.splitlines()
    at = next((n for n, line in enumerate(lines) if re.match(rf"{draft.section}:\s*(#.*)?$", line)), None)
    if at is None:
        targets = [] if draft.section != "kernels" or _has_targets(text) else [_targets(draft)]
        longer = [*lines, *targets, f"{draft.section}:", *draft.entry.splitlines()]
    else:
        following = next((line for line in lines[at + 1 :] if line.strip() and line.lstrip()[0] != "#"), "  ")
        indent = " " * (len(following) - len(following.lstrip()))
        entry = [indent + line[2:] for line in draft.entry.splitlines()]
        longer = [*lines[: at + 1], *entry, *lines[at + 1 :]]
    joined = "\n".join(longer) + "\n"
    return joined if _names(joined, draft.section) == before | set(draft.names) else ""


def _targets(draft: Draft) -> str:
    return f"targets: [{', '.join(draft.targets)}]"


def _has_targets(text: str) -> bool:
    return re.search(r"^targets:", text, re.MULTILINE) is not None


def _names(text: str, section: str) -> set[str] | None:
    """What a section holds; None where the text is no gates file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, GATES)
        path.write_text(text, encoding="utf-8")
        try:
            return set(getattr(gatefile.load(path), section))
        except ConfigError:
            return None


def source() -> str:
    """Where CI installs greta from, as pip takes it: the repository that this one was installed from, if it was one."""
    requirement = f"{CLONE}[cpu]"
    try:
        text = importlib.metadata.distribution("pytest-greta").read_text("direct_url.json")
        said = json.loads(text or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        said = {}
    if "vcs_info" in said:
        version = said["vcs_info"].get("requested_revision") or said["vcs_info"].get("commit_id", "")
        requirement = f"pytest-greta[cpu] @ {said['vcs_info']['vcs']}+{said['url']}@{version}"
    return json.dumps(requirement)
