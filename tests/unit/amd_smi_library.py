"""A libamd_smi.so that gives the readings a test asks for, so that the real Python package amdsmi runs without ROCm.

It exports every function that amdsmi binds. Most answer "not supported"; those that greta uses answer with the
status and the struct a test has set. Structs are built with amdsmi's own ctypes classes, so names, layouts,
conversions and errors are those of the real package.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

NOT_SUPPORTED = 2  # AMDSMI_STATUS_NOT_SUPPORTED in amdsmi.h
DRIVER_NOT_LOADED = 34
REPLY_BYTES = 65536

SOURCE = """
struct reply { int status; unsigned size; unsigned char bytes[65536]; };
static int answer(const struct reply *r, void *out) {
  if (r->status == 0) __builtin_memcpy(out, r->bytes, r->size);
  return r->status;
}
struct reply reply_init, reply_handles;
int amdsmi_init(unsigned long flags) { return reply_init.status; }
int amdsmi_shut_down(void) { return 0; }
static int handles(unsigned *count, void **out, long first) {
  unsigned n = reply_handles.size;
  if (out) for (unsigned i = 0; i < n; i++) out[i] = (void *)(first + i);
  *count = n;
  return reply_handles.status;
}
int amdsmi_get_socket_handles(unsigned *count, void **out) { return handles(count, out, 16); }
int amdsmi_get_processor_handles(void *socket, unsigned *count, void **out) {
  if (out) out[0] = (void *)((long)socket + 16);
  *count = 1;
  return 0;
}
"""
ANSWERED = {
    "amdsmi_get_gpu_device_bdf": "void *gpu, void *out",
    "amdsmi_get_gpu_metrics_info": "void *gpu, void *out",
    "amdsmi_get_gpu_vram_usage": "void *gpu, void *out",
    "amdsmi_get_power_info": "void *gpu, void *out",
    "amdsmi_get_clock_info": "void *gpu, unsigned kind, void *out",
    "amdsmi_get_temp_metric": "void *gpu, unsigned sensor, unsigned metric, void *out",
}


class Reply(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("size", ctypes.c_uint), ("bytes", ctypes.c_ubyte * REPLY_BYTES)]


def missing() -> str:
    """What is not installed here for this, if anything."""
    names = [name for name in ("amdsmi", "ziglang") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(names)} not installed" if names else ""


def build(root: Path) -> Path:
    """Build the library where amdsmi looks for it under `ROCM_PATH=root`."""
    spec = importlib.util.find_spec("amdsmi")
    assert spec is not None
    assert spec.origin is not None
    wrapper = Path(spec.origin).with_name("amdsmi_wrapper.py").read_text()
    bound = set(re.findall(r"_libraries\['libamd_smi\.so'\]\.(\w+)", wrapper))
    answered = "".join(
        f"struct reply reply_{name};\nint {name}({args}) {{ return answer(&reply_{name}, out); }}\n"
        for name, args in ANSWERED.items()
    )
    rest = sorted(name for name in bound if not re.search(rf"\bint {name}\(", SOURCE + answered))
    stubs = "".join(f"int {name}(void) {{ return {NOT_SUPPORTED}; }}\n" for name in rest)
    source, library = root / "amd_smi.c", root / "lib" / "libamd_smi.so"
    library.parent.mkdir()
    source.write_text(SOURCE + answered + stubs)
    compile_library(source, library)
    return library


def compile_library(source: Path, library: Path) -> None:
    """Without the C library, which ziglang would compile first, for minutes; unoptimised code would ask for more."""
    command = [sys.executable, "-m", "ziglang", "cc", "-O1", "-shared", "-fPIC", "-nostdlib"]
    subprocess.run([*command, "-o", str(library), str(source)], check=True)
