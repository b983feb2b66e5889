"""Read the weights and the tokenizer pieces out of the package that carries the embedded encoder.

The file is little-endian: a header, the unigram pieces with their scores, a normalisation table, a directory of named
tensors, the tensors. A 4-bit block is a float16 scale and 16 bytes: byte j holds weight j in its low and weight j + 16
in its high half, and a weight is (half byte - 8) x scale.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

BLOCK = 32  # weights that share one scale
Q4 = np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)])


class BackboneError(RuntimeError):
    """The encoder cannot be provided; the message says what to do."""


class EmbeddedArchive:
    """Reader of the package's `E5S1` file: pieces with scores, and named tensors (float32, or 4-bit blocks of 32).

    The file is mapped, not read: a tensor costs memory only when it is asked for.
    """

    def __init__(self, path: Path) -> None:
        """Read the header, the pieces and the tensor directory."""
        self.data: npt.NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        magic, version, *dims = self._unpack("<4sI7i", 0)
        if (magic, version) != (b"E5S1", 1):
            raise BackboneError(f"{path}: not an E5S1 file of version 1 but {magic!r}, {version}")
        self.hidden, self.layers, self.heads, self.ffn, self.vocab, self.positions, self.types = dims
        n_pieces = self._unpack("<i", 44)[0]
        blob_length = self._unpack("<Q", 64)[0]
        at = 72
        bounds = self.data[at : at + 4 * (n_pieces + 1)].view("<u4")
        at += 4 * (n_pieces + 1)
        scores = self.data[at : at + 4 * n_pieces].view("<f4")
        at += 4 * n_pieces
        blob = self.data[at : at + blob_length].tobytes()
        at += blob_length
        self.pieces = [(blob[bounds[i] : bounds[i + 1]].decode("utf-8"), float(scores[i])) for i in range(n_pieces)]
        at += 8 + self._unpack("<I", at + 4)[0]  # the normaliser's table: we bring our own
        self.directory = self._read_directory(at)

    def _unpack(self, form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack(form, self.data[at : at + struct.calcsize(form)].tobytes())

    def _read_directory(self, at: int) -> dict[str, tuple[int, int, int, int]]:
        count = self._unpack("<i", at)[0]
        at += 4
        directory = {}
        for _ in range(count):
            length = self._unpack("<H", at)[0]
            name = self.data[at + 2 : at + 2 + length].tobytes().decode()
            at += 2 + length
            directory[name] = self._unpack("<BIQQ", at)
            at += struct.calcsize("<BIQQ")
        return directory

    def tensor(self, name: str, *shape: int, rows: list[int] | None = None) -> torch.Tensor:
        """Return a tensor as float32 of the given shape; `rows` picks rows before unpacking."""
        dtype, _, offset, n_bytes = self.directory[name]
        raw = self.data[offset : offset + n_bytes]
        if dtype == 0:
            values = raw.view("<f4").reshape(shape)
            return torch.from_numpy(np.array(values if rows is None else values[rows], dtype=np.float32))
        blocks = raw.view(Q4).reshape(shape[0], -1)
        if rows is not None:
            blocks = blocks[rows]
        nibbles = blocks["nibbles"]
        weights = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8
        weights *= blocks["scale"].astype(np.float32)[..., None]
        return torch.from_numpy(weights.reshape(len(blocks), -1))
