"""Makes PyTorch as fast as its environment allows.

Must be imported before torch. It restarts the program with settings that help on CPUs newer than
PyTorch: the OpenMP build of OpenBLAS if it is installed, and with AVX-512 the kernels for it, which
neither OpenBLAS 0.3.21 nor PyTorch 1.13 chooses by itself on such CPUs.
"""

import glob
import os
import sys

if not os.environ.get("RAE_TORCH_TUNED"):
    env = dict(os.environ, RAE_TORCH_TUNED="1")
    folders = glob.glob("/usr/lib/*/openblas-openmp")
    env["LD_LIBRARY_PATH"] = ":".join(
        folders + [path for path in [env.get("LD_LIBRARY_PATH")] if path]
    )
    with open("/proc/cpuinfo") as cpu:
        if "avx512f" in cpu.read():
            env.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
            env.setdefault("ATEN_CPU_CAPABILITY", "avx512")
    os.execve(sys.executable, [sys.executable] + sys.argv, env)


def attention(q, k, v):  # (B, heads, N, hd) each
    """Fused attention in PyTorch 2.0 and newer, or else two separate products."""
    from torch.nn import functional

    if hasattr(functional, "scaled_dot_product_attention"):
        return functional.scaled_dot_product_attention(q, k, v)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.softmax(-1).to(v.dtype) @ v
