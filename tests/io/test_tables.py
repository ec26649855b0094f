"""Tables as text."""

from __future__ import annotations

from camviz.io.tables import csv_text


def test_cells_are_quoted_where_they_must_be():
    assert csv_text(["a", "b"], [[1.5, None], ['x "y", z', "two\nlines"]]) == 'a,b\n1.5,\n"x ""y"", z","two\nlines"\n'


def test_a_table_without_rows_has_its_header():
    assert csv_text(["a"], []) == "a\n"
