# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Packs what a GPU machine needs into one file: `python -m attn.gpu.bundle OUT.tar.gz`.

Compiled programs, recorded calls of the mechanisms, the lean runtime and this
package; neither LLVM nor a compiler. Needs no GPU. A program that does not compile
is noted in the bundle and shows there as a failure.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import attn
from attn import _library
from attn.bench import gpu_cases
from attn.gpu import programs
from attn.gpu.store import digest

ROOT = Path(__file__).resolve().parents[3]
MAX_BYTES = 64 << 20
TARGETS = ("sm_80", "sm_90a")
# Relative to the largest result; calls of mechanisms are in float32.
CALL_TOLERANCE = 1e-3


def compile_one(source, library, target, entry=None):
    """An entry of the manifest; one process each, so that a crash is an entry too."""
    code = (
        "import sys, attn\n"
        "try: attn.compile(sys.argv[1], sys.argv[2], target=sys.argv[3], entry=sys.argv[4] or None)\n"
        "except attn.Error as error: sys.exit(str(error))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(source), str(library), target, entry or ""],
            capture_output=True, text=True, timeout=600,
        )
    except subprocess.TimeoutExpired:
        return {"error": "the compiler took more than ten minutes"}
    if done.returncode == 0:
        return {"file": f"libraries/{library.name}"}
    lines = done.stderr.strip().splitlines() or [f"the compiler ended with code {done.returncode}"]
    return {"error": lines[-1]}


def record_calls(folder):
    """Runs the tests of mechanisms on the processor and keeps small calls."""
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib",
         "-p", "attn.testing.record", f"--record-calls={folder}", str(ROOT / "test" / "Mechanisms")],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    index = folder / "calls.json"
    return json.loads(index.read_text()) if index.exists() else []


def find_runtime():
    path = _library.library_folder() / "lean" / "libAttnRuntime.so"
    if not path.exists():
        raise attn.Error(f"'{path}' is not there; build the target AttnRuntimeLean")
    return path


class Packer:
    def __init__(self, folder, targets, jobs, only):
        self.folder, self.targets, self.only = folder, targets, only
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self.manifest = {"producer": "attn", "libraries": {}, "calls": []}
        (folder / "libraries").mkdir()
        (folder / "sources").mkdir()

    def add_programs(self):
        jobs = {}
        known = [*programs.check_programs(), *gpu_cases.programs()]
        for program in known:
            if self.only not in program.name:
                continue
            source = self.folder / "sources" / f"{digest(program.text)}.mlir"
            source.write_text(program.text)
            for target in self.targets:
                key = f"{digest(program.text)}-{target}"
                library = self.folder / "libraries" / f"{key}.so"
                if key not in jobs:
                    jobs[key] = self.pool.submit(compile_one, source, library, target)
                    jobs[key].name = f"{program.name} ({target})"
        for key, job in jobs.items():
            entry = job.result()
            self.manifest["libraries"][key] = {"name": job.name, **entry}
            self.say(job.name, entry)

    def add_mechanisms(self):
        data = self.folder / "calls"
        calls = record_calls(data)
        jobs = {}
        for call in calls:
            for target in self.targets:
                key = (call["path"], call["entry"], target)
                if key not in jobs:
                    library = self.folder / "libraries" / f"mechanism-{len(jobs)}.so"
                    jobs[key] = self.pool.submit(compile_one, call["path"], library, target, call["entry"])
        said = set()
        for call in calls:
            path = Path(call["path"])
            name = f"{path.parent.name}/{path.stem}" + (f" @{call['entry']}" if call["entry"] else "")
            for target in self.targets:
                entry = jobs[call["path"], call["entry"], target].result()
                if (name, target) not in said:
                    self.say(f"{name} ({target})", entry)
                    said.add((name, target))
                self.manifest["calls"].append({
                    "name": name, "target": target, "data": f"calls/{call['data']}",
                    "tolerance": CALL_TOLERANCE, **entry,
                })

    @staticmethod
    def say(name, entry):
        print(f"{'NOT COMPILED' if 'error' in entry else 'compiled':12} {name}"
              + (f": {entry['error']}" if "error" in entry else ""), flush=True)

    def finish(self):
        (self.folder / "lib").mkdir()
        shutil.copy(find_runtime(), self.folder / "lib")
        shutil.copytree(
            ROOT / "python" / "attn", self.folder / "python" / "attn",
            ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
        )
        shutil.copy(ROOT / "tools" / "gpu-check.sh", self.folder)
        (self.folder / "manifest.json").write_text(json.dumps(self.manifest, indent=1))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m attn.gpu.bundle", description=__doc__)
    parser.add_argument("output", metavar="OUT.tar.gz")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: both")
    parser.add_argument("--only", default="", help="part of a program's name; the others are left out")
    parser.add_argument("--no-mechanisms", action="store_true", help="leave out the recorded calls")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args(arguments)
    find_runtime()
    with tempfile.TemporaryDirectory(prefix="attn-bundle-") as temporary:
        folder = Path(temporary) / "attn-gpu"
        folder.mkdir()
        packer = Packer(folder, options.target or TARGETS, options.jobs, options.only)
        packer.add_programs()
        if not options.no_mechanisms:
            packer.add_mechanisms()
        packer.finish()
        output = Path(options.output)
        with tarfile.open(output, "w:gz") as archive:
            archive.add(folder, folder.name)
    size = output.stat().st_size
    entries = [*packer.manifest["libraries"].values(), *packer.manifest["calls"]]
    missing = sum("error" in entry for entry in entries)
    print(f"{output}: {size / 2**20:.1f} MiB, {len(entries) - missing} entries, {missing} not compiled")
    if size > MAX_BYTES:
        print(f"error: the bundle is larger than {MAX_BYTES >> 20} MiB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
