"""AMD's HIP runtime and hiprtc on any Linux x86-64 machine, without a GPU and without privileges: see README.md.

    python3 tests/rocm/make_root.py FOLDER

FOLDER gets what Debian's packages of HIP hold, a Python of the same system, the packages that the tests need, and
FOLDER/python, which runs that Python with AMD's libraries on this machine's files. Nothing is installed outside of it.
A second call makes only what is missing or was asked for differently.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LIBRARY_PACKAGES = "hipcc librocprim-dev libhipcub-dev librocthrust-dev"
LIBRARY_FOLDERS = ("hip", "hipcub", "rocprim", "thrust")
TESTS = ("tests/rocm", "tests/devices/test_hip.py", "tests/unit/test_hip_missing.py")

# Called by its own loader, the system's Python needs no chroot. Its children are called with the same script; what a
# test set or took away for one of them stays as it is.
WRAPPER = """#!/bin/sh
folder={folder}
root="$folder/root"
if [ "${{PYTHONHOME-}}" != "$root/usr" ]; then
  export PYTHONHOME="$root/usr" PYTHONUSERBASE="$folder/packages" ROCM_PATH="$folder"
  export LD_LIBRARY_PATH="$folder/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
fi
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --argv0 "$folder/python" \\
  --library-path "$root/{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" "$root/usr/bin/python3" "$@"
"""

# As -cc1 and lld, clang calls what lies beside the name that it was called by: this script again.
TOOL = """#!/bin/sh
folder={folder}
root="$folder/root"
name=$(basename "$0")
case "$name $1" in
  "clang++ -cc1"*) ;;
  clang++*) set -- -no-canonical-prefixes --sysroot="$root" "$@" ;;
esac
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --argv0 "$folder/lib/llvm/bin/$name" \\
  --library-path "$root/{libraries}:$root/{llvm}/lib" "$root/{llvm}/bin/$name" "$@"
"""


def main() -> None:
    """Make the root that the command line asks for, and say how to run the tests in it."""
    options = arguments()
    folder: Path = options.folder.absolute()
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("AMD's runtime and hip-python are for Linux on x86-64 only")
    try:
        make(folder, options)
    except OSError as error:
        sys.exit(f"{folder} cannot be made: {error}")
    tell(f"{shlex.quote(str(folder / 'python'))} -m pytest {' '.join(TESTS)}")


def make(folder: Path, options: argparse.Namespace) -> None:
    """Make what is missing or was asked for differently."""
    chosen = {"suite": options.suite, "mirror": options.mirror, "hip": options.hip}
    asked = json.dumps({**chosen, **({"libraries": True} if options.libraries else {})}) + "\n"
    made = folder / "made.json"
    if not made.exists() or made.read_text() != asked:
        make_system(folder, options)
        made.write_text(asked)
    make_links(folder)
    if options.libraries:
        make_compiler(folder)
    installed = folder / "packages" / "hip-python.txt"
    if not installed.exists() or installed.read_text() != options.hip_python:
        shutil.rmtree(folder / "packages", ignore_errors=True)  # releases share names of modules
    install(folder, options.hip_python)
    installed.write_text(options.hip_python)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="AMD's HIP runtime and hiprtc from Debian's packages, in a folder of their own."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where it is made")
    parser.add_argument("--suite", default="sid", help="Debian's suite (default: %(default)s)")
    parser.add_argument("--mirror", default="", help="a mirror of Debian (default: that of mmdebstrap)")
    parser.add_argument("--hip", default="6", help="major version of Debian's HIP (default: %(default)s)")
    parser.add_argument(
        "--hip-python", default="hip-python", metavar="REQUIREMENT", help="such as 'hip-python==7.2.*'"
    )
    parser.add_argument(
        "--libraries",
        action="store_true",
        help="also ROCm's compiler, hipCUB, rocPRIM and rocThrust (900 MB)",
    )
    return parser.parse_args()


def make_system(folder: Path, options: argparse.Namespace) -> None:
    """Download and unpack the packages with what they depend on. SystemExit where that fails.

    Unpacked only: nothing of them is run, so no privileges are needed.
    """
    if shutil.which("mmdebstrap") is None:
        sys.exit("mmdebstrap is not installed: sudo apt-get install mmdebstrap debian-archive-keyring")
    root, partial, log = folder / "root", folder / "root.part", folder / "mmdebstrap.log"
    shutil.rmtree(partial, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    hip, mirror = options.hip, options.mirror
    packages = f"python3 python3-pip libamdhip64-{hip} libhiprtc{hip} libamdhip64-dev"
    packages += f" {LIBRARY_PACKAGES}" if options.libraries else ""
    command = ["mmdebstrap", "--mode=chrootless", "--variant=extract", f"--include={packages}"]
    # A mirror that stands still, as one of past days does, has lists older than they say they may be.
    command += [
        '--aptopt=Acquire::Check-Valid-Until "false"',
        options.suite,
        str(partial),
        *filter(None, [mirror]),
    ]
    tell(f"unpacking {packages} of {options.suite} with what they need")
    with log.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        errors = [line for line in log.read_text().splitlines() if line.startswith(("E:", "Err:"))]
        sys.exit(f"mmdebstrap failed: {errors[0] if errors else f'exit code {done.returncode}'} (see {log})")
    (folder / "made.json").unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    partial.rename(root)


def make_links(folder: Path) -> None:
    """FOLDER/python; FOLDER/lib and FOLDER/include, laid out as ROCm's folder is."""
    system = folder / "root" / "usr"
    places = {"include/hip": system / "include" / "hip"}
    for name in ("libamdhip64.so", "libhiprtc.so"):
        # Only where the tests point to, not where the system's loader finds it without being told.
        (folder / "root" / LIBRARIES / name).unlink(missing_ok=True)
        found = sorted((folder / "root" / LIBRARIES).glob(f"{name}.?"))
        if not found:
            sys.exit(f"no {name} in {folder / 'root' / LIBRARIES}: remove {folder} and make it again")
        places[f"lib/{name}"] = found[-1]
    for name, target in places.items():
        link = folder / name
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    python = folder / "python"
    python.write_text(WRAPPER.format(folder=shlex.quote(str(folder)), libraries=LIBRARIES))
    python.chmod(0o755)


def make_compiler(folder: Path) -> None:
    """ROCm's clang, its device libraries and headers, where ROCm has them: greta then takes FOLDER for a ROCm."""
    root = folder / "root"
    found = sorted(root.glob("usr/lib/llvm-*/lib/clang/*/amdgcn/bitcode"))
    if not found:
        sys.exit(f"no device library in {root}: remove {folder} and make it again")
    llvm = found[-1].parents[4]
    links = {"amdgcn/bitcode": found[-1], "lib/llvm/lib": llvm / "lib", "share/hip": root / "usr/share/hip"}
    links |= {f"include/{name}": root / "usr/include" / name for name in LIBRARY_FOLDERS}
    for name, target in links.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    for name in ("clang++", "ld.lld", "lld"):
        tool = folder / "lib/llvm/bin" / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(
            TOOL.format(folder=shlex.quote(str(folder)), libraries=LIBRARIES, llvm=llvm.relative_to(root))
        )
        tool.chmod(0o755)


def install(folder: Path, hip_python: str) -> None:
    """This checkout, hip-python and what the tests need, for the Python of FOLDER. SystemExit where it fails."""
    tell(f"installing {hip_python} and what the tests need")
    run = [str(folder / "python"), "-m", "pip", "install", "--quiet", "--user", "--break-system-packages"]
    quiet = ["--no-warn-script-location", "--root-user-action=ignore", "--disable-pip-version-check"]
    wanted = [hip_python, "ziglang>=0.17,<0.18", "-e", f"{CHECKOUT}[test]"]
    done = pip([*run, *quiet, *wanted])
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        sys.exit(f"pip failed: {errors[-1] if errors else done.stderr.strip()[-300:]}")


def pip(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Call pip from this machine's environment, without what another Python left in it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def tell(text: str) -> None:
    """One line to the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
