"""What our header and the rig declare is what hiprtc declares: no name more, or a source compiles here alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from tests.rocm import names

# hipcc's <hip/hip_runtime.h> has these, hiprtc has not.
OF_HIPCC = {
    "hipThreadIdx_x",
    "hipBlockIdx_x",
    "hipBlockDim_x",
    "hipGridDim_x",
    "HIP_KERNEL_NAME",
    "HIP_VERSION",
}
# As has hipcc with -DHIP_ENABLE_WARP_SYNC_BUILTINS.
OF_HIPCC |= {
    "__shfl_sync",
    "__shfl_xor_sync",
    "__shfl_down_sync",
    "__ballot_sync",
    "__any_sync",
    "__all_sync",
    "__match_any_sync",
}
OF_HIPCC |= {"__activemask"}
# The host API, without which a source that holds host code does not compile.
OF_HIPCC |= {"hipError_t", "hipSuccess", "hipMalloc", "exit", "rand"}
# CUDA's names, which HIP 6.4 lacks.
OF_CUDA = {"__syncwarp", "__grid_constant__", "__hmax2"}
REFUSED = {"__managed__"}  # with a sentence of our own


def given_by_our_header(folder: Path) -> dict[str, str]:
    """What is declared behind the two headers that hiprtc has built in."""
    toolchain, source = find_toolchain(CPU_TARGET), folder / names.SOURCE
    before = "#include <hip/hip_runtime.h>\n#include <hip/hip_fp16.h>"
    source.write_text(names.probe(names.ASKED, before))
    options = ("-x", "hip", "-std=c++17", "--cuda-device-only", "--offload-arch=gfx942", "-nostdinc")
    command = [*toolchain.clang, *toolchain.flags, *options, "-fsyntax-only", "-ferror-limit=0", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return names.read(names.ASKED, done.stderr)


def test_the_list_is_whole() -> None:
    assert set(names.recorded()) == set(names.ASKED)
    assert set(names.recorded().values()) == {"absent", "declared", "macro"}


def test_our_header_declares_no_more_than_hiprtc(tmp_path: Path) -> None:
    recorded, given = names.recorded(), given_by_our_header(tmp_path)
    more = {name for name in names.ASKED if recorded[name] == "absent" and given[name] != "absent"}
    assert more == OF_HIPCC | OF_CUDA | REFUSED
    kinds = {name for name in names.ASKED if "absent" not in (recorded[name], given[name])}
    assert {name for name in kinds if recorded[name] != given[name]} == set()
    assert {"INFINITY", "NAN", "M_PI", "FLT_MAX", "INT_MAX", "uint8_t", "std::max"} <= set(recorded) - more


def test_the_rig_defines_nothing_that_hiprtc_has_not() -> None:
    prelude = (names.ROOT / "tests/hip_on_cuda/prelude.h").read_text()
    defined = set(re.findall(r"^#define (\w+)", prelude, re.MULTILINE))
    assert "HIP_DYNAMIC_SHARED" in defined
    assert {name for name in defined if names.recorded().get(name) == "absent"} == set()
