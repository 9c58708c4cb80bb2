"""Runs a server's program under libfaketime: `python shifted_clock.py PROGRAM ARGUMENTS`.

libfaketime refuses a sleep that ends at a moment of the true clock (EINVAL), which time.sleep is
since Python 3.11; here it lasts for a time.
"""

from __future__ import annotations

import runpy
import select
import sys
import time


def main() -> None:
    time.sleep = lambda seconds: (select.select([], [], [], seconds), None)[1]
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
