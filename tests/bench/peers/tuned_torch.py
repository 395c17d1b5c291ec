"""Importing this before torch starts the program again with all that makes PyTorch fast on CPUs newer than it: the OpenMP build of OpenBLAS
where it is installed, and with AVX-512 the kernels for it, which neither OpenBLAS 0.3.21 nor PyTorch 1.13 chooses by itself there.
"""
import glob
import os
import sys

if not os.environ.get("RAE_TORCH_TUNED"):
    env = dict(os.environ, RAE_TORCH_TUNED="1")
    folders = glob.glob("/usr/lib/*/openblas-openmp")
    env["LD_LIBRARY_PATH"] = ":".join(folders + [path for path in [env.get("LD_LIBRARY_PATH")] if path])
    with open("/proc/cpuinfo") as cpu:
        if "avx512f" in cpu.read():
            env.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
            env.setdefault("ATEN_CPU_CAPABILITY", "avx512")
    os.execve(sys.executable, [sys.executable] + sys.argv, env)
