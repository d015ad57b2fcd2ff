"""Problems as text, for logs and for errors that carry several."""

from __future__ import annotations

from appengine_contract.problems import ContractError, Problem


def test_a_problem_says_where_and_what() -> None:
    here = Problem(path="inputs.a", reason="FIELD_KIND", message="expected a text", line=3)
    assert str(here) == "inputs.a: expected a text"
    assert str(Problem(path="", reason="FIELD_KIND", message="expected a text")) == (
        "expected a text"
    )


def test_an_error_lists_every_problem() -> None:
    first = Problem(path="a", reason="A", message="one")
    second = Problem(path="", reason="B", message="two")
    error = ContractError(iter([first, second]))
    assert error.problems == (first, second)
    assert str(error) == "a: one; two"
