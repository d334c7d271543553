"""Which names hiprtc knows without an include, and which our own header gives: asked of the compilers themselves.

FOLDER/python -m tests.rocm.names      writes hiprtc_names.txt
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("hiprtc_names.txt")
SOURCE = "names.hip"

# C's own headers, then what HIP's headers bring or might bring.
_ASKED = """
INFINITY NAN HUGE_VAL HUGE_VALF HUGE_VALL M_E M_LOG2E M_LOG10E M_LN2 M_LN10 M_PI M_PI_2 M_PI_4 M_1_PI M_2_PI
M_2_SQRTPI
M_SQRT2 M_SQRT1_2 FP_NAN FP_INFINITE FP_ZERO FP_NORMAL FP_SUBNORMAL FP_ILOGB0 MATH_ERRNO
FLT_RADIX FLT_MAX FLT_MIN FLT_EPSILON FLT_DIG FLT_MANT_DIG FLT_MAX_EXP FLT_MIN_EXP FLT_MAX_10_EXP
FLT_MIN_10_EXP
FLT_TRUE_MIN DBL_MAX DBL_MIN DBL_EPSILON DBL_DIG DBL_MANT_DIG DBL_MAX_EXP DBL_MIN_EXP DBL_MAX_10_EXP
DBL_MIN_10_EXP
DBL_TRUE_MIN LDBL_MAX DECIMAL_DIG
CHAR_BIT SCHAR_MAX SCHAR_MIN UCHAR_MAX CHAR_MAX CHAR_MIN SHRT_MAX SHRT_MIN USHRT_MAX INT_MAX INT_MIN UINT_MAX
LONG_MAX
LONG_MIN ULONG_MAX LLONG_MAX LLONG_MIN ULLONG_MAX
INT8_MAX INT8_MIN UINT8_MAX INT16_MAX INT16_MIN UINT16_MAX INT32_MAX INT32_MIN UINT32_MAX INT64_MAX INT64_MIN
UINT64_MAX
INTPTR_MAX UINTPTR_MAX SIZE_MAX PTRDIFF_MAX INTMAX_MAX INT32_C UINT64_C
NULL offsetof assert EOF RAND_MAX EXIT_SUCCESS stdin CLOCKS_PER_SEC va_list va_start isfinite isinf isnan
signbit
size_t ptrdiff_t nullptr_t max_align_t int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t
intptr_t
uintptr_t intmax_t uintmax_t int_least8_t uint_least32_t int_fast16_t uint_fast64_t FILE
uint ushort uchar ulong printf malloc free memcpy memset memmove strlen abort exit rand clock clock64
wall_clock64 trap
sinf cosf tanf asinf acosf atanf atan2f sinhf coshf tanhf expf exp2f exp10f expm1f logf log2f log10f log1pf
powf sqrtf
rsqrtf cbrtf rcbrtf hypotf erff erfcf lgammaf tgammaf fabsf fminf fmaxf fmodf remainderf fmaf floorf ceilf
truncf roundf
rintf nearbyintf lrintf lroundf llrintf ldexpf frexpf modff copysignf fdimf sincosf sincospif sinpif cospif
nanf
nextafterf ilogbf logbf scalbnf norm3df normcdff erfinvf j0f y0f i0f cyl_bessel_i0f
sin exp log pow sqrt rsqrt fabs fmin fmax fma floor abs labs llabs min max sincos lgamma tgamma
__expf __exp10f __logf __log2f __log10f __powf __sinf __cosf __tanf __sincosf __fdividef __fsqrt_rn __frcp_rn
__frsqrt_rn
__fmaf_rn __fadd_rn __saturatef __float2int_rn __float_as_int __int_as_float __float_as_uint
__double_as_longlong
__hiloint2double __popc __popcll __clz __clzll __ffs __ffsll __brev __brevll __byte_perm __funnelshift_l
__mul24 __umul24
__mulhi __umulhi __umul64hi __mul64hi __sad __usad __hadd __rhadd __ldg
__syncthreads __syncthreads_count __syncthreads_and __syncthreads_or __syncwarp __threadfence
__threadfence_block
__threadfence_system __shfl __shfl_xor __shfl_up __shfl_down __shfl_sync __shfl_xor_sync __shfl_down_sync
__ballot
__ballot_sync __any __all __any_sync __all_sync __activemask __lane_id __match_any_sync __reduce_add_sync
atomicAdd atomicSub atomicMin atomicMax atomicAnd atomicOr atomicXor atomicExch atomicCAS atomicInc atomicDec
atomicAdd_system unsafeAtomicAdd safeAtomicAdd atomicAdd_block
threadIdx blockIdx blockDim gridDim warpSize dim3 hipThreadIdx_x hipBlockIdx_x hipBlockDim_x hipGridDim_x
__global__ __device__ __host__ __shared__ __constant__ __managed__ __launch_bounds__ __forceinline__
__noinline__
__align__ __restrict__ __grid_constant__ HIP_DYNAMIC_SHARED HIP_DYNAMIC_SHARED_ATTRIBUTE HIP_KERNEL_NAME
__HIPCC__ __HIP_PLATFORM_AMD__ __HIP_DEVICE_COMPILE__ __HIP_ARCH_HAS_DOUBLES__ __HIP_MEMORY_SCOPE_AGENT
HIP_VERSION HIP_VERSION_MAJOR HIP_VERSION_MINOR HIP_VERSION_PATCH HIPRT_INF_F HIP_INF_F hipSuccess hipError_t
hipMalloc
char1 char4 uchar4 short2 ushort4 int1 int2 int3 int4 uint2 uint4 long2 ulong4 longlong2 ulonglong2 float1
float2 float3
float4 double2 double4 make_float2 make_float4 make_int4 make_uint4 make_double2 HIP_vector_type
half half2 __half __half2 __half_raw __half2_raw hip_bfloat16 __hip_bfloat16 __hip_bfloat162 __hip_fp8_e4m3
__half2float __float2half __float2half_rn __half22float2 __float22half2_rn __floats2half2_rn __halves2half2
__low2half
__hmul __hfma __hadd2 __hmul2 __hfma2 __hmax __hmax2 __hlt __hgt __hisnan __hneg __habs hexp hexp2 hlog hsqrt
hrsqrt hrcp
__half_as_short __short_as_half __half2int_rn __int2half_rn
std::size_t std::ptrdiff_t std::nullptr_t std::int32_t std::uint32_t std::uint64_t std::numeric_limits
std::is_same
std::is_same_v std::enable_if std::enable_if_t std::conditional std::conditional_t std::integral_constant
std::true_type
std::false_type std::remove_reference std::remove_reference_t std::remove_cv std::decay std::is_integral
std::is_integral_v std::is_floating_point std::is_arithmetic std::is_convertible std::is_trivially_copyable
std::declval
std::move std::forward std::swap std::min std::max std::abs std::sqrt std::exp std::pow std::isnan std::isinf
std::isfinite std::fma std::array std::pair std::tuple std::initializer_list std::integer_sequence
std::index_sequence std::make_index_sequence std::void_t std::common_type
"""
ASKED = _ASKED.split()


def probe(names: list[str], before: str = "") -> str:
    """A source with two lines of meaning for each name: an `#error` where it is a macro, else a use of the name.

    A line's number is the name's place in the list, from 1 on.
    """
    text = [before]
    for number, name in enumerate(names, 1):
        space, _, last = name.rpartition("::")
        use = f'#line {number} "{SOURCE}"\nnamespace probe {{ using {space}::{last}; }}'
        if not space:
            use = f'#ifdef {name}\n#line {number} "{SOURCE}"\n#error macro\n#else\n{use}\n#endif'
        text.append(use)
    return "\n".join(text) + "\n"


def read(names: list[str], log: str) -> dict[str, str]:
    """What the compiler's complaints about `probe` say of each name: `macro`, `declared` or `absent`."""
    complaints = re.findall(rf"{re.escape(SOURCE)}:(\d+):\d+: error: (.*)", log)
    said = {int(number): "macro" if text == "macro" else "absent" for number, text in reversed(complaints)}
    return {name: said.get(number, "declared") for number, name in enumerate(names, 1)}


def recorded() -> dict[str, str]:
    """The list as it is in hiprtc_names.txt."""
    lines = [line.split() for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return {name: kind for kind, *names in lines for name in names}


def ask_hiprtc() -> dict[str, str]:
    """What the hiprtc at hand says."""
    from hip import hiprtc

    from pytest_greta.device.hiprtc import compile_source
    from pytest_greta.errors import CompileError

    options = ["--offload-arch=gfx942", "-std=c++17", "-ferror-limit=0"]
    before = "#include <hip/hip_runtime.h>\n#include <hip/hip_fp16.h>"
    try:
        compile_source(hiprtc, probe(ASKED, before), SOURCE, options)
    except CompileError as error:
        return read(ASKED, str(error))
    raise SystemExit("hiprtc knows every name asked for: nothing was probed")


def written(found: dict[str, str], about: str) -> str:
    """The text of hiprtc_names.txt: one line for each kind and first letter, so that a difference shows."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in sorted(found):
        groups.setdefault((found[name], name.lstrip("_")[:1].lower()), []).append(name)
    lines = [" ".join([kind, *names]) for (kind, _), names in sorted(groups.items())]
    return "\n".join([f"# {about}", *lines]) + "\n"


def hip_version() -> str:
    """The release of the HIP runtime at hand."""
    from hip import hip

    runtime: Any = hip
    version = runtime.hipRuntimeGetVersion()[1]
    return f"HIP {version // 10_000_000}.{version // 100_000 % 100}.{version % 100_000}"


def main() -> None:
    """Ask hiprtc and write the list."""
    about = f"What hiprtc of {hip_version()} knows without an include of a library; made by names.py"
    LIST.write_text(written(ask_hiprtc(), about))
    sys.stdout.write(f"{LIST}\n")


if __name__ == "__main__":
    main()
