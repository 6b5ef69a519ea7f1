import pytest

from jaxrl_suite.results import markdown_table


def test_one_line_a_row_and_cells_as_text():
    text = markdown_table(["task", "return"], [["CartPole-v1", 500.0], ["a|b\nc", None]])
    assert text.splitlines() == ["| task | return |", "| --- | --- |", "| CartPole-v1 | 500.0 |", "| a\\|b c | None |"]
    assert text.endswith("|\n")


def test_a_row_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="2 columns, but a row has 1 cells"):
        markdown_table(["task", "return"], [["CartPole-v1"]])
