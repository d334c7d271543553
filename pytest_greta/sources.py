"""What a variant is built from, as its author says it: what is wrong with it, a line each.

Sources, flags and folders of headers are checked when a family is registered, before anything compiles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from pytest_greta.errors import shown
from pytest_greta.kernel import Kernel, Variant

_WITH_VALUE = ("-Xclang", "-mllvm", "-D", "-U", "--param")
"""Flags whose value may be the next text."""

_NOT_HERE: dict[str, tuple[str, ...]] = {
    "greta sets what is built": (
        *(
            "-S",
            "-E",
            "-emit-",
            "-fsyntax-only",
            "-fgpu-rdc",
            "-###",
            "-x",
            "-fuse-cuid",
            "-cuid",
            "--language",
        ),
        *(
            "--compile",
            "--assemble",
            "--preprocess",
            "--precompile",
            "--analyze",
            "--version",
            "--help",
            "-help",
        ),
        *("--cuda-device-only", "--cuda-host-only", "--cuda-compile-host-device", "-print-", "--print-"),
        *("--gpu-bundle-output", "--no-gpu-bundle-output"),
    ),
    "greta sets where files are written": (
        *("-o", "--output", "-save-temps", "--save-temps", "-M", "-dependency-file"),
        *("--dependencies", "--user-dependencies", "--write-dependencies", "--write-user-dependencies"),
    ),
    "targets are those of the gates file and --greta-target": (
        *("--offload", "--cuda-gpu-arch", "--target", "-mcpu", "-march"),
    ),
    "greta sets where headers and libraries are": (
        *("-nogpu", "--rocm-path", "--hip-path", "--sysroot", "-isysroot", "-resource-dir"),
        *("-nostdinc", "--no-standard-includes", "-nostdlibinc", "-nobuiltininc"),
    ),
    "write its flags here": ("--config",),
    "name the folder in include": (
        *("-I", "-isystem", "-iquote", "-idirafter", "-iwithprefix", "-iprefix", "-F", "-iframework"),
        *("-cxx-isystem", "-c-isystem", "-stdlib++-isystem", "--include-"),
    ),
    "include the file in the source": ("-include", "--include", "-imacros", "--imacros"),
    "write it without -Wp, or -Xpreprocessor": ("-Wp,", "-Xpreprocessor"),
}
"""Beginnings of flags that no author may give, by what to know or do instead: in short, long and joined forms."""

_WHOLE = {
    "-c": "greta sets what is built",
    "-": "greta names the source",
    "-target": "targets are those of the gates file and --greta-target",
}
"""Whole flags that no author may give."""


TARGET = r"gfx([0-9a-f]+|[0-9]+(-[0-9]+)?-generic)(:[a-z]+[+-])*"
"""A target as clang writes it: `gfx942`, `gfx90a:sramecc+:xnack-`, `gfx9-4-generic`."""


def target_problems(targets: object) -> Iterator[str]:
    """What is wrong with the targets that a family or a variant is written for."""
    if targets is None:
        return
    if not _is_list(targets, str) or not targets:
        yield f"targets is {shown(targets)}, not a list of targets such as ('gfx942',)"
        return
    for target in targets:
        if not re.fullmatch(TARGET, target):
            yield f"targets has {target!r}; a target reads like gfx942 or gfx90a:xnack-"


def family_problems(kernel: Kernel) -> Iterator[str]:
    """What is wrong with the flags and folders of a family."""
    yield from _flag_problems(kernel.flags)
    yield from _include_problems(kernel, kernel.include)


def variant_problems(kernel: Kernel, variant: Variant) -> Iterator[str]:
    """What is wrong with the source, the flags and the folders of a variant, or with its code."""
    for field, value in (("source", variant.source), ("code", variant.code)):
        if not isinstance(value, str):
            yield f"{field} is {value!r}, not a text"
            return
    if bool(variant.source) == bool(variant.code):
        both = f"there are both source {variant.source!r} and code {variant.code!r}: leave one out"
        yield (
            both
            if variant.code
            else "there is neither a source nor code (compiled elsewhere): give one of them"
        )
        return
    yield from _flag_problems(variant.flags)
    if variant.code:
        given = [name for name in ("defines", "flags", "include") if getattr(variant, name)]
        yield from (f"{name} cannot be given with code, which is compiled already" for name in given)
    try:
        source = kernel.source_path(variant)
    except (OSError, TypeError):  # a class that was not defined in a file
        yield "its source is looked for beside the file that defines the class, and there is none: define 'folder'"
        return
    yield from _include_problems(kernel, variant.include)
    if not source.is_file():
        yield f"there is no {'code' if variant.code else 'source'} {source}"


def _flag_problems(flags: object) -> Iterator[str]:
    if not _is_list(flags, str):
        yield f"flags is {flags!r}, not a list of texts such as ('-ffast-math',)"
        return
    before = ""
    for flag in flags:
        reason = "" if before == "-mllvm" else _refused(flag)
        if reason:
            yield f"flags has {flag!r}, which cannot be set here: {reason}"
        elif not flag.startswith("-") and before not in _WITH_VALUE:
            yield f"flags has {flag!r}, which is no flag of a compiler: it does not begin with '-'"
        before = flag


def _refused(flag: str) -> str:
    """Why a flag is none of the author's; empty where it is."""
    return _WHOLE.get(flag) or next((why for why, starts in _NOT_HERE.items() if flag.startswith(starts)), "")


def _include_problems(kernel: Kernel, include: object) -> Iterator[str]:
    if not _is_list(include, (str, os.PathLike)) or not all(map(str, include)):
        yield f"include is {include!r}, not a list of folders such as ('../common',)"
        return
    for name in include:
        try:
            folder = kernel.folder / name
        except (OSError, TypeError):  # a class that was not defined in a file, which its variants are told
            return
        if not Path(folder).is_dir():
            yield f"include has {str(name)!r}: there is no folder {folder.resolve()}"


def _is_list(given: object, of: type | tuple[type, ...]) -> TypeGuard[Sequence[Any]]:
    return isinstance(given, (list, tuple)) and all(isinstance(one, of) for one in given)
