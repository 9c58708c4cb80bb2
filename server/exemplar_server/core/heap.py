"""Gives freed memory back to the system: glibc keeps it, and the process would stay as large."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Does nothing where the C library is not glibc. May take milliseconds a gigabyte."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
