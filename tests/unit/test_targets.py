"""What names of targets say, generic ones among them, wherever one is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.occupancy import target_limits
from pytest_greta.compiler.prebuilt import is_held, prebuilt, targets_in
from pytest_greta.compiler.targets import GENERIC, generation, runs_on
from pytest_greta.errors import CompileError
from pytest_greta.kernel import Kernel, Variant
from pytest_greta.option_values import targets as _targets
from pytest_greta.problems import is_not_for
from tests.fuzz.code_objects import bundle

SOURCE = """\
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(64) void k(const float* x, float* y) {
  __shared__ float tile[64];
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
}
"""


@pytest.fixture(scope="module")
def generic_code(code_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """A kernel for every generic target."""
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    source = tmp_path_factory.mktemp("generic") / "k.hip"
    source.write_text(SOURCE)
    compiler = Compiler(code_cache)
    yield {target: compiler.compile(Job(source, target)).code for target in GENERIC}
    compiler.close()


@pytest.mark.parametrize("target", GENERIC)
def test_code_for_a_family_is_read_like_any_other(
    generic_code: dict[str, bytes], target: str, tmp_path: Path
) -> None:
    path = tmp_path / "k.hsaco"
    path.write_bytes(generic_code[target])
    assert targets_in(path) == [target]
    for wanted in (target, *GENERIC[target], f"{GENERIC[target][-1]}:xnack-"):
        (taken,) = prebuilt(path, wanted).kernels.values()
        assert taken.matrix_instructions == 0
        assert taken.unwaited_barriers == ()
        assert target_limits(wanted, taken.wave_size) is not None
        assert generation(wanted) == generation(target)
    with pytest.raises(CompileError, match=rf"k\.hsaco holds code for {target}, none for gfx90a"):
        prebuilt(path, "gfx90a")


def test_of_code_for_a_device_its_own_comes_before_that_of_its_family(
    generic_code: dict[str, bytes], tmp_path: Path
) -> None:
    path, code = tmp_path / "k.hsaco", generic_code["gfx9-4-generic"]
    names = [b"gfx9-4-generic:sramecc+:xnack-", b"gfx9-4-generic", b"gfx942"]
    path.write_bytes(bundle({name: code + name for name in names}))
    for target, taken in (("gfx942:sramecc+:xnack-", names[2]), ("gfx950:sramecc+:xnack-", names[0])):
        assert prebuilt(path, target).code == code + taken
    assert prebuilt(path, "gfx950:sramecc+:xnack+").code == code + names[1]


def test_code_for_a_family_is_for_each_of_it_and_not_the_other_way_round() -> None:
    assert runs_on("gfx11-generic", "gfx1100")
    assert runs_on("gfx11-generic", "gfx11-generic")
    assert runs_on("gfx9-4-generic:xnack-", "gfx942:sramecc+:xnack-")
    assert not runs_on("gfx9-4-generic:xnack+", "gfx942:sramecc+:xnack-")
    assert not runs_on("gfx1100", "gfx11-generic")
    assert not runs_on("gfx9-generic", "gfx90a")
    assert is_held(["gfx12-generic"], "gfx1201")
    assert not is_held(["gfx12-generic"], "gfx1100")


def test_a_variant_that_is_written_for_a_family_is_for_each_of_it() -> None:
    class Family(Kernel):
        name = "family"
        variants = (Variant("wide", "k.hip", "k", targets=("gfx11-generic",)),)

    family = Family()
    assert is_not_for(family, family.variants[0], "gfx1100") == ""
    assert is_not_for(family, family.variants[0], "gfx11-generic") == ""
    assert is_not_for(family, family.variants[0], "gfx1201") == "variant wide is for gfx11-generic"


def test_options_and_gates_take_generic_targets() -> None:
    wanted = (*GENERIC, "gfx90a", "gfx9-4-generic:sramecc+:xnack-")
    assert _targets(",".join(wanted)) == wanted
    for wrong in ("gfx", "gfx11-", "gfx11-specific", "gfx90a-generic", "gfx9-4-5-generic", "11-generic"):
        with pytest.raises(ValueError, match="is not a target"):
            _targets(wrong)


@pytest.mark.parametrize(
    ("target", "major"),
    [("gfx90a:xnack-", 9), ("gfx942", 9), ("gfx9-4-generic", 9), ("gfx1030", 10), ("gfx10-3-generic", 10)],
)
def test_the_generation(target: str, major: int) -> None:
    assert generation(target) == major


@pytest.mark.parametrize(
    "target", ["gfx1250", "gfx12-5-generic", "gfx13-generic", "gfx1310", "gfx803", "gfx", ""]
)
def test_an_unknown_generation_is_not_made_up(target: str) -> None:
    with pytest.raises(ValueError, match="are not known"):
        generation(target)
