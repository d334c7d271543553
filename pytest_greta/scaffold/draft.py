"""What a project is to get, and how it is written: nothing that is there is written over."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pytest_greta.compiler.cache import write_whole
from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.gates import file as gatefile
from pytest_greta.remedies import CLONE
from pytest_greta.scaffold.layout import Layout
from pytest_greta.scaffold.naming import plain, quoted
from pytest_greta.scaffold.placing import look

GATES, INI = "gates.yaml", "pytest.ini"
WORKFLOW = Path(".github/workflows/greta.yml")
TARGETS = ("gfx942", "gfx90a", "gfx1100")
_HEAD = """\
# What must hold of this project's kernels. `python -m pytest_greta explain` shows every gate.
version: 1
"""
_BREAK = re.compile(r"\r\n|\n|\r")
_RUN, _OPTIONS = "python -m pytest", "--greta-require=cpu --junitxml=greta.xml"
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
    def is_begun(self) -> bool:
        """Whether an `init` that was stopped wrote some of it."""
        return any((self.folder / name).exists() for name in self.files)

    @property
    def tests(self) -> Path:
        """The file with the tests."""
        return self.folder / list(self.files)[-1]


def begun_or_new(draft: Callable[[Collection[str]], Draft], taken: Collection[str]) -> Draft:
    """The draft of an `init` that was stopped, else one without the names that are taken: `draft` makes both. Raises as
    it does.
    """
    for names in ((), taken):
        with suppress(ConfigError):
            made = draft(names)
            if made.is_begun:
                return made
    return draft(taken)


def template(name: str) -> str:
    """A file of the example."""
    return (_EXAMPLE / f"{name}-tpl").read_text(encoding="utf-8")


def write(layout: Layout, draft: Draft) -> list[str]:
    """Write what is not there yet, and tell of each file when all of it is written: gates.yaml last, so that the next
    `init` goes on where one was stopped. Raises ConfigError where something is in the way, before anything is written,
    and OSError.
    """
    files = {draft.folder / name: text for name, text in draft.files.items()}
    look(layout.repository, [*files, layout.repository / WORKFLOW, layout.root / INI, layout.root / GATES])
    configuration = [*_ini(layout)]
    written = [_written(path, text) for path, text in files.items()]
    in_ci = [*_workflow(layout, draft.folder)]
    return [*configuration, *_gates(layout.root / GATES, draft), *written, *in_ci, *draft.notes]


def finish(layout: Layout) -> list[str]:
    """Write what a project with gates lacks: a configuration of pytest, and a workflow for the tests that `init` wrote.
    Raises as `write` does.
    """
    look(layout.repository, [layout.root / INI, layout.repository / WORKFLOW])
    folder = next((path for path in layout.folders() if path.is_dir()), None)
    if folder is None or (layout.repository / WORKFLOW).exists():
        return [*_ini(layout)]
    return [*_ini(layout), *_workflow(layout, folder)]


def _ini(layout: Layout) -> Iterator[str]:
    if layout.ini is None:
        yield _written(layout.root / INI, "[pytest]\n")


def _workflow(layout: Layout, folder: Path) -> Iterator[str]:
    """At the root of the repository, where alone GitHub looks for it."""
    path = layout.repository / WORKFLOW
    is_there, text = path.exists(), workflow(layout, folder)
    told = _written(path, text)
    if is_there and path.read_bytes() == text.encode():
        yield told
        return
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
    runs, project = (path.as_posix() for path in _places(layout, folder))
    text, command = template("workflow.yml"), f"{_RUN} {shlex.quote(runs)} {_OPTIONS}"
    if project == ".":
        text = text.replace("        working-directory: PROJECT\n", "").replace("PROJECT/", "")
    words = {
        "SOURCE": source(),
        "COMMAND": command if shlex.quote(runs) == runs else quoted(command),
        "PROJECT/greta.xml": quoted(f"{project}/greta.xml"),
        "PROJECT": quoted(project),
    }
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def _written(path: Path, text: str) -> str:
    if path.exists():
        return f"kept   {shown_path(path)}, which is there already"
    write_whole(path, text.encode())
    return f"wrote  {shown_path(path)}"


def _gates(path: Path, draft: Draft) -> Iterator[str]:
    """The entry, in a new file or in the one that is there; shown where it cannot be added for certain, or where the
    file is a link to one outside of the project.
    """
    if not path.exists():
        targets = f"{_targets(draft)}\n" if draft.section == "kernels" else ""
        yield _written(path, f"{_HEAD}{targets}{draft.section}:\n{draft.entry}")
        return
    told, names = f"kept   {shown_path(path)}", ", ".join(draft.names)
    text, is_inside = path.read_bytes().decode(), path.resolve().is_relative_to(path.parent.resolve())
    longer = added(text, draft) if is_inside else ""
    if {*draft.names} <= (_names(text, draft.section) or set()):
        yield f"{told}, which has {names}"
    elif longer:
        write_whole(path, longer.encode())
        yield f"wrote  {shown_path(path)}, with {names} below {draft.section}"
    else:
        where = "" if is_inside else f", a link to {path.resolve()}, outside of the project"
        yield f"{told}{where}; add below its `{draft.section}:`"
        yield from draft.entry.splitlines()


def added(text: str, draft: Draft) -> str:
    """A gates file with the entry of a draft, all else as it is; empty where what comes out would not be the file with
    the entry.
    """
    before = _names(text, draft.section)
    if before is None:
        return ""
    newline = (_BREAK.search(text) or ["\n"])[0]
    entry = draft.entry.splitlines()
    heading = re.search(
        rf"(?:\A\ufeff?|(?<=[\r\n])){draft.section}:[ \t]*(?:#[^\r\n]*)?(?:{_BREAK.pattern}|\Z)", text
    )
    at = heading.end() if heading else len(text)
    if heading:
        rest = (line for line in _BREAK.split(text[at:]) if line.strip() and line.lstrip()[0] != "#")
        following = next(rest, "")
        indent = " " * (len(following) - len(following.lstrip())) or "  "
        lines = [indent + line[2:] for line in entry]
    else:
        targets = [] if draft.section != "kernels" or _has_targets(text) else [_targets(draft)]
        lines = [*targets, f"{draft.section}:", *entry]
    begin = newline if at and text[at - 1] not in "\r\n" else ""
    longer = text[:at] + begin + "".join(line + newline for line in lines) + text[at:]
    return longer if _names(longer, draft.section) == before | set(draft.names) else ""


def _targets(draft: Draft) -> str:
    return f"targets: [{', '.join(map(plain, draft.targets))}]"


def _has_targets(text: str) -> bool:
    return re.search(r"(?:\A\ufeff?|(?<=[\r\n]))targets:", text) is not None


def names(path: Path, section: str) -> set[str]:
    """What a section of the project's gates file holds. Raises ConfigError where the file has mistakes."""
    return set(getattr(gatefile.load(path), section)) if path.exists() else set()


def _names(text: str, section: str) -> set[str] | None:
    """What a section holds; None where the text is no gates file."""
    if len(text.encode()) > gatefile.MAX_FILE_BYTES:
        return None
    try:
        return set(getattr(gatefile.parse(text.removeprefix("\ufeff"), GATES), section))
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
