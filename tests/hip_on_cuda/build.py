"""Build libamdhip64.so and libhiprtc.so on CUDA: `python build.py FOLDER` (see README.md).

Needs g++ (or $CXX) and a CUDA toolkit's headers: $CUDA_HOME, nvcc's folder or /usr/local/cuda. libcuda and
libnvrtc are loaded at run time; libnvrtc is looked for in the toolkit, then among the installed Python
packages, and its path is built in. $NVRTC_LIBRARY names another one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUTS = {"libamdhip64.so": "hip_runtime.cpp", "libhiprtc.so": "hiprtc.cpp"}


def cuda_home() -> Path:
    """The toolkit's folder: $CUDA_HOME, nvcc's or /usr/local/cuda. SystemExit if none has cuda.h."""
    if "CUDA_HOME" in os.environ:
        homes = [Path(os.environ["CUDA_HOME"])]
    else:
        nvcc = shutil.which("nvcc")
        homes = [Path(nvcc).resolve().parents[1]] if nvcc else []
        homes.append(Path("/usr/local/cuda"))
    for home in homes:
        if (home / "include" / "cuda.h").exists():
            return home
    sys.exit(f"no include/cuda.h in {', '.join(map(str, homes))}: set CUDA_HOME to a CUDA toolkit's folder")


def find_nvrtc(home: Path) -> str:
    """Path of libnvrtc, or its bare name where it is not found (the loader's path then decides)."""
    if "NVRTC_LIBRARY" in os.environ:
        return os.environ["NVRTC_LIBRARY"]
    folders = [home / "lib64", home / "targets/x86_64-linux/lib"]
    folders += [lib for entry in sys.path if entry for lib in Path(entry).glob("nvidia/*/lib")]
    for folder in folders:
        # libnvrtc.so.13, not the stub or libnvrtc-builtins
        for library in sorted(folder.glob("libnvrtc.so*"), key=lambda p: len(p.name)):
            return str(library.resolve())
    return "libnvrtc.so"


def build(folder: Path) -> str:
    """Build both libraries into `folder` and return the path of the libnvrtc that they will load."""
    folder.mkdir(parents=True, exist_ok=True)
    home = cuda_home()
    nvrtc = find_nvrtc(home)
    with tempfile.TemporaryDirectory() as generated:
        prelude = (HERE / "prelude.h").read_text()
        (Path(generated) / "prelude.inc").write_text(f'R"prelude({prelude})prelude"')
        for library, source in OUTPUTS.items():
            command = [
                os.environ.get("CXX", "g++"),
                "-std=c++17",
                "-O2",
                "-fPIC",
                "-shared",
                "-fvisibility=hidden",
            ]
            command += [
                "-Wall",
                "-Wextra",
                "-Werror",
                f"-I{generated}",
                f"-I{HERE}",
                f"-isystem{home / 'include'}",
            ]
            command += [f'-DCUDA_INCLUDE="{home / "include"}"', f'-DNVRTC_LIBRARY="{nvrtc}"']
            command += [
                f"-Wl,-soname,{library}",
                "-o",
                str(folder / library),
                str(HERE / source),
                "-ldl",
                "-pthread",
            ]
            subprocess.run(command, check=True)
    return nvrtc


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: build.py FOLDER")
    nvrtc_used = build(Path(sys.argv[1]))
    sys.stdout.write(f"{sys.argv[1]}: {', '.join(OUTPUTS)} (compiling with {nvrtc_used})\n")
