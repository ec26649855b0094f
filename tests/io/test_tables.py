"""Tables as text."""

from __future__ import annotations

import csv
import io

import pytest

from camviz.io.tables import csv_text


def test_cells_are_quoted_where_they_must_be():
    assert csv_text(["a", "b"], [[1.5, None], ['x "y", z', "two\nlines"]]) == 'a,b\n1.5,\n"x ""y"", z","two\nlines"\n'


def test_a_table_without_rows_has_its_header():
    assert csv_text(["a"], []) == "a\n"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(1)", "\t=1", '=HYPERLINK("http://x")'])
def test_a_spreadsheet_computes_no_cell(text):
    lines = list(csv.reader(io.StringIO(csv_text([text], [[text]]), newline="")))
    assert lines == [[f"'{text}"], [f"'{text}"]]


def test_a_carriage_return_begins_no_row():
    assert csv_text(["a"], [["x\r=1"], ["\r=1"]]) == "a\nx\\x0d=1\n'\\x0d=1\n"


def test_numbers_stay_numbers():
    assert csv_text(["a"], [[-1.5], ["-1.5"], [-3], ["+2e3"], ["-"]]) == "a\n-1.5\n-1.5\n-3\n+2e3\n'-\n"
