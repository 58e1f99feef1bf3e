"""What guard costs: CPU a delta and latency beside nginx, alternating, every answer checked byte for byte.

Run ``python -m tests.bench.run [--rounds 5] [--quick] [--json] [--targets a,b] [--scenarios a,b] [--no-resume]``, which
is what ``make bench`` does. Starts the mock upstream, nginx (Debian's nginx-light; without it ratios are to the mock's
own CPU) and `guard serve` with the policies `default`, `observe` and `off`, each one process on a free port. A round
visits every target in every scenario; the order of targets rotates from round to round, so that what else the machine
does hits all of them. CPU is utime+stime of the target's process tree; a ratio is that of one round, and the table has
its median and range over the rounds. Absolute figures are those of this machine at this hour.

The exit code is 1 if an answer was wrong, resuming costs too much or a leaving client's upstream is not let go in time;
the cost beside nginx is a figure to lower.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from tests.bench.load import Plan, arguments

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

GOAL = 4.0
"""CPU a delta of guard with policy `default`, in times of nginx, scenario `paced64`: where it should get to."""

MUST_RESUME = 1 / 8
"""CPU of a local model's resume, in times of reading everything again."""

GUARDS = {"guard": "default", "guard-observe": "observe", "guard-off": "off"}
"""Target -> policy."""

TARGETS = ("direct", "nginx", *GUARDS)

SCENARIOS = {
    # The realistic case: 64 streams, a delta each 10 ms, each in a write of its own.
    "paced64": Plan(concurrency=64, streams=128, delay=10, stamp=True, reasoning=True),
    "paced64-content": Plan(concurrency=64, streams=64, delay=10, stamp=True),
    # Many deltas a read: the whole answer in one write.
    "burst16": Plan(streams=640, reasoning=True),
    # The price of a request.
    "short16": Plan(streams=1280, chunks=1, reasoning=True),
}
PER_STREAM = frozenset({"short16"})
"""Scenarios whose CPU is counted for a stream, not for a delta."""

Rounds: TypeAlias = dict[str, dict[str, list[dict[str, Any]]]]
"""Scenario -> target -> one report a round."""


# Targets


@dataclass(frozen=True, slots=True)
class Target:
    """A running server."""

    name: str
    url: str
    pid: int


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def nginx_binary() -> str | None:
    """Where nginx is, or None."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def serving(name: str, command: Sequence[str], port: int, folder: Path) -> Iterator[Target]:
    """A server process, from when it listens to the end of the block. Raises RuntimeError if it does not start."""
    log = folder / f"{name}.log"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            _until_listening(process, port, log)
            yield Target(name, f"http://127.0.0.1:{port}/v1/chat/completions", process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{log.stem} did not start: {log.read_text(errors='replace')[-2000:]}")


def mock(folder: Path) -> contextlib.AbstractContextManager[Target]:
    """The upstream."""
    port = free_port()
    return serving("direct", [sys.executable, "-m", "tests.bench.mock_upstream", "--port", str(port)], port, folder)


def nginx(folder: Path, upstream: int) -> contextlib.AbstractContextManager[Target]:
    """nginx before the upstream."""
    binary, port = nginx_binary(), free_port()
    assert binary is not None
    (folder / "logs").mkdir()
    folder.chmod(0o755)  # its worker is another user where it starts as root
    text = (HERE / "nginx.conf").read_text()
    text = text.replace("127.0.0.1:9000", f"127.0.0.1:{upstream}").replace("127.0.0.1:9101", f"127.0.0.1:{port}")
    (folder / "nginx.conf").write_text(text)
    return serving("nginx", [binary, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"], port, folder)


def guard(folder: Path, upstream: int, name: str = "guard") -> contextlib.AbstractContextManager[Target]:
    """`guard serve` before the upstream, with the policy of that target."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("guard")), "serve", "--port", str(port), "--model", "mock-model"]
    command += ["--upstream", f"http://127.0.0.1:{upstream}/v1", "--policy", GUARDS[name]]
    return serving(name, [*command, "--store", f"sqlite:///{folder}/{name}.db"], port, folder)


@contextlib.contextmanager
def running(names: Sequence[str]) -> Iterator[list[Target]]:
    """The targets of these names, in order."""
    with tempfile.TemporaryDirectory(prefix="guard-bench-") as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        upstream = stack.enter_context(mock(folder))
        port = int(upstream.url.split(":")[2].split("/")[0])
        targets: list[Target] = []
        for name in names:
            if name == "direct":
                targets.append(upstream)
            elif name == "nginx":
                targets.append(stack.enter_context(nginx(folder, port)))
            else:
                targets.append(stack.enter_context(guard(folder, port, name)))
        yield targets


# Measuring


async def measure(plan: Plan, target: Target) -> dict[str, Any]:
    """One run of the client, in a process of its own."""
    plan = replace(plan, url=target.url, pid=target.pid)
    command = [sys.executable, "-m", "tests.bench.load", *arguments(plan)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the client failed: {' '.join(command)}")
    report: dict[str, Any] = json.loads(out)
    return report


async def alternate(targets: Sequence[Target], scenarios: Mapping[str, Plan], rounds: int) -> Rounds:
    """All rounds, after one short run of each target that warms it up."""
    out: Rounds = {name: {target.name: [] for target in targets} for name in scenarios}
    for target in targets:
        for plan in scenarios.values():
            await measure(replace(plan, streams=plan.concurrency, chunks=min(plan.chunks, 32)), target)
    for number in range(rounds):
        turn = number % len(targets)
        for name, plan in scenarios.items():
            for target in (*targets[turn:], *targets[:turn]):
                out[name][target.name].append(await measure(plan, target))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return out


# Figures


def cost(scenario: str, report: Mapping[str, Any]) -> float:
    """CPU microseconds of one run, for a delta or a stream; NaN if nothing came."""
    value = report["cpu_us_per_stream" if scenario in PER_STREAM else "cpu_us_per_chunk"]
    return float("nan") if value is None else float(value)


def summary(scenario: str, runs: Mapping[str, Sequence[Mapping[str, Any]]], reference: str) -> dict[str, Any]:
    """The figures of one scenario, by target."""
    out: dict[str, Any] = {}
    for target, reports in runs.items():
        costs = [cost(scenario, report) for report in reports]
        base = [cost(scenario, report) for report in runs.get(reference, reports)]
        ratios = [one / other if other else float("nan") for one, other in zip(costs, base, strict=True)]
        out[target] = {
            "cpu_us": _spread(costs),
            "ratio": _spread(ratios) if reference in runs else None,
            "failed": sum(report["failed"] for report in reports),
            "ok": sum(report["ok"] for report in reports),
            "identical": sum(report["identical"] for report in reports),
            "errors": {why: n for report in reports for why, n in report["errors"].items()},
        }
        for name in ("latency_p50_ms", "latency_p99_ms", "ttft_p50_ms", "ttft_p99_ms"):
            out[target][name] = _median([report[name] for report in reports])
        for name in ("chunks_per_s", "streams_per_s", "cpu_util", "rss_mib"):
            out[target][name] = _median([report[name] for report in reports])
    return out


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def resume(rounds: int) -> dict[str, Any] | None:
    """The benchmark of resuming a local model, where torch is installed."""
    try:
        module = importlib.import_module("tests.bench.resume")
    except ImportError as error:
        print(f"resume: not measured ({error})", file=sys.stderr)
        return None
    report: dict[str, Any] = module.measure(rounds=rounds)
    return report


# What is printed


def table(scenario: str, figures: Mapping[str, Any], reference: str) -> str:
    """A scenario's figures as Markdown."""
    unit = "stream" if scenario in PER_STREAM else "delta"
    head = ["target", f"CPU us/{unit} (min-max)", f"x {reference} (min-max)", "delta latency p50/p99 ms"]
    head += ["TTFT p50/p99 ms", "deltas/s", "CPU util", "RSS MiB", "failed", "byte-identical"]
    lines = [f"**{scenario}**", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for target, row in figures.items():
        cells = [
            target,
            _range(row["cpu_us"], 1 if row["cpu_us"]["median"] >= 10 else 2),
            _range(row["ratio"], 2),
            _pair(row, "latency"),
            _pair(row, "ttft"),
            f"{row['chunks_per_s']:.0f}",
            f"{row['cpu_util']:.2f}",
            f"{row['rss_mib']:.0f}",
            f"{row['failed']} of {row['failed'] + row['ok']}",
            f"{row['identical'] / max(1, row['ok']):.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(spread: Mapping[str, float] | None, digits: int) -> str:
    if spread is None:
        return "-"
    return f"{spread['median']:.{digits}f} ({spread['min']:.{digits}f}-{spread['max']:.{digits}f})"


def _pair(row: Mapping[str, Any], name: str) -> str:
    middle, high = row[f"{name}_p50_ms"], row[f"{name}_p99_ms"]
    return "-" if middle is None else f"{middle:.2f}/{high:.2f}"


def judgement(figures: Mapping[str, Any], reference: str) -> tuple[list[str], bool]:
    """What is to be said of the targets, and whether all that must hold does."""
    lines, good = [], True
    for scenario, rows in figures.items():
        for target, row in rows.items():
            if row["failed"] or not row["ok"]:
                good = False
                lines.append(f"FAIL {scenario} {target}: wrong answers: {row['errors']!r}")
    row = figures.get("paced64", {}).get("guard")
    if reference == "nginx" and row is not None and row["ratio"] is not None:
        ratio = row["ratio"]["median"]
        verdict = "missed" if ratio > GOAL else "met"
        lines.append(f"paced64 guard: {ratio:.2f} x nginx (goal {verdict}: <= {GOAL:g})")
    return lines, good


def said_of_resume(report: Mapping[str, Any]) -> str:
    """One line about resuming; it says so if the ratio is beyond what it must be."""
    ratio = report["ratio"]
    verdict = "ok" if ratio <= MUST_RESUME else "FAIL"
    return f"resume: {ratio:.3f} x reading {report['tokens']} tokens again ({verdict}, must be <= {MUST_RESUME:g})"


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round: does it work? (no verdict on the cost)")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON document")
    parser.add_argument("--targets", default=",".join(TARGETS), help="some of: %(default)s")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="some of: %(default)s")
    parser.add_argument("--no-resume", action="store_true", help="leave the benchmark of resuming out")
    args = parser.parse_args(argv)
    args.targets, args.scenarios = args.targets.split(","), args.scenarios.split(",")
    if unknown := {*args.targets} - {*TARGETS} | {*args.scenarios} - {*SCENARIOS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parsed(argv)
    reference, names, scenarios = "nginx", args.targets, {name: SCENARIOS[name] for name in args.scenarios}
    if nginx_binary() is None:
        print("NO NGINX (apt-get install nginx-light): RATIOS ARE TO THE MOCK'S OWN CPU, NO VERDICT", file=sys.stderr)
        reference, names = "direct", [name for name in names if name != "nginx"]
    if args.quick:
        args.rounds = 1
        scenarios = {name: replace(plan, streams=plan.concurrency) for name, plan in scenarios.items()}
    with running(names) as targets:
        rounds = asyncio.run(alternate(targets, scenarios, args.rounds))
    figures = {name: summary(name, runs, reference) for name, runs in rounds.items()}
    lines, good = judgement(figures, "" if args.quick else reference)
    resumed = None if args.no_resume else resume(1 if args.quick else args.rounds)
    if resumed is not None:
        lines.append(said_of_resume(resumed))
        good = good and (args.quick or resumed["ratio"] <= MUST_RESUME)
    leaving = importlib.import_module("tests.bench.leaving")  # it imports this module
    left = leaving.measure(5 if args.quick else 50)
    line, soon = leaving.said_of_leaving(left)
    lines.append(line)
    good = good and (args.quick or soon)
    if args.json:
        print(json.dumps({"good": good, "summary": figures, "resume": resumed, "leaving": left, "rounds": rounds}))
    else:
        print("\n\n".join(table(name, rows, reference) for name, rows in figures.items()), *lines, sep="\n\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
