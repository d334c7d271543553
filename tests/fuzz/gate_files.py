"""Damaged gates files: what reads them answers, or refuses with greta's own error, one line for each mistake.

    python -m tests.fuzz.gate_files --count 10000 --seed 1

Nothing may hang or take memory beyond a bound. An item follows from the seed and its number: `--first N --count 1`
makes one again.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kernels.prefill.prefill import Prefill
from kernels.softmax.softmax import Softmax
from pytest_greta.errors import ConfigError
from pytest_greta.gates.file import load
from tests.fuzz.common import main, run

REPOSITORY = Path(__file__).resolve().parents[2]
KERNELS = (Prefill(), Softmax())
WORDS = (
    *(
        "version",
        "targets",
        "peaks",
        "kernels",
        "prefill",
        "softmax",
        "baseline",
        "contexts",
        "problems",
        "gates",
        "artifacts",
        "files",
    ),
    *(
        "hip",
        "cpu",
        "heads",
        "dtype",
        "bf16",
        "where",
        "outputs",
        "out",
        "expect",
        "reason",
        "max",
        "min",
        "atol",
    ),
    *(
        "vgprs",
        "speedup",
        "max_error",
        "allclose",
        "deterministic",
        "gfx942",
        "*",
        "v3",
        "4096",
        "0",
        "-1",
        "1e999",
    ),
    *(
        ".nan",
        "~",
        "true",
        "yes",
        '"',
        "'",
        "&a",
        "*a",
        "<<",
        "!!python/name:os.system",
        "? ",
        "- ",
        "[",
        "]",
        "{",
    ),
    *(
        "}",
        ": ",
        "|",
        ">",
        "%",
        "@",
        "\t",
        "\n",
        "\r",
        "\0",
        "\u2028",
        "\ufeff",
        "\ud7ff",
        "999999999999999999999",
    ),
)
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 7)
)


def undamaged() -> list[str]:
    """The gates file of this repository, and the examples of the documentation."""
    docs = (REPOSITORY / "docs" / "gates.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", docs, re.MULTILINE | re.DOTALL)
    return [(REPOSITORY / "gates.yaml").read_text(encoding="utf-8"), *examples, ALIASES]


def damaged(rng: random.Random, texts: Sequence[str]) -> bytes:
    """One of the files with one to six injuries."""
    text = rng.choice(texts)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        begin = rng.randrange(len(text) + 1)
        end = min(len(text), begin + rng.choice((0, 0, 1, 5, 40, 400)))
        other = rng.choice(texts)
        start = rng.randrange(len(other) + 1)
        lines = text.splitlines(keepends=True)
        put = rng.choice(
            (rng.choice(WORDS), rng.choice(WORDS) * 50, other[start : start + rng.choice((1, 20, 500))])
        )
        if lines and rng.random() < 0.3:  # a line twice, elsewhere
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            text = "".join(lines)
        else:
            text = text[:begin] + put + text[end:]
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if data and rng.random() < 0.1:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def read(path: Path, data: bytes) -> str:
    """Read a file; AssertionError where its mistakes are not told a line each."""
    path.write_bytes(data)
    outcome = "taken"
    try:
        file = load(path)
        outcome = "taken, but for other kernels"
        file.check(KERNELS)
        outcome = "taken"
    except ConfigError as error:
        told = error.problems
        outcome = "refused" if outcome == "taken" else outcome
        if not told or any("\n" in problem or len(problem) > 4000 for problem in told):
            raise AssertionError(f"not a line for each mistake: {told!r}"[:2000]) from error
    return outcome


def fuzz(count: int, seed: int, first: int = 0) -> Counter[str]:
    """Read damaged files; how many were taken."""
    texts = undamaged()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gates.yaml")
        return run(count, seed, first, lambda rng: damaged(rng, texts), partial(read, path))


if __name__ == "__main__":
    main(__doc__, fuzz, 10_000)
