"""Stands in for an inference engine: prints a line of timings, honestly or with one vice. Standard library alone."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import sys
import time

RECORDS = {
    "2026-02-12": {"baseline": {4096: 22.768, 8192: 114.265, 16384: 469.749}},
    "2026-02-14": {
        "baseline": {8192: 403.26, 16384: 1181.64},
        "v3": {8192: 3540.68, 16384: 13366.90},
        "v4": {8192: 2026.69, 16384: 7508.25},
    },
}
"""Seconds of prefill on record, by campaign, variant and context."""
NAMES = {"baseline": "flash_v2_naive", "v3": "v3_q_lds", "v4": "v4_ql_v_lds"}
VICES = (
    *("zero", "truncates", "hangs", "forks", "ignores-sigterm", "floods", "prints-twice", "lies", "leaks"),
    *("hides-an-error", "fails-late", "crashes", "says-nothing", "loses-the-device", "breaks-its-json"),
)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--variant", default="baseline", choices=NAMES)
    parser.add_argument("--campaign", choices=RECORDS, help="print the time on record of this campaign")
    parser.add_argument("--vice", default="", choices=("", *VICES))
    parser.add_argument("--log", help="append a line to this file")
    parser.add_argument("--hang-without", help="at a context above 1, hang unless this file is there")
    parser.add_argument("--megabytes", type=int, default=64, help="what --vice floods or leaks")
    return parser.parse_args()


def misbehave(vice: str, megabytes: int) -> None:
    """The vices that come before the timings."""
    if vice == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if vice in ("hangs", "ignores-sigterm"):
        print("prefilling ...", flush=True)
        time.sleep(600)
    if vice == "forks" and os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    if vice == "floods":
        line = b"token " * 16 + b"\n"
        for _ in range(megabytes):
            os.write(1, line * ((1 << 20) // len(line)))
    if vice == "leaks":
        kept = b"x" * (megabytes << 20)
        time.sleep(0.1)
        del kept
    if vice == "hides-an-error":
        print("engine.cpp:88: hipErrorOutOfMemory: out of memory", file=sys.stderr, flush=True)
    if vice == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if vice == "loses-the-device":
        sys.exit("hipErrorNoDevice: no ROCm-capable device is detected")


def main() -> None:
    options = parsed()
    vice = options.vice
    if options.log:
        with open(options.log, "a", encoding="utf-8") as file:
            file.write(f"{options.variant} {options.context}\n")
    if options.hang_without and options.context > 1 and not pathlib.Path(options.hang_without).exists():
        time.sleep(600)
    began = time.perf_counter()
    misbehave(vice, options.megabytes)
    seconds = time.perf_counter() - began + 1e-6 * options.context
    if options.campaign:
        seconds = RECORDS[options.campaign][options.variant][options.context]
    timings = {
        "model_load_s": 21.865,
        "tokens": 2048 if vice == "truncates" else options.context,
        "prefill_s": 0 if vice == "zero" else seconds,
        "attn_impl": "flash_v2_naive" if vice == "lies" else NAMES[options.variant],
        "max_seq_len": os.environ.get("GRETA_MAX_SEQ_LEN", ""),
        "serial": f"{os.environ.get('HIP_LAUNCH_BLOCKING')} {os.environ.get('AMD_SERIALIZE_KERNEL')}",
        "text": f"digest {options.context}",
    }
    line = f"PERF_TIMING {json.dumps(timings)}"
    print(line[:-4] if vice == "breaks-its-json" else "" if vice == "says-nothing" else line, flush=True)
    if vice == "prints-twice":
        print(line, flush=True)
    if vice == "fails-late":
        sys.exit(3)


if __name__ == "__main__":
    main()
