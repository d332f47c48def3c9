"""What the machine can do, from files and tools whose answers are written down here."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.models import hardware
from tunesmith.models.hardware import Gpu, Hardware, free_threads, look, measured_gflops


def test_look_is_plausible_and_a_json_value() -> None:
    seen = look()
    assert 1 <= seen.free_cores <= seen.cores <= (os.cpu_count() or 1)
    assert 0 < seen.free_gb <= seen.memory_gb
    assert seen.bf16 in ("hardware", "emulated")
    assert Hardware.model_validate(seen.model_dump(mode="json")) == seen


def test_look_imports_no_torch() -> None:
    code = "import sys; from tunesmith.models.hardware import look; look(); print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("files", "memory", "cores"),
    [
        (
            {"memory.max": "8000000000", "memory.current": "3000000000", "cpu.max": "150000 100000"},
            (8_000_000_000, 3_000_000_000),
            1.5,
        ),
        ({"memory.max": "max", "memory.current": "5", "cpu.max": "max 100000"}, (hardware._NO_LIMIT, 0), 2.0**60),
        (
            {
                "memory/memory.limit_in_bytes": "4000000000",
                "memory/memory.usage_in_bytes": "1000000000",
                "cpu/cpu.cfs_quota_us": "400000",
                "cpu/cpu.cfs_period_us": "100000",
            },
            (4_000_000_000, 1_000_000_000),
            4.0,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, (hardware._NO_LIMIT, 0), 2.0**60),
        ({}, (hardware._NO_LIMIT, 0), 2.0**60),
    ],
)
def test_a_containers_limits_count(
    tmp_path: Path, files: dict[str, str], memory: tuple[int, int], cores: float
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert hardware._container_memory(tmp_path) == memory
    assert hardware._container_cores(tmp_path) == cores


SMI = "0, GPU-aa, NVIDIA H100 80GB HBM3, 81559, 80000, 9.0\n1, GPU-bb, Tesla T4, 15360, 15000, 7.5\nbroken line\n"


def test_gpus_are_read_from_the_drivers_tool() -> None:
    """81,559 MiB x 1,048,576 = 85.5e9 bytes; Hopper (9.0) computes in bfloat16, Turing (7.5) does not."""
    first, second = hardware._parse_gpus(SMI, None)
    assert first.name == "NVIDIA H100 80GB HBM3" and first.capability == (9, 0) and first.bf16
    assert first.memory_gb == pytest.approx(85.52, abs=0.01)
    assert not second.bf16


@pytest.mark.parametrize(("visible", "names"), [("1", ["Tesla T4"]), ("GPU-bb", ["Tesla T4"]), ("", []), ("7", [])])
def test_only_visible_gpus_count(visible: str, names: list[str]) -> None:
    assert [gpu.name for gpu in hardware._parse_gpus(SMI, visible)] == names


def test_training_uses_the_largest_gpu_or_the_machines_memory() -> None:
    machine = Hardware(cores=2, free_cores=2, memory_gb=16, free_gb=12)
    assert machine.train_gb == 12
    gpu = Gpu(name="T4", memory_gb=16, free_gb=15)
    assert machine.model_copy(update={"gpus": (gpu, gpu.model_copy(update={"free_gb": 9.0}))}).train_gb == 15


def test_threads_are_those_asked_for_else_the_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "free_cores", lambda seconds: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert free_threads() == 2
    for nonsense in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert free_threads() == 3


def test_a_busy_core_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores, of which others keep one fully and one at 60 %: idle are 0 + 0.4 + 1 + 1 = 2.4, so 2 are free."""
    import psutil

    monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: [100.0, 60.0, 0.0, 0.0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(hardware, "_CGROUP", Path("/nonexistent"))
    assert hardware.free_cores() == 2


def test_the_peak_of_memory_is_counted_from_when_it_was_reset() -> None:
    """300 MB that are gone do not count, 200 MB that came later do; other systems know the whole process only."""
    if not hardware._CLEAR.exists():
        pytest.skip("needs Linux: /proc/self/clear_refs")
    gone = bytearray(b"1") * 300_000_000
    before = hardware.peak_memory_gb()
    del gone
    hardware.reset_peak_memory()
    after = hardware.peak_memory_gb()
    assert after < before - 0.2
    held = bytearray(b"1") * 200_000_000
    assert hardware.peak_memory_gb() > after + 0.15 and held


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose malloc keeps what is freed")
def test_memory_that_malloc_keeps_is_given_back() -> None:
    """200 MB in blocks of 100 kB, all but the last of them freed: they lie below it, and stay where nobody asks."""
    import psutil

    process, blocks = psutil.Process(), [bytearray(b"1") * 100_000 for _ in range(2000)]
    last = blocks.pop()
    blocks.clear()
    before = process.memory_info().rss
    hardware.give_back_memory()
    assert process.memory_info().rss < before - 150_000_000 and last


def test_speed_of_matrix_products_is_measured_quickly() -> None:
    assert 0.1 < measured_gflops() < 100_000
