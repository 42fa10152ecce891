"""CSV: what a spreadsheet would take for a formula is a text to it."""

import pytest

from api.web.resource import csv_table


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_looks_like_a_formula_is_made_harmless(text: str) -> None:
    table = csv_table(["eventId"], [[text], ["evt-1"]], {}).body
    assert f"'{text}".encode() in table
    assert b"\r\nevt-1\r\n" in table


def test_negative_numbers_stay_numbers() -> None:
    assert csv_table(["kw"], [[-1.5], [None]], {}).body == b"kw\r\n-1.5\r\n\r\n".replace(
        b"\r\n\r\n", b'\r\n""\r\n'
    )
