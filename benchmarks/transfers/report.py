"""The figures, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.transfers.crowd import Crowd
from benchmarks.transfers.processes import Cost, Sample
from benchmarks.transfers.rounds import GIB, Measured, spread
from benchmarks.transfers.turns import Turns

GOALS = {
    "download_1g/nginx_curl": 1.0,
    "download_1g/c_sendfile": 0.62,
    "upload_1g/curl_put": 0.9,
    "upload_1g/c_sendfile": 0.60,
    "download_20000x4k/cp_r": 0.8,
    "upload_20000x4k/cp_r": 0.8,
    "download_5000x64k/cp_r": 0.45,
    "upload_5000x64k/cp_r": 0.45,
}
"""What is asked of the ratios."""


@dataclass(slots=True, kw_only=True)
class Results:
    """All that was measured, and what could not be."""

    missing: Mapping[str, str]
    cases: list[Measured] = field(default_factory=list)
    crowds: list[Crowd] = field(default_factory=list)
    turns: list[Turns] = field(default_factory=list)


def ratios(found: Sequence[Measured]) -> dict[str, list[float]]:
    """Our speed divided by that of each other, by round."""
    return {
        f"{direction}_{measured.case.name}/{other}": measured.ratios(f"ours_{direction}", other)
        for measured in found
        for direction in ("download", "upload")
        for other in measured.samples
        if not other.startswith("ours_")
    }


def as_json(results: Results) -> str:
    """Everything."""
    found = results.cases
    answer: dict[str, Any] = {
        "ratios": {name: spread(values) for name, values in ratios(found).items()},
        "seconds": {
            f"{measured.case.name}/{name}": spread([sample.seconds for sample in samples])
            for measured in found
            for name, samples in measured.samples.items()
        },
        "cpu_seconds_per_gib": {
            f"{measured.case.name}/{name}": {
                "sender": round(measured.cpu_per_gib(name, _sender), 3),
                "receiver": round(measured.cpu_per_gib(name, _receiver), 3),
            }
            for measured in found
            for name in measured.samples
        },
        "peak_mib": {
            f"{measured.case.name}/{name}": {
                "sender": round(measured.peak_mib(name, _sender)),
                "receiver": round(measured.peak_mib(name, _receiver)),
            }
            for measured in found
            for name in measured.samples
        },
        "crowds": [asdict(crowd) | {"to_nginx": crowd.to_nginx} for crowd in results.crowds],
        "turns": [asdict(turns) | {"ratio": turns.ratio} for turns in results.turns],
        "not_run": dict(results.missing),
    }
    return json.dumps(answer, indent=2)


def as_table(results: Results) -> str:
    """Speeds of everybody, and then the ratios with what is asked of them."""
    found = results.cases
    lines = []
    for measured in found:
        lines += _speeds(measured)
    if found:
        head = f"{'median':>8}{'min':>8}{'max':>8}{'asked':>8}"
        lines.append(f"\n{'ours, times as fast as':<34}{head}")
    for name, values in sorted(ratios(found).items()):
        facts = spread(values)
        goal = f"{GOALS[name]:.2f}" if name in GOALS else ""
        lines.append(
            f"{name:<34}{facts['median']:>8.2f}{facts['min']:>8.2f}{facts['max']:>8.2f}{goal:>8}"
        )
    for crowd in results.crowds:
        lines += _crowd(crowd)
    for turns in results.turns:
        lines.append(f"\n{turns.name:<36}{turns.ratio:>6.2f}{f'at most {turns.asked}':>24}")
        if turns.syncs_per_gib is not None:
            lines.append(f"{'syncs per GiB':<36}{turns.syncs_per_gib:>6.0f}{'at most 40':>24}")
    lines += [f"not run: {name}, for {why}" for name, why in results.missing.items()]
    return "\n".join(lines)


def _crowd(crowd: Crowd) -> list[str]:
    nginx = "-" if crowd.to_nginx is None else f"{crowd.to_nginx:.2f}"
    return [
        f"\n16 {crowd.direction}s at once",
        f"{'together, GiB/s':<34}{crowd.gib_per_second:>8.2f}",
        f"{'together, times as fast as nginx':<34}{nginx:>8}{'0.50':>24}",
        f"{'slowest to fastest':<34}{crowd.slowest_to_fastest:>8.2f}{'0.50':>24}",
        f"{'peak of the server, MiB':<34}{crowd.server_peak_mib:>8.0f}{'400':>24}",
        f"{'GetRun meanwhile, p99, ms':<34}{crowd.unary_p99_ms:>8.0f}{'100':>24}",
    ]


def _speeds(measured: Measured) -> list[str]:
    case = measured.case
    unit = "files/s" if case.is_tree else "GiB/s"
    lines = [
        f"\n{case.name:<18}{unit:>10}{'min':>10}{'max':>10}"
        f"{'CPU s/GiB sender, receiver':>30}{'peak MiB':>14}"
    ]
    for name, samples in measured.samples.items():
        speeds = spread([_speed(measured, sample) for sample in samples])
        digits = 0 if case.is_tree else 2
        cpu = [measured.cpu_per_gib(name, end) for end in (_sender, _receiver)]
        peak = [measured.peak_mib(name, end) for end in (_sender, _receiver)]
        lines.append(
            f"{name:<18}{speeds['median']:>10.{digits}f}{speeds['min']:>10.{digits}f}"
            f"{speeds['max']:>10.{digits}f}{cpu[0]:>21.2f}{cpu[1]:>9.2f}{peak[0]:>8.0f}{peak[1]:>6.0f}"
        )
    return lines


def _speed(measured: Measured, sample: Sample) -> float:
    case = measured.case
    return (case.files if case.is_tree else case.total_bytes / GIB) / sample.seconds


def _sender(sample: Sample) -> Cost:
    return sample.sender


def _receiver(sample: Sample) -> Cost:
    return sample.receiver
