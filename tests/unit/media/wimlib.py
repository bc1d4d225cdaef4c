"""libwim as the independent compressor and decompressor of single chunks."""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache

XPRESS, LZX = 1, 2


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("wim")
    assert name, "libwim is missing; install wimtools"
    library = ctypes.CDLL(name)
    library.wimlib_compress.restype = ctypes.c_size_t
    library.wimlib_compress.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
    ]
    library.wimlib_decompress.argtypes = library.wimlib_compress.argtypes
    library.wimlib_create_compressor.argtypes = [
        ctypes.c_int,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.POINTER(ctypes.c_void_p),
    ]
    library.wimlib_create_decompressor.argtypes = [
        ctypes.c_int,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_void_p),
    ]
    return library


@cache
def _compressor(kind: int, window: int) -> ctypes.c_void_p:
    made = ctypes.c_void_p()
    assert _library().wimlib_create_compressor(kind, window, 50, ctypes.byref(made)) == 0
    return made


@cache
def _decompressor(kind: int, window: int) -> ctypes.c_void_p:
    made = ctypes.c_void_p()
    assert _library().wimlib_create_decompressor(kind, window, ctypes.byref(made)) == 0
    return made


def compress(kind: int, data: bytes, *, window: int = 32768) -> bytes | None:
    """The chunk, or None where it would not become smaller."""
    out = ctypes.create_string_buffer(len(data))
    size = _library().wimlib_compress(
        data, len(data), out, len(data) - 1, _compressor(kind, window)
    )
    return out.raw[:size] if size else None


def decompress(kind: int, data: bytes, size: int, *, window: int = 32768) -> bytes | None:
    """What the chunk stands for, or None where libwim refuses it."""
    out = ctypes.create_string_buffer(size)
    failed = _library().wimlib_decompress(data, len(data), out, size, _decompressor(kind, window))
    return None if failed else out.raw
