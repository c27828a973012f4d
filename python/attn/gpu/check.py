# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs every program on a GPU and compares: `python -m attn.gpu.check`.

Attention of many kinds is compared with PyTorch in float32 on the same GPU, the
mechanisms with the results that the bundle holds, which the processor computed
by definition.
"""

import argparse
import json
import sys

import numpy as np

import attn
from attn.gpu import programs
from attn.gpu.store import Store


def find_gpu():
    """(torch, None) or (None, why there is no GPU to use)."""
    try:
        import torch
    except ImportError:
        return None, "PyTorch is not installed"
    if not torch.cuda.is_available():
        return None, "PyTorch finds no GPU"
    return torch, None


def targets(torch):
    """Targets whose code runs on this GPU, the fastest last."""
    capability = torch.cuda.get_device_capability()
    return ["sm_80"] * (capability >= (8, 0)) + ["sm_90a"] * (capability == (9, 0))


def check_program(torch, store, program, target):
    """What is wrong with a program's results, or None, and its largest difference."""
    model = store.load(program.text, target)
    inputs = program.tensors(torch, "cuda")
    stream = torch.cuda.current_stream()
    result = torch.from_dlpack(model.run_on(inputs, stream=stream)["o"]).float()
    again = torch.from_dlpack(model.run_on(inputs, stream=stream)["o"]).float()
    torch.backends.cuda.matmul.allow_tf32 = False
    wanted = program.reference(torch, inputs)
    difference = (result - wanted).abs().max().item()
    allowed = program.allowed(wanted.abs().max())
    if not difference <= allowed:
        return f"differs by {difference:.3g}, more than {allowed:.3g}", difference
    if not torch.equal(result, again):
        return "two runs differ", difference
    return None, difference


def check_call(store, folder, call):
    """Same for a recorded call of a mechanism."""
    if "error" in call:
        return f"not compiled: {call['error']}", None
    data = np.load(folder / call["data"])
    model = attn.load(folder / call["file"])
    inputs = {n[3:]: data[n] for n in data.files if n.startswith("in:")}
    results = model.run_on(inputs)
    worst = 0.0
    for name, result in results.items():
        wanted = data[f"out:{name}"].astype(np.float64)
        result = np.asarray(result).astype(np.float64)
        if result.shape != wanted.shape:
            return f"{name} has shape {result.shape}, not {wanted.shape}", np.inf
        finite = np.isfinite(wanted)
        if (np.isfinite(result) != finite).any():
            return f"{name} is finite in other places", np.inf
        scale = max(1.0, np.abs(wanted[finite]).max(initial=0.0))
        difference = np.abs(result - wanted)[finite].max(initial=0.0) / scale
        worst = max(worst, difference)
        if difference > call["tolerance"]:
            return f"{name} differs by {difference:.3g}, more than {call['tolerance']}", worst
    return None, worst


class Report:
    """One line for each check, and the counts at the end."""

    def __init__(self):
        self.rows = []

    def add(self, name, target, run):
        try:
            problem, difference = run()
        except attn.Error as error:
            problem, difference = str(error), None
        self.rows.append({"name": name, "target": target, "problem": problem, "difference": difference})
        size = "" if difference is None else f" {difference:.2g}"
        print(f"{'FAILED' if problem else 'ok':6} {target:7} {name}{size}{': ' + problem if problem else ''}",
              flush=True)

    @property
    def failed(self):
        return sum(row["problem"] is not None for row in self.rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m attn.gpu.check", description=__doc__)
    parser.add_argument("--only", default="", help="part of a check's name")
    parser.add_argument("--target", help="only this target")
    parser.add_argument("--json", metavar="FILE", help="write the results here as well")
    options = parser.parse_args(arguments)
    torch, reason = find_gpu()
    if torch is None:
        print(f"not checked: {reason}")
        return 2
    store, report = Store(), Report()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    wanted = [t for t in targets(torch) if options.target in (None, t)]
    for target in wanted:
        for program in programs.check_programs():
            if options.only in program.name:
                report.add(program.name, target,
                           lambda p=program, t=target: check_program(torch, store, p, t))
    for call in store.manifest.get("calls", []):
        if call["target"] in wanted and options.only in call["name"]:
            report.add(call["name"], call["target"],
                       lambda c=call: check_call(store, store.folder, c))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report.rows, file, indent=1)
    print(f"{len(report.rows) - report.failed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
