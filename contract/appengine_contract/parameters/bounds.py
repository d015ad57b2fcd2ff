"""Bounds of integers and numbers."""

from __future__ import annotations

from appengine_contract.problems import Problem
from appengine_contract.yaml_tree import Fields


def violations(  # one call an item in arrays of 100,000: plain arguments, no object
    value: float,
    at: str,
    *,
    gt: float | None,
    lt: float | None,
    geq: float | None,
    leq: float | None,
) -> list[Problem]:
    """One problem for each bound that the value does not satisfy. Never given a NaN."""
    problems: list[Problem] = []
    if gt is not None and not value > gt:
        problems.append(_violation(at, "NOT_GT", f"{value!r} is not greater than {gt!r}"))
    if geq is not None and not value >= geq:
        problems.append(_violation(at, "NOT_GEQ", f"{value!r} is less than {geq!r}"))
    if lt is not None and not value < lt:
        problems.append(_violation(at, "NOT_LT", f"{value!r} is not less than {lt!r}"))
    if leq is not None and not value <= leq:
        problems.append(_violation(at, "NOT_LEQ", f"{value!r} is greater than {leq!r}"))
    return problems


def _violation(at: str, reason: str, message: str) -> Problem:
    return Problem(path=at, reason=reason, message=message)


def check_pairs(
    fields: Fields,
    *,
    gt: float | None,
    lt: float | None,
    geq: float | None,
    leq: float | None,
) -> None:
    """Warn of two bounds on one side."""
    if gt is not None and geq is not None:
        fields.warning("geq", "BOUNDS_BOTH", "`gt` and `geq` are both given; both apply")
    if lt is not None and leq is not None:
        fields.warning("leq", "BOUNDS_BOTH", "`lt` and `leq` are both given; both apply")


def contradiction(fields: Fields) -> None:
    """Report that no value satisfies the bounds."""
    given = [key for key in ("gt", "geq", "lt", "leq") if fields.take(key) is not None]
    names = " and ".join(f"`{key}`" for key in given)
    fields.error(given[-1], "FIELD_RANGE", f"{names} contradict one another: no value is allowed")
