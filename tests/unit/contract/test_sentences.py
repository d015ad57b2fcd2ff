"""What people are told is written down in one file, where a change of it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.contract.sentences import all_sentences

_WRITTEN = Path(__file__).parent / "sentences.txt"


@pytest.mark.timeout(60)
def test_every_problem_is_told_in_the_sentence_that_is_written_down() -> None:
    assert list(all_sentences()) == _WRITTEN.read_text("utf-8").splitlines()
