"""Claims about the progress bar."""

import io

from exemplar.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_tells_how_far_it_is():
    terminal = Terminal()
    bar = ProgressBar("adding", 8, True, terminal)
    bar.advance(6)
    bar.close()
    assert "adding [##################------] 6/8, 0:00 left" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_an_unknown_total_is_counted_only():
    terminal = Terminal()
    ProgressBar("embedding", 0, True, terminal).advance(3)
    assert "embedding 3" in terminal.getvalue()
    assert "[#" not in terminal.getvalue()


def test_nothing_is_drawn_where_there_is_no_terminal():
    stream = io.StringIO()
    ProgressBar("adding", 8, True, stream).advance(1)
    assert stream.getvalue() == ""


def test_nothing_is_drawn_unasked():
    terminal = Terminal()
    ProgressBar("adding", 8, False, terminal).advance(1)
    assert terminal.getvalue() == ""
