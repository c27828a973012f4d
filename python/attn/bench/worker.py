# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One side of one case in a process of its own.

Reads lines: `run SECONDS` measures calls for about that long and answers with
their times; `save FILE` stores the outputs; the end of the input ends it.
"""

import json
import sys
import time

import numpy as np

from attn.bench import cases, sides


def measure(call, seconds):
    times = []
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        times.append(now - start)
        if now >= end:
            return times


def answer(value):
    print(json.dumps(value), flush=True)


def main():
    side, index, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    case = cases.CASES[index]
    try:
        call, settings = sides.SIDES[side](case, threads)
        outputs = call()
    except Exception as error:  # reported by the other process
        answer({"error": f"{type(error).__name__}: {error}"})
        return 1
    measure(call, 0.2)
    answer({"settings": settings})
    for line in sys.stdin:
        verb, argument = line.split(maxsplit=1)
        if verb == "run":
            answer(measure(call, float(argument)))
        elif verb == "save":
            flat = {name: sides.as_float(value) for name, value in outputs.items()}
            if side == "attn" and case.kind == "attention" and case.heads_first:
                flat = {name: sides.heads_first(value) for name, value in flat.items()}
            np.savez(argument.strip(), **flat)
            answer("saved")
    return 0


if __name__ == "__main__":
    sys.exit(main())
