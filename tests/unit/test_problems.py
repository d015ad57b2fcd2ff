"""Problems quote what users and tasks wrote, whatever it is; databases and messages hold less."""

from __future__ import annotations

import json

from appengine_contract.problems import Problem
from appengine_server.problems_json import problem_json
from appengine_server.rpc import build


def test_a_stored_problem_has_neither_nul_nor_half_a_surrogate_pair() -> None:
    stored = problem_json(Problem(path="a\0b", reason="PATH_NUL", message="name \udcff\0 is bad"))
    text = json.dumps(stored)
    assert "\\u0000" not in text
    assert "\\udc" not in text


def test_many_problems_fit_into_one_answer() -> None:
    found = [
        Problem(path=f"input{n}", reason="VALUE_MISSING", message="x" * 100) for n in range(50_000)
    ]
    answered = build.problems(found)
    assert sum(problem.ByteSize() for problem in answered) < 3 << 20
    left_out = len(found) - (len(answered) - 1)
    assert answered[-1].reason == "MORE_PROBLEMS"
    assert answered[-1].message.startswith(f"and {left_out} more")


def test_a_problem_with_an_endless_name_is_shortened() -> None:
    [answered] = build.problems(
        [Problem(path="x" * 3_000_000, reason="PARAMETER_UNKNOWN", message="y\udcff" * 1_000_000)]
    )
    assert answered.path.startswith("xxx")
    assert answered.message.startswith("y?y?")
    assert answered.ByteSize() < 20_000
