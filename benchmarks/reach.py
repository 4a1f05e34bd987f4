"""Reach: how large a world can be explored to its end, and what that takes.

    python benchmarks/reach.py                             # every row, two minutes each at most
    python benchmarks/reach.py --for 30 'reg(2)' late-pin  # some rows
    python benchmarks/reach.py --workers 2
    python benchmarks/reach.py --python ../before/.venv/bin/python ...  # the same rows in another checkout

A row is explored by each method in a process of its own, so the bytes are those of one exploration. ``reg(k)``: k
processes each open a device and the file, map a page, register it and deregister it under P1, and one truncates the
file; ``regmin(k)``: they only open and map it. No labels, so nothing is in any order. The other rows are the shipped
scenarios whose source names a hazard, each under its own policy; ``racy`` at the end of a row: timers are racy.

What is not whole after the time allowed or in the memory allowed says so, and so it proves nothing.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from measure import print_table

from longpin.config.loader import load_scenario, parse_scenario, shipped_scenarios
from longpin.config.schema import Scenario
from longpin.runner.exploration import explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

METHODS = ("dpor", "states")

REGISTER = """
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/pmem/data", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_dereg_mr(mr)
"""

MAP = """
fd  = open("/pmem/data", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""

BUILT = {"reg(1)": (REGISTER, 1), "reg(2)": (REGISTER, 2), "reg(3)": (REGISTER, 3)}
BUILT |= {f"regmin({count})": (MAP, count) for count in (2, 3, 4)}

RACY = " racy"


def built(program: str, count: int) -> Scenario:
    """Return a world of ``count`` processes with one program, and one that truncates."""
    programs = [(f"user{number}", program) for number in range(count)] + [("truncater", 'truncate("/pmem/data", 0)\n')]
    processes = [f"[[process]]\nname = \"{name}\"\nprogram = '''\n{text}'''\n" for name, text in programs]
    head = 'name = "built"\nsource = "a benchmark"\nsummary = "it grows"\npolicy = "P1"\n'
    return parse_scenario(head + '[[file]]\npath = "/pmem/data"\nsize = "PAGE"\n' + "".join(processes), "built.toml")


def hazards() -> Iterator[str]:
    """Go through the shipped scenarios that show a hazard."""
    for name in shipped_scenarios():
        if re.search(r"\bH\d", load_scenario(name).source):
            yield name


def measure(row: str, method: str, seconds: float, memory: int, workers: int) -> dict[str, object]:
    """Explore one row in this process."""
    name, racy = row.removesuffix(RACY), row.endswith(RACY)
    scenario = built(*BUILT[name]) if name in BUILT else load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario))
    options: dict[str, Any] = {}
    if hasattr(subject, "interchangeable"):  # older trees have no such thing
        options["interchangeable"] = subject.interchangeable
    result = explore(
        subject.build,
        method=method,
        check=subject.check,
        always=subject.always,
        seconds=seconds,
        max_memory=memory,
        racy=racy,
        workers=workers if workers > 1 else None,
        **options,
    )
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    whole = result.complete or bool(result.failures)
    return {
        "count": f"{result.states:,} states" if result.states else f"{result.executions:,} executions",
        "seconds": result.seconds,
        "bytes": peak * 1024,
        "end": ("violated" if result.failures else "whole") if whole else f"open: {result.reason.value}",
    }


def main() -> None:
    """Measure every row in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", help="reg(2), late-pin, 'late-pin racy', ...; all: without")
    parser.add_argument("--for", type=float, default=120, dest="seconds", help="seconds for a row and method")
    parser.add_argument("--memory", type=int, default=4096, help="MiB for a row and method")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--method", choices=METHODS, action="append", help="both: without")
    parser.add_argument("--python", default=sys.executable, help="of the checkout to measure")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    limits = given.seconds, given.memory * 2**20, given.workers
    if given.one:
        print(json.dumps(measure(given.rows[0], given.method[0], *limits)))
        return
    rows = []
    every = [*BUILT, *(name + timers for name in hazards() for timers in ("", RACY))]
    for row in given.rows or every:
        for method in given.method or METHODS:
            command = [given.python, __file__, "--one", row, "--method", method, "--for", str(given.seconds)]
            command += ["--memory", str(given.memory), "--workers", str(given.workers)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                rows.append((f"`{row}`, {method}", f"failed: {done.stderr.strip().splitlines()[-1]}", ""))
                continue
            found = json.loads(done.stdout)
            what = f"{found['count']}, {found['seconds']:.1f} s, {found['bytes'] / 2**20:.0f} MiB, {found['end']}"
            rows.append((f"`{row}`, {method}", what, ""))
            print(rows[-1][:2], file=sys.stderr, flush=True)
    print_table(f"Reach, {given.workers} at a time", rows)


if __name__ == "__main__":
    main()
