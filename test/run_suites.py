# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs every test suite of the project and adds up the results.

Each suite is one function that returns a Result. A suite whose program
crashes before it reports counts as one failed test, never as none.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
OUTPUT = BUILD / "test" / "results"
START = float(os.environ.get("ATTN_START", time.time()))
MAX_NOTES = 30
LLVM_BIN = "/usr/lib/llvm-22/bin"


@dataclass
class Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.notes += other.notes


def say(text):
    print(f"[{time.time() - START:4.0f} s] {text}", flush=True)


def environment(**extra):
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join(
        [str(BUILD / "venv" / "bin"), str(BUILD / "bin"), LLVM_BIN, env["PATH"]]
    )
    env["PYTHONPATH"] = str(ROOT / "python")
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["ATTN_BUILD_DIR"] = str(BUILD)
    # No test may ask a model hub for anything.
    env["HF_HUB_OFFLINE"] = "1"
    env.update(extra)
    return env


def run(command, log, **extra_env):
    """Runs a command with its output in a log file; returns (code, text)."""
    log = OUTPUT / log
    with open(log, "wb") as out:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment(**extra_env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return done.returncode, log.read_text(errors="replace")


def read_junit(path):
    """Counts a JUnit file; None if there is none or it is unreadable."""
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return None
    result = Result()
    for case in cases:
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        failures = [c for c in case if c.tag in ("failure", "error")]
        if failures:
            result.failed += 1
            text = (failures[0].text or failures[0].get("message") or "").strip()
            result.notes.append(f"FAILED {name}\n{tail(text, 25)}")
        elif any(c.tag == "skipped" for c in case):
            result.skipped += 1
        else:
            result.passed += 1
    return result


def tail(text, lines):
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def crashed(what, code, text):
    return Result(failed=1, notes=[f"FAILED {what}: exit code {code}\n{tail(text, 25)}"])


def suite_source(args):
    """Rules about the text of the sources: layers, format, length, licence."""
    result = Result()
    for script in sorted((ROOT / ".ci").glob("*.py")):
        code, text = run([sys.executable, script], f"{script.stem}.log")
        if code == 0:
            result.passed += 1
        else:
            result.add(crashed(f".ci/{script.name}", code, text))
    return result


def run_lit(name, args, paths, **extra_env):
    report = OUTPUT / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [BUILD / "venv" / "bin" / "lit", "-v", "-j", args.jobs]
    command += [f"--xunit-xml-output={report}", *paths]
    code, text = run(command, f"{name}.log", **extra_env)
    result = read_junit(report)
    if result is None or (code != 0 and result.failed == 0):
        return crashed(name, code, text)
    return result


def suite_lit(args):
    return run_lit("lit", args, [BUILD / "test"])


def suite_roundtrip(args):
    """The dialect's tests once more, each module printed and parsed again."""
    if not (ROOT / "test" / "Dialect").is_dir():
        return Result()
    return run_lit("roundtrip", args, [BUILD / "test" / "Dialect"], ATTN_TEST_ROUNDTRIP="1")


def suite_unit(args):
    result = Result()
    for program in sorted((BUILD / "test" / "unit").glob("*")):
        if not (program.is_file() and os.access(program, os.X_OK)):
            continue
        report = OUTPUT / f"{program.name}.json"
        report.unlink(missing_ok=True)
        code, text = run([program, f"--gtest_output=json:{report}"], f"{program.name}.log")
        try:
            data = json.loads(report.read_text())
        except (OSError, ValueError):
            result.add(crashed(program.name, code, text))
            continue
        failed = data["failures"] + data["errors"]
        skipped = sum(
            case.get("result") == "SKIPPED"
            for group in data["testsuites"]
            for case in group["testsuite"]
        )
        result.passed += data["tests"] - failed - skipped - data["disabled"]
        result.skipped += skipped + data["disabled"]
        if failed or code:
            result.add(crashed(program.name, code, text))
            result.failed += max(failed - 1, 0)
    return result


def run_pytest(name, args, paths, ignore=(), more=()):
    report = OUTPUT / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider"]
    # Modules of the same name may stand in several folders.
    command += ["--import-mode=importlib"]
    command += [f"--junitxml={report}", *[f"--ignore={path}" for path in ignore], *more]
    command += paths
    code, text = run(command, f"{name}.log")
    if code == 5:  # no test was collected
        return Result()
    result = read_junit(report)
    if result is None or (code != 0 and result.failed == 0):
        return crashed(name, code, text)
    reasons = [line for line in text.splitlines() if line.startswith("SKIPPED")]
    result.notes += [f"  {line}" for line in reasons]
    return result


def suite_python(args):
    ignored = [ROOT / "test" / name for name in ("Models", "Mechanisms", "Integration/gpu")]
    return run_pytest("python", args, [ROOT / "test"], ignore=ignored)


def suite_mechanisms(args):
    # attn.testing.replay repeats what it calls on other targets.
    record = ["-p", "attn.testing.record", f"--record-calls={BUILD / 'test' / 'calls'}"]
    return run_pytest("mechanisms", args, [ROOT / "test" / "Mechanisms"], more=record)


def suite_gpu(args):
    folder = ROOT / "test" / "Integration" / "gpu"
    return run_pytest("gpu", args, [folder]) if folder.is_dir() else Result()


def suite_models(args):
    models = ROOT / "test" / "Models"
    if args.fast or not models.is_dir():
        return Result()
    return run_pytest("models", args, [models])


SUITES = {
    "source": suite_source,
    "lit": suite_lit,
    "roundtrip": suite_roundtrip,
    "unit": suite_unit,
    "python": suite_python,
    "mechanisms": suite_mechanisms,
    "gpu": suite_gpu,
    "models": suite_models,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--only", help="comma-separated names of suites")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        parser.error(f"unknown suite '{unknown[0]}'; expected some of {', '.join(SUITES)}")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    total = Result()
    for name in names:
        say(f"suite '{name}' ...")
        result = SUITES[name](args)
        say(
            f"suite '{name}': {result.passed} passed, {result.failed} failed, "
            f"{result.skipped} skipped"
        )
        for note in result.notes[:MAX_NOTES]:
            print(note, flush=True)
        if len(result.notes) > MAX_NOTES:
            print(f"  ... and {len(result.notes) - MAX_NOTES} more, in the log", flush=True)
        total.add(result)
    print(f"logs are in {OUTPUT.relative_to(ROOT)}")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
