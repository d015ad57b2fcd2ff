"""What the command line says of a transfer's progress: bytes, files, rate and time left."""

from __future__ import annotations

import pytest
from appengine_client.cli.pace import Pace, told
from appengine_client.cli.words import duration
from appengine_client.transfer import Progress

MIB = 1024 * 1024


def test_the_rate_is_that_of_the_last_moments():
    pace = Pace()
    assert pace.at(0.0, 0) is None
    assert pace.at(0.1, MIB) is None  # too soon to tell
    assert pace.at(1.0, 10 * MIB) == 10 * MIB
    for second in range(2, 20):
        rate = pace.at(float(second), 10 * MIB)
    assert rate == 0  # it stands still, and what it was before is forgotten


def test_another_transfer_begins_anew():
    pace = Pace()
    pace.at(0.0, 0)
    assert pace.at(2.0, 8 * MIB) == 4 * MIB
    assert pace.at(2.5, 0) is None
    assert pace.at(3.5, MIB) == MIB


def test_everything_is_told_in_one_line():
    progress = Progress(
        done_bytes=300 * MIB, total_bytes=1024 * MIB, done_files=12, total_files=200
    )
    line = "300.0 MiB of 1.0 GiB, 12 of 200 files, 100.0 MiB/s, 7 s left"
    assert told(progress, 100.0 * MIB) == line
    assert told(progress, None) == "300.0 MiB of 1.0 GiB, 12 of 200 files"
    assert told(progress, 0.0) == "300.0 MiB of 1.0 GiB, 12 of 200 files, 0 B/s"


def test_one_file_is_not_counted_and_an_end_has_nothing_left():
    done = Progress(done_bytes=MIB, total_bytes=MIB, done_files=1, total_files=1)
    assert told(done, 5.0) == "1.0 MiB of 1.0 MiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_times_are_for_people(seconds, text):
    assert duration(seconds) == text
