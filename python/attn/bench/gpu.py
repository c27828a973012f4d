# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures our kernels on a GPU: `python -m attn.bench gpu`.

Against PyTorch's scaled_dot_product_attention by FlashAttention and cuDNN,
FlexAttention on the same blocks, and a kernel in Triton, all in one run on the
same tensors. Times are medians of launches with a cold cache in between. What was
not measured is called so; nothing is extrapolated.
"""

import argparse
import ctypes
import json
import sys

from attn import Error, _device, _library
from attn.bench import gpu_cases, gpu_peers
from attn.gpu.check import find_gpu, targets
from attn.gpu.store import Store


class Timer:
    """Milliseconds of work on the current stream."""

    def __init__(self, torch, rounds, cache_bytes=256 << 20):
        self.torch, self.rounds = torch, rounds
        self.ballast = torch.empty(cache_bytes, dtype=torch.uint8, device="cuda")

    def __call__(self, run):
        torch = self.torch
        for _ in range(3):
            run()
        torch.cuda.synchronize()
        events = []
        for _ in range(self.rounds):
            self.ballast.zero_()
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run()
            end.record()
            events.append((begin, end))
        torch.cuda.synchronize()
        times = sorted(begin.elapsed_time(end) for begin, end in events)
        return times[len(times) // 2]


class OurSide:
    """A model on tensors, with all that Python can prepare done once."""

    def __init__(self, torch, model, tensors):
        stream = _device.stream_number(torch.cuda.current_stream())
        described = [_device.describe(n, x, stream) for n, x in tensors.items()]
        self.keep = (model, tensors, described)
        self.handle, self.device = model._handle, described[0][2]
        self.names = (ctypes.c_char_p * len(described))(*[n.encode() for n in tensors])
        self.inputs = (_library.Tensor * len(described))(*[x for _, x, _ in described])
        self.outputs = (_library.Tensor * len(model.outputs))()
        self.stream = stream or None
        self.options = _library.RunOptions(
            ctypes.sizeof(_library.RunOptions), self.device, 1, self.stream
        )

    def __call__(self):
        library = _library.runtime()
        if library.attn_rt_run_with(self.handle, self.names, self.inputs, len(self.inputs),
                                    self.outputs, ctypes.byref(self.options)) != 0:
            _library.raise_runtime_error()
        for output in self.outputs:
            library.attn_rt_device_tensor_free(self.device, ctypes.byref(output), self.stream)


def measure_peers(torch, case, tensors, timer, ours):
    """{peer: milliseconds or why not}, and the largest difference to the first that runs."""
    times, difference = {}, None
    for name in case.peers:
        try:
            run = getattr(gpu_peers, name)(torch, case, tensors)
            if difference is None:
                difference = gpu_peers.difference(torch, ours, run())
            times[name] = timer(run)
        except Exception as error:  # a peer's failure is a result, of any kind
            lines = str(error).strip().splitlines() or [type(error).__name__]
            times[name] = f"not measured: {lines[0][:120]}"
    return times, difference


def measure(torch, case, store, target, timer, earlier, bandwidth):
    """A row of the table."""
    row = {"name": case.name, "target": target}
    try:
        model = store.load(case.program.text, target)
        tensors = case.program.tensors(torch, "cuda")
        ours = torch.from_dlpack(
            model.run_on(tensors, stream=torch.cuda.current_stream())["o"]
        )
        row["ms"] = timer(OurSide(torch, model, tensors))
    except Error as error:
        return {**row, "skipped": str(error)}
    if case.program.flops:
        row["tflops"] = case.program.flops / row["ms"] * 1e-9
    row["peers"], row["difference"] = measure_peers(torch, case, tensors, timer, ours)
    measured = [t for t in row["peers"].values() if isinstance(t, float)]
    goals = row["goals"] = []
    if measured:
        row["ratio"] = min(measured) / row["ms"]
        if case.peer_goal:
            goals.append(("best peer", row["ratio"], case.peer_goal))
    if case.ours:
        other = earlier.get(case.ours, {}).get("ms")
        if other:
            goals.append((case.ours, other / row["ms"], case.ours_goal))
    seconds = row["ms"] * 1e-3
    if case.bandwidth_goal:
        goals.append(("bandwidth", case.program.bytes / seconds / bandwidth, case.bandwidth_goal))
    if case.memory_goal:
        share = case.program.bytes / bandwidth / seconds
        goals.append(("memory time", share, 1 / case.memory_goal))
    return row


def good(row):
    return "skipped" in row or all(value >= goal for _, value, goal in row["goals"])


def show(row):
    if "skipped" in row:
        print(f"{row['name']:28} not measured: {row['skipped']}", flush=True)
        return
    speed = f"{row['tflops']:7.0f}" if "tflops" in row else " " * 7
    line = f"{row['name']:28} {row['ms']:9.3f} {speed} "
    line += "ok  " if good(row) else "LOW "
    line += "; ".join(f"{what} {value:.2f} (goal {goal:.2f})" for what, value, goal in row["goals"])
    for name, time in row["peers"].items():
        line += f"; {name} " + (f"{time:.3f} ms" if isinstance(time, float) else time)
    print(line, flush=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m attn.bench gpu", description=__doc__)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--target", help="default: the newest that the GPU runs")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", metavar="FILE", help="write the results here as well")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a bar is missed")
    options = parser.parse_args(arguments)
    torch, reason = find_gpu()
    if torch is None:
        print(f"not measured: {reason}")
        return 2
    target = options.target or (targets(torch) or ["sm_80"])[-1]
    timer, store = Timer(torch, options.rounds), Store()
    bandwidth = gpu_peers.copy_bandwidth(torch, timer)
    info = {
        "gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda,
        "target": target, "copy_bytes_per_second": bandwidth,
    }
    print(f"{info['gpu']}, torch {info['torch']}, CUDA {info['cuda']}, {target}, "
          f"copies {bandwidth * 1e-12:.2f} TB/s")
    print(f"{'case':28} {'ms':>9} {'TFLOP/s':>7}")
    rows, earlier = [], {}
    for case in gpu_cases.CASES:
        needed = any(case.name == other.ours and options.only in other.name for other in gpu_cases.CASES)
        if options.only not in case.name and not needed:
            continue
        row = measure(torch, case, store, target, timer, earlier, bandwidth)
        earlier[case.name] = row
        rows.append(row)
        show(row)
        torch.cuda.empty_cache()
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": info, "rows": rows}, file, indent=1)
    return 1 if options.check and not all(map(good, rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
