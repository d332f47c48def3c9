"""What this machine can do: cores, memory, GPUs, number formats. Looks, never changes; torch only where asked for.

Limits of a container (cgroup) count: a machine with 256 GB gives a container of 16 GB no more than that.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Literal

from tunesmith.core.types import Noun

GB = 1e9
MIB = 1 << 20
_LOOK_SECONDS = 0.1
_LONG_LOOK_SECONDS = 0.5
_CGROUP = Path("/sys/fs/cgroup")
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_NO_LIMIT = 1 << 60


class Gpu(Noun):
    """One GPU. `memory_gb` and `free_gb` are in units of 1e9 bytes; `capability` as CUDA counts (9.0 is Hopper)."""

    name: str
    memory_gb: float
    free_gb: float
    capability: tuple[int, int] = (0, 0)

    @property
    def bf16(self) -> bool:
        """Whether it computes in bfloat16 in hardware (Ampere, 8.0, and later)."""
        return self.capability >= (8, 0)


class Hardware(Noun):
    """What there is to compute with.

    Fields:
        cores: processor cores that this process may use (affinity and container limit respected).
        free_cores: those of them that were not busy while we looked; at least 1.
        memory_gb: memory of the machine or the container, whichever is less, in units of 1e9 bytes.
        free_gb: what of it is available now.
        gpus: CUDA GPUs that this process sees.
        bf16: `hardware`: the processor multiplies bfloat16 itself; `emulated`: it can be asked to, and takes
            9 times as long forward and 40-90 times backward [measured]; never compute in it there.
        int8: `hardware`: the processor multiplies and sums 8-bit integers itself (VNNI, AMX); without that sums
            of their products overflow in the kernels that PyTorch has [measured].
        processor: name of the processor.
        disk_free_gb: free space on the disk of the current folder.
    """

    cores: int
    free_cores: int
    memory_gb: float
    free_gb: float
    gpus: tuple[Gpu, ...] = ()
    bf16: Literal["hardware", "emulated"] = "emulated"
    int8: Literal["hardware", "emulated"] = "emulated"
    processor: str = ""
    disk_free_gb: float = 0.0

    @property
    def train_gb(self) -> float:
        """Memory that a training run can have: of the largest GPU, or of the machine where there is none."""
        return max((gpu.free_gb for gpu in self.gpus), default=self.free_gb)


def look() -> Hardware:
    """Look at this machine; takes about 0.1 s (0.3 s where there are NVIDIA GPUs), imports no torch."""
    import psutil

    memory = psutil.virtual_memory()
    limit, used = _container_memory(_CGROUP)
    total = min(memory.total, limit)
    return Hardware(
        cores=usable_cores(),
        free_cores=free_cores(),
        memory_gb=total / GB,
        free_gb=max(0, min(memory.available, limit - used)) / GB,
        gpus=_gpus(),
        bf16="hardware" if {"amx_bf16", "avx512_bf16", "bf16"} & _cpu_flags() else "emulated",
        int8="hardware" if {"amx_int8", "avx512_vnni", "avx_vnni"} & _cpu_flags() else "emulated",
        processor=_cpu_name(),
        disk_free_gb=shutil.disk_usage(Path.cwd()).free / GB,
    )


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and the container's share of time rounded down, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, int(_container_cores(_CGROUP))))


def free_cores(*, seconds: float = _LOOK_SECONDS) -> int:
    """How many of the usable cores other processes left idle for `seconds`, rounded to whole ones; at least 1."""
    import psutil

    mine = time.process_time()
    shares = psutil.cpu_percent(interval=seconds, percpu=True)
    mine = (time.process_time() - mine) / seconds
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(shares))
    idle = sum(1 - shares[core] / 100 for core in allowed if core < len(shares)) + mine
    return max(1, min(usable_cores(), int(idle + 0.5)))


def free_threads() -> int:
    """How many OpenMP threads to compute with: the free cores, or what OMP_NUM_THREADS says.

    Two threads beside another busy process run 3.6 times slower than one thread alone would [measured on two
    cores], because each parallel piece waits for the thread that was put aside.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else free_cores(seconds=_LONG_LOOK_SECONDS)


@cache
def settle_threads() -> int:
    """Give torch `free_threads()` threads, once a process; how many that are."""
    import torch

    threads = free_threads()
    torch.set_num_threads(threads)
    return threads


@cache
def measured_gflops(device: str = "cpu") -> float:
    """Speed of matrix products, in 1e9 operations a second: the best of a few, 0.3 s in all; imports torch.

    The best, not the mean: what else runs in this very moment says nothing of the hour of training to come.

    On the processor float32 with the threads that torch uses now, 512 x 576 by 576 x 1536 (a layer of a small
    model); on a GPU bfloat16, 4096 x 4096 by 4096 x 4096.
    """
    import torch

    gpu = device != "cpu"
    rows, inner, columns = (4096, 4096, 4096) if gpu else (512, 576, 1536)
    dtype = torch.bfloat16 if gpu else torch.float32
    left = torch.ones(rows, inner, dtype=dtype, device=device)
    right = torch.ones(inner, columns, dtype=dtype, device=device)
    seconds: list[float] = []
    while len(seconds) < 2 or sum(seconds) < 3 * _LOOK_SECONDS:
        start = time.perf_counter()
        float(torch.mm(left, right)[0, 0])  # reading a number waits for the GPU
        seconds.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / min(seconds) / 1e9


def reset_peak_memory() -> None:
    """Let `peak_memory_gb` count from now on, where the system allows that (Linux, and GPUs)."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")  # proc(5): resets the peak of the resident memory
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


def give_back_memory() -> None:
    """Return to the system what is free already: objects that nobody reaches, and what torch and malloc keep of it.

    glibc's malloc keeps the small blocks that a model leaves: 440 MB of SmolLM2-135M's packed weights [measured].
    """
    gc.collect()
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library has no such function
            ctypes.CDLL(None).malloc_trim(0)


def peak_memory_gb() -> float:
    """Largest memory since `reset_peak_memory`, in GB: what torch took on the GPU, or else what this process held."""
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_reserved() / GB
    held = [line.split()[1] for line in _read(_STATUS).splitlines() if line.startswith("VmHWM:")]
    if held:
        return int(held[0]) * 1024 / GB
    try:
        import resource
    except ImportError:  # Windows has no such module
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / GB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GB if sys.platform == "darwin" else peak * 1024 / GB


def _container_memory(cgroup: Path) -> tuple[int, int]:
    """Limit and use of the container in bytes (cgroup version 2, then 1); no limit is a very large number."""
    places = [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")]
    for limit, used in places:
        text = _read(cgroup / limit)
        if text.isdigit() and int(text) < _NO_LIMIT:
            current = _read(cgroup / used)
            return int(text), int(current) if current.isdigit() else 0
    return _NO_LIMIT, 0


def _container_cores(cgroup: Path) -> float:
    """How many cores' worth of time the container may use; a very large number without a limit."""
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else float(_NO_LIMIT)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


@cache
def _cpu_info() -> str:
    return _read(Path("/proc/cpuinfo"))


def _cpu_flags() -> set[str]:
    lines = (line for line in _cpu_info().splitlines() if line.startswith(("flags", "Features")))
    return set(next(lines, "").partition(":")[2].split())


def _cpu_name() -> str:
    import platform

    lines = (line for line in _cpu_info().splitlines() if line.startswith("model name"))
    return next(lines, "").partition(":")[2].strip() or platform.processor() or platform.machine()


def _gpus() -> tuple[Gpu, ...]:
    """The visible NVIDIA GPUs, through the driver's own tool; through torch only where that is loaded already."""
    if "torch" in sys.modules:
        return _gpus_of_torch()
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = "--query-gpu=index,uuid,name,memory.total,memory.free,compute_cap"
    try:
        command = [tool, query, "--format=csv,noheader,nounits"]
        text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return _parse_gpus(text, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _parse_gpus(text: str, visible: str | None) -> tuple[Gpu, ...]:
    """The tool's lines (`index, uuid, name, MiB, MiB, 9.0`) as GPUs; `visible` as CUDA_VISIBLE_DEVICES says it."""
    wanted = None if visible is None else {part.strip() for part in visible.split(",")}
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 6 or (wanted is not None and not {parts[0], parts[1]} & wanted):
            continue
        if not parts[3].isdigit() or not parts[4].isdigit():
            continue
        major, _, minor = parts[5].partition(".")
        capability = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
        total, free = (int(part) * MIB / GB for part in parts[3:5])
        found.append(Gpu(name=parts[2], memory_gb=total, free_gb=free, capability=capability))
    return tuple(found)


def _gpus_of_torch() -> tuple[Gpu, ...]:
    import torch

    if not torch.cuda.is_available():
        return ()
    found = []
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        capability = (facts.major, facts.minor)
        found.append(Gpu(name=facts.name, memory_gb=total / GB, free_gb=free / GB, capability=capability))
    return tuple(found)
