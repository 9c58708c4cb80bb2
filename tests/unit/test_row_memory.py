"""Rows in memory: as any array, and gone when nobody has them."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from exemplar_server.core.row_memory import empty_rows

MANY = 2**26 // (4 * 512)  # 64 MiB


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("count", [0, 3, 1000, 10_000])
def test_rows_are_an_array_that_can_be_written(count):
    rows_ND = empty_rows(count, 512)
    rows_ND[:] = np.arange(count, dtype=np.float32)[:, None]
    assert (rows_ND.shape, rows_ND.dtype) == ((count, 512), np.float32)
    assert rows_ND.sum() == 512 * sum(range(count))


def test_many_rows_begin_on_a_cache_line():
    assert empty_rows(1000, 512).ctypes.data % 64 == 0


def test_many_rows_go_back_to_the_system_when_nobody_has_them():
    before = resident_bytes()
    rows_ND = empty_rows(MANY, 512)
    rows_ND[:] = 1
    view_ND = rows_ND[3:7]
    del rows_ND
    gc.collect()
    assert view_ND.sum() == 4 * 512  # a view keeps them
    assert resident_bytes() > before + 2**25
    del view_ND
    gc.collect()
    assert resident_bytes() < before + 2**25
