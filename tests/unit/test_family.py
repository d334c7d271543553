"""What belongs to a family's data, and what does not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_greta.history.family import changed, family_of
from pytest_greta.kernel import Array, Kernel

SOURCE = '''
import numpy as np
from pytest_greta import Array, Kernel, Launch, Variant

SCALE = 3.0

def drawn(rng, n):
    """Numbers."""
    return rng.standard_normal(n) * SCALE

class Family(Kernel):
    name = "family"
    width = 4
    variants = [Variant("v", "v.hip", "v")]

    def size(self, problem):
        return problem.context * self.width

    def inputs(self, problem, rng):
        return {"x": drawn(rng, self.size(problem))}

    def outputs(self, problem):
        return {"y": Array((self.size(problem),), np.float32)}

    def reference(self, problem, inputs, row):
        return {"y": inputs["x"][row]}

    def launch(self, problem, variant):
        return Launch((1, 1, 1), (64, 1, 1), ("x", "y"))
'''

Of = Callable[[str], dict[str, str]]


@pytest.fixture
def of(tmp_path: Path) -> Of:
    """The family of a source."""

    def load(source: str) -> dict[str, str]:
        path = tmp_path / f"family{len(list(tmp_path.iterdir()))}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("family", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        kernel: Kernel = module.Family()
        return family_of(kernel, {})

    return load


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("standard_normal(n)", "random(n)", ["inputs()"]),
        ("SCALE = 3.0", "SCALE = 2.0", ["inputs()"]),
        ("width = 4", "width = 16", ["inputs()", "outputs()"]),
        ("problem.context * self.width", "problem.context", ["inputs()", "outputs()"]),
        ("np.float32", "np.float16", ["outputs()"]),
        # what times do not depend on, or what is compared elsewhere
        ('"""Numbers."""', '"""Other words."""', []),
        ("    return rng", "    # a remark\n    return  rng", []),
        ('Variant("v", "v.hip", "v")', 'Variant("v", "v.hip", "v"), Variant("w", "w.hip", "w")', []),
        ('inputs["x"][row]', 'inputs["x"][row] + 0', []),
        ("(64, 1, 1)", "(128, 1, 1)", []),
    ],
)
def test_what_changed_is_named(of: Of, old: str, new: str, expected: list[str]) -> None:
    assert old in SOURCE
    assert changed(of(SOURCE), of(SOURCE.replace(old, new))) == expected


def test_shapes_and_dtypes_are_named_with_what_they_were() -> None:
    then = family_of(Kernel(), {"x": Array((64,), np.float32)})
    now = family_of(Kernel(), {"x": Array((256,), "bfloat16")})
    assert changed(then, now) == ["'x' (float32 [64], now bfloat16 [256])"]
    assert changed({}, now) == []  # a record that says nothing of it
