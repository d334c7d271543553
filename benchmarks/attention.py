"""Attention prefill, all variants and PyTorch's, in one run: times, TFLOP/s, speedups, memory, share of the roofline.

    python -m benchmarks.attention measure results.json [--form gqa] [--contexts 4096,8192] [--device hip]
    python -m benchmarks.attention table results.json docs/measurements.md
    python -m benchmarks.attention picture results.json docs/attention.svg

`measure` runs through greta's own hip device (or the cpu device), and PyTorch's `scaled_dot_product_attention` (extra
`bench`) in a process of its own; without PyTorch it says so and goes on. `table` writes between the lines
`<!-- attention -->` and `<!-- /attention -->` of the document.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attention_report import Results, Series, picture, replace_table, table
from kernels.prefill import prefill
from pytest_greta import contract
from pytest_greta.compiler.builder import hiprtc_options
from pytest_greta.compiler.cache import CodeCache
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device import BoundLaunch, Device, run_once
from pytest_greta.errors import GretaError
from pytest_greta.kernel import Launch, Problem, Variant
from pytest_greta.measure import correctness
from pytest_greta.measure.reference import references_of

FORMS: Mapping[str, Mapping[str, int | str]] = {
    "prefill": {},
    "d64": {"head_dim": 64},
    "gqa": {"kv_heads": 8},
    "bf16": {"dtype": "bf16"},
    "shard": {"heads": 4, "kv_heads": 1},
}
"""Problems of the family by name: their axes besides the context."""
KERNEL = prefill.Prefill()
BUDGET_SECONDS, MOST_LAUNCHES = 0.5, 50
TORCH_BACKENDS = {"torch flash": "FLASH_ATTENTION", "torch cuDNN": "CUDNN_ATTENTION"}


def median_seconds(launch: Callable[[], float]) -> tuple[float, int]:
    """Median of the launches after the first, within the budget but three at least, and how many they were.

    A launch of more than two seconds is repeated only once.
    """
    launch()
    times: list[float] = []
    began = time.monotonic()
    while len(times) < 3 or (time.monotonic() - began < BUDGET_SECONDS and len(times) < MOST_LAUNCHES):
        times.append(launch())
        if times[-1] > 2:
            break
    return statistics.median(times), len(times)


def build(device: Device, variant: Variant, problem: Problem) -> bytes:
    """The code of a variant for the device."""
    source = KERNEL.source_path(variant)
    if device.info.kind == "cpu":
        job = Job(source, CPU_TARGET, contract.defines(KERNEL, problem, variant))
        return run_compiler(find_toolchain(CPU_TARGET), job)[0]
    return device.compile(source.read_text(), source.name, hiprtc_options(KERNEL, variant, problem))


class Bench:
    """A device with the code of every variant that can run a form."""

    def __init__(self, device: Device, problems: Sequence[Problem], longest_seconds: float) -> None:
        self.device, self.longest_seconds = device, longest_seconds
        self.variants = [
            v for v in KERNEL.variants if not all(contract.refusal(KERNEL, p, v) for p in problems)
        ]
        self.modules = {v.name: device.load(build(device, v, problems[0])) for v in self.variants}
        self.series = [Series(v.name) for v in self.variants]

    def measure(self, problem: Problem) -> None:
        """Every variant on one problem, on the same inputs; each output is checked against the reference."""
        device, kernel, context = self.device, KERNEL, problem.context
        rng = np.random.default_rng(context)
        before = device.memory_used_bytes()
        inputs = kernel.inputs(problem, rng)
        shared = {name: device.allocate(array.nbytes) for name, array in inputs.items()}
        for name, array in inputs.items():
            device.write(shared[name], 0, np.atleast_1d(array).view(np.uint8).data)
        outputs = {n: np.empty(a.shape, a.dtype) for n, a in kernel.outputs(problem).items()}
        shared |= {name: device.allocate(array.nbytes) for name, array in outputs.items()}
        arrays = contract.outputs(kernel, problem)
        reference = references_of(kernel, problem, {"first": inputs}, arrays, rng)["first"]
        allowed = {"out": correctness.Tolerance(1e-2 if problem.text("dtype") == "bf16" else 1e-3)}
        for variant, series in zip(self.variants, self.series, strict=True):
            if contract.refusal(kernel, problem, variant):
                continue
            if series.expected_seconds(context) > self.longest_seconds:
                print(
                    f"{variant.name} @ {context}: would take over {self.longest_seconds:.0f} s, left out",
                    flush=True,
                )
                continue
            own = self._workspaces(problem, variant)
            bound = [
                self._bind(variant, launch, {**shared, **own}) for launch in self._launches(problem, variant)
            ]
            for name, array in outputs.items():
                device.fill(shared[name], correctness.POISONS[0], 0, array.nbytes)
            seconds, launches = median_seconds(lambda bound=bound: run_once(device, bound))  # type: ignore[misc]
            after = device.memory_used_bytes()
            for name, array in outputs.items():
                device.read(shared[name], 0, array.view(np.uint8).data)
            error = reference.errors(outputs, allowed)["out"].of_row
            if not error <= allowed["out"].max_error:
                raise GretaError(f"{variant.name} @ {context} is wrong: its error is {error:.2e}")
            used = None if before is None or after is None else after - before
            series.add(context, seconds, kernel.flops(problem), used)
            print(
                f"{variant.name} @ {context}: {seconds * 1e3:.3f} ms ({launches} launches), error {error:.1e}",
                flush=True,
            )
            for buffer in own.values():
                device.free(buffer)
        for buffer in shared.values():
            device.free(buffer)

    def _launches(self, problem: Problem, variant: Variant) -> Sequence[Launch]:
        made = KERNEL.launch(problem, variant)
        return made if isinstance(made, Sequence) else [made]

    def _workspaces(self, problem: Problem, variant: Variant) -> dict[str, Any]:
        arrays = KERNEL.workspaces(problem, variant)
        sizes = {n: math.prod(a.shape) * np.dtype(a.dtype).itemsize for n, a in arrays.items()}
        return {name: self.device.allocate(size_bytes) for name, size_bytes in sizes.items()}

    def _bind(self, variant: Variant, launch: Launch, buffers: dict[str, Any]) -> BoundLaunch:
        function = self.device.function(self.modules[variant.name], launch.entry or variant.entry)
        args = tuple((buffers[a], 0) if isinstance(a, str) else a for a in launch.args)
        return BoundLaunch(function, launch.grid, launch.block, args, launch.dynamic_lds_bytes)


def with_torch(contexts: Sequence[int], sizes: dict[str, int], bf16: bool) -> dict[str, Any]:
    """PyTorch's backends, in this process: `{name: {context: [seconds, bytes]}}` and what is missing."""
    try:
        import torch
        import torch.nn.attention
    except ImportError as error:
        return {"series": {}, "missing": f"PyTorch is not installed ({error})", "version": ""}
    if not torch.cuda.is_available():
        return {"series": {}, "missing": "PyTorch finds no GPU", "version": torch.__version__}
    found: dict[str, dict[int, list[float]]] = {name: {} for name in TORCH_BACKENDS}
    missing = [torch_backend(torch, name, contexts, sizes, bf16, found[name]) for name in TORCH_BACKENDS]
    return {"series": found, "missing": "; ".join(filter(None, missing)), "version": torch.__version__}


def torch_backend(
    torch: Any,
    name: str,
    contexts: Sequence[int],
    sizes: dict[str, int],
    bf16: bool,
    found: dict[int, list[float]],
) -> str:
    """Fill in seconds and bytes of one backend; what went wrong, if anything did."""
    heads, kv_heads, head_dim = sizes["heads"], sizes.get("kv_heads", sizes["heads"]), sizes["head_dim"]
    dtype = torch.bfloat16 if bf16 else torch.float16
    start, stop = torch.cuda.Event(True), torch.cuda.Event(True)
    try:
        backend = getattr(torch.nn.attention.SDPBackend, TORCH_BACKENDS[name])
        for context in contexts:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            counts = (heads, kv_heads, kv_heads)
            q, k, v = (torch.randn(1, n, context, head_dim, device="cuda", dtype=dtype) for n in counts)
            options = {"is_causal": True} | ({"enable_gqa": True} if heads != kv_heads else {})

            def launch(q: Any = q, k: Any = k, v: Any = v, options: Any = options) -> float:
                start.record()
                torch.nn.functional.scaled_dot_product_attention(q, k, v, **options)
                stop.record()
                torch.cuda.synchronize()
                return float(start.elapsed_time(stop)) * 1e-3

            with torch.nn.attention.sdpa_kernel(backend):
                seconds, _ = median_seconds(launch)
            found[context] = [seconds, torch.cuda.max_memory_allocated()]
    except (RuntimeError, AttributeError) as error:
        return f"{name}: {str(error).splitlines()[0]}"
    return ""


def torch_series(problems: Sequence[Problem]) -> tuple[list[Series], str]:
    """PyTorch's, in a process that shares no GPU context with greta's; and its version or what is missing."""
    of_context = {problem.context: problem for problem in problems}
    sizes = dict(problems[0].sizes)
    request = json.dumps([list(of_context), sizes, sizes["dtype"] == "bf16"])
    command = [sys.executable, "-m", "benchmarks.attention", "torch", request]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return [], f"PyTorch failed: {(done.stderr.strip() or 'no output').splitlines()[-1]}"
    answer = json.loads(lines[-1])
    series = []
    for name, points in answer["series"].items():
        made = Series(name)
        for context, (seconds, memory_bytes) in points.items():
            made.add(int(context), seconds, KERNEL.flops(of_context[int(context)]), int(memory_bytes))
        series.append(made)
    version = f"PyTorch {answer['version']}" if answer["version"] else ""
    return series, "; ".join(part for part in (version, answer["missing"]) if part)


def open_device(kind: str) -> Device:
    """The hip device, or the cpu device."""
    if kind == "cpu":
        from pytest_greta.device.cpu import open_cpu

        return open_cpu(CodeCache(Path(tempfile.gettempdir()) / "greta-attention"))
    from pytest_greta.device.hip import open_hip

    return open_hip()


def measure(form: str, contexts: Sequence[int], kind: str, longest_seconds: float) -> Results:
    """Measure everything once. Raises GretaError where a variant is wrong or the device is not there."""
    problems = [KERNEL.problem(context, kind, FORMS[form]) for context in contexts]
    device = open_device(kind)
    try:
        bench = Bench(device, problems, longest_seconds)
        for problem in problems:
            bench.measure(problem)
        info = device.info
    finally:
        device.close()
    others, torch_note = torch_series(problems)
    print(torch_note, flush=True)
    return Results(
        device=f"{info.name} ({info.target}), driver {info.driver}, {info.runtime}",
        date=datetime.date.today().isoformat(),
        problem=f"{KERNEL.name}: " + ", ".join(f"{k} {v}" for k, v in problems[0].sizes.items()),
        note=torch_note,
        intensity={p.context: KERNEL.flops(p) / KERNEL.bytes_moved(p) for p in problems},
        series=[s for s in [*bench.series, *others] if s.seconds],
    )


def main(arguments: Sequence[str]) -> None:
    """Do what the command line says."""
    if arguments[:1] == ["torch"]:
        contexts, sizes, bf16 = json.loads(arguments[1])
        print(json.dumps(with_torch(contexts, sizes, bf16)))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("measure")
    run.add_argument("results", type=Path)
    run.add_argument("--contexts", default="4096,8192,16384,32768")
    run.add_argument("--device", default="hip", choices=["hip", "cpu"])
    run.add_argument("--form", default="prefill", choices=FORMS)
    run.add_argument(
        "--longest", type=float, default=30.0, help="leave out launches expected to take more seconds"
    )
    for name in ("table", "picture"):
        show = commands.add_parser(name)
        show.add_argument("results", type=Path)
        show.add_argument("document", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "measure":
        contexts = [int(c) for c in options.contexts.split(",")]
        try:
            results = measure(options.form, contexts, options.device, options.longest)
        except GretaError as error:
            sys.exit(str(error))
        options.results.write_text(results.to_json())
        print(table(results))
    else:
        results = Results.from_json(options.results.read_text())
        if options.command == "table":
            options.document.write_text(replace_table(options.document.read_text(), table(results)))
        else:
            options.document.write_text(picture(results))


if __name__ == "__main__":
    main(sys.argv[1:])
