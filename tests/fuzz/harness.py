"""Runs many cases in child processes with a limit on time and memory, so that a crash or a hang is a finding too."""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any

from handful.errors import HandfulError

NUM_CASES = int(os.environ.get("HANDFUL_FUZZ_CASES", "25"))
"""Cases of each kind: a few in ``make test``, and a thousand in ``make fuzz``."""

SECONDS = 10
"""Longest time for one case."""

MEGABYTES = 1000
"""Most memory that a case may add to the process."""

HOSTILE = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        7,
        10**9,
        10**30,
        -(10**18),
        0.5,
        -0.5,
        1e308,
        1e-300,
        float("nan"),
        float("inf"),
    ),
    *("", "abc", "0", "\x1b[31mred", "../../etc/passwd", "/dev/zero", "\x00", "x" * 10_000, "\udcff"),
    *([], {}, [1] * 1000, [[]], {"a": {"b": {}}}, [None], ["a"]),
)
"""What an entry is replaced by."""


def findings(case: Callable[[random.Random], None], *, num_cases: int = NUM_CASES, seed: int = 0) -> list[str]:
    """What went wrong in any of the cases, each drawn from a generator of its own.

    A case passes if it returns, or raises a `HandfulError` of one line without control characters. It fails by raising
    anything else, by ending its process, by taking too long, or by taking too much memory.
    """
    found: list[str] = []
    number = 0
    while number < num_cases:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            _work(case, range(number, num_cases), seed, writer)
        os.close(writer)
        number, finding = _watch(child, reader, number)
        found += finding
        os.close(reader)
        os.waitpid(child, 0)
    return found


def check(case: Callable[[random.Random], None], *, num_cases: int = NUM_CASES) -> None:
    """Fail with all findings, if there are any."""
    found = findings(case, num_cases=num_cases)
    assert not found, f"{len(found)} of {num_cases} cases:\n\n" + "\n".join(found[:5])


def _watch(child: int, reader: int, number: int) -> tuple[int, list[str]]:
    """Follow a child until it ends or hangs; the number of the next case, and what was found."""
    found, rest = [], b""
    while True:
        ready, _, _ = select.select([reader], [], [], SECONDS + 20)
        if not ready:
            os.kill(child, signal.SIGKILL)
            return number + 1, [*found, f"case {number}: took longer than {SECONDS} s"]
        part = os.read(reader, 65536)
        if not part:
            break
        *lines, rest = (rest + part).split(b"\0")
        for line in lines:
            if line == b"end":
                return 10**9, found
            number += 1
            if line:
                found.append(f"case {number - 1}: {line.decode(errors='replace')}")
    return number + 1, [*found, f"case {number}: the process ended"]


def _work(case: Callable[[random.Random], None], numbers: range, seed: int, writer: int) -> None:
    signal.signal(signal.SIGALRM, _take_too_long)
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in numbers:
            signal.alarm(SECONDS)
            finding = _finding(case, random.Random(f"{seed}/{number}"))
            signal.alarm(0)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if not finding and peak - before > MEGABYTES * 1024:
                finding = f"took {(peak - before) // 1024} MB"
            before = max(before, peak)
            os.write(writer, finding.replace("\0", "").encode(errors="replace")[:4000] + b"\0")
        os.write(writer, b"end\0")
    finally:
        os._exit(0)


def _take_too_long(*_: object) -> None:
    raise TimeoutError(f"took longer than {SECONDS} s")


def _finding(case: Callable[[random.Random], None], rng: random.Random) -> str:
    try:
        case(rng)
    except HandfulError as error:
        text = str(error)
        return "" if text.replace("\n", "").isprintable() and len(text) < 5000 else f"says {text!r:.500}"
    except BaseException:
        return traceback.format_exc()
    return ""


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Some bits flipped, or bytes cut off, doubled or overwritten."""
    broken = bytearray(content)
    kind = rng.randrange(5)
    if kind <= 1:
        for _ in range(1 if kind == 0 else rng.randint(2, 100)):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del broken[rng.randrange(len(broken)) :]
    else:
        begin = rng.randrange(len(broken) if kind == 3 else min(len(broken), 4096))
        broken[begin : begin + rng.randint(1, 64)] = rng.randbytes(rng.randint(0, 64))
    return bytes(broken)


def changed(tree: Any, rng: random.Random) -> Any:
    """A tree of JSON values in which some entries are replaced, taken out or added."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        tree = _changed_once(tree, rng)
    return tree


def _changed_once(node: Any, rng: random.Random) -> Any:
    if isinstance(node, dict) and node and rng.random() < 0.9:
        name = rng.choice(list(node))
        rest = {key: value for key, value in node.items() if key != name}
        match rng.randrange(12):
            case 0:
                return rest
            case 1:
                return {**node, rng.choice(("x", "\x1b[0m", "__proto__", "a" * 300)): rng.choice(HOSTILE)}
        return {**node, name: _changed_once(node[name], rng)}
    if isinstance(node, list) and node and rng.random() < 0.8:
        index = rng.randrange(len(node))
        return [*node[:index], _changed_once(node[index], rng), *node[index + 1 :]]
    if rng.random() < 0.02:
        deep: Any = 1
        for _ in range(500):
            deep = [deep]
        return deep
    return rng.choice(HOSTILE)
