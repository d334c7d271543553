"""llama.cpp as an engine: processes a prompt of so many tokens, prints a line of timings. `pip install xllamacpp`."""

from __future__ import annotations

import argparse
import json
import sys
import time

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument(
        "--window", type=int, help="tokens that the engine has room for; the context and two more"
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.n_ctx = options.window or options.context + 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.warmup = False
    began = time.perf_counter()
    server = xllamacpp.Server(params)
    loaded = time.perf_counter() - began
    prompt = [3 + i % 256 for i in range(options.context)]
    request = {"prompt": prompt, "n_predict": 1, "temperature": 0, "cache_prompt": False}
    answer = server.handle_completions(request)
    if "timings" not in answer:
        sys.exit(f"llama.cpp: {json.dumps(answer)}")
    found = {"load_s": loaded, "text": answer["choices"][0]["text"], **answer["timings"]}
    sys.stdout.write(f"PERF_TIMING {json.dumps(found)}\n")


if __name__ == "__main__":
    main()
