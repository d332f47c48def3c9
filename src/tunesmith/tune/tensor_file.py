"""Tensors written as a safetensors file whose digest is made from memory while the disk is at work.

The library's own `save_file` tells a full disk as an error of its own kind and leaves the digest to a second reading.
The file is laid out as the library does it: eight bytes of header length, a JSON header padded with spaces to a
multiple of eight, then the tensors, widest numbers first and by name (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

_NAMES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Types that can be written, in the order in which the library writes them."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write `tensors` to the new file `path`, forced to the disk; returns the SHA-256 of its bytes, hexadecimal.

    The digest is that of the bytes meant, not of those read back: what a disk alters on the way is noticed as well.
    Tensors on another device are copied to memory, the others are not copied.

    Raises:
        OSError: the disk is full or fails; part of the file may be left.
        ValueError: a tensor's type is not one of safetensors'.
    """
    parts = _parts(tensors)
    # hashlib, write and fsync all let go of Python's lock, so the slower of the two is all that is waited for.
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(_digest, parts)
        with path.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        return digest.result()


def _digest(parts: list[memoryview]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def _parts(tensors: Mapping[str, Tensor]) -> list[memoryview]:
    """The file's bytes in order: header, then each tensor where it lies in memory."""
    order, header, parts, end = list(_NAMES), {}, [], 0
    unknown = sorted({str(tensor.dtype) for tensor in tensors.values()} - {str(kind) for kind in order})
    if unknown:
        raise ValueError(f"no type of safetensors: {', '.join(unknown)}")
    for name in sorted(tensors, key=lambda name: (order.index(tensors[name].dtype), name)):
        tensor = tensors[name].detach().contiguous().cpu()
        data = tensor.reshape(-1).view(torch.uint8).numpy().data
        begin, end = end, end + data.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        parts.append(data)
    told = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    told += b" " * (-len(told) % 8)
    return [memoryview(len(told).to_bytes(8, "little") + told), *parts]
