"""greta's own kernels on a CPU: in OpenCL C, which the runtime builds itself.

They run where launches do, as fast as memory is: the runtime's own fill takes 17 times as long to go through the
caches, and BLAKE2 of one MiB 1.4 ms where a launch that writes it takes 0.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRETCH_BYTES = 4096
"""Of a work-item that reads through."""
_STRETCH_WORDS, _GROUP = 8192, 16
"""Of a group that digests, and its work-items: a vector of any CPU."""

SOURCE = f"""
// A work-item reads a word of every cache line of its stretch. All are 0, but the compiler cannot know. They are read
// and not written: lines that were written would be written back while the next launch runs.
kernel void greta_flush(global ulong* data) {{
  const size_t first = get_global_id(0) * {_STRETCH_BYTES // 8};
  ulong seen = 0;
  for (int i = 0; i < {_STRETCH_BYTES // 8}; i += 8) seen |= data[first + i];
  if (seen) data[first] = 0;
}}

// Each word is mixed with its place and summed, as in queue.hip. A group has a stretch of `count` words from `first`
// on, a work-item every word of it at its own number and so many further, and a sum of its own.
kernel void greta_digest(global const ulong* data, ulong first, ulong count, global ulong* sums) {{
  const ulong begin = get_group_id(0) * {_STRETCH_WORDS}ul, end = min(begin + {_STRETCH_WORDS}ul, count);
  ulong total = 0;
  for (ulong i = begin + get_local_id(0); i < end; i += {_GROUP}) {{
    ulong x = data[first + i] ^ ((i + 1) * 0x9E3779B97F4A7C15ul);
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93ul;
    x ^= x >> 29;
    x *= 0xFF51AFD7ED558CCDul;
    x ^= x >> 32;
    total += x;
  }}
  sums[get_global_id(0)] = total;
}}
"""


class OwnKernels:
    """Runs them on a queue, and waits. Raises what pyopencl does."""

    def __init__(self, cl: Any, context: Any, program: Any, cache_bytes: int) -> None:
        self._cl, self._context = cl, context
        self._flush, self._digest = (cl.Kernel(program, name) for name in ("greta_flush", "greta_digest"))
        self._through = cl.Buffer(
            context,
            cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR,
            hostbuf=np.zeros(cache_bytes, np.uint8),
        )

    def read_through(self, queue: Any, size_bytes: int) -> None:
        """Read so many bytes of memory that nothing else reads."""
        self._flush.set_args(self._through)
        self._cl.enqueue_nd_range_kernel(
            queue, self._flush, (max(1, size_bytes // _STRETCH_BYTES),), (1,)
        ).wait()

    def sums(self, queue: Any, buffer: Any, offset_bytes: int, words: int) -> NDArray[np.uint64]:
        """What the digest of so many words of 8 bytes is made of; the offset is a multiple of 8."""
        found = np.empty(-(-words // _STRETCH_WORDS) * _GROUP, np.uint64)
        sums = self._cl.Buffer(self._context, self._cl.mem_flags.WRITE_ONLY, size=found.nbytes)
        self._digest.set_args(buffer, np.uint64(offset_bytes // 8), np.uint64(words), sums)
        self._cl.enqueue_nd_range_kernel(queue, self._digest, found.shape, (_GROUP,))
        self._cl.enqueue_copy(queue, found, sums)
        sums.release()
        return found
