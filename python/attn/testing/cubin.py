# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""GPU machine code as files: assembling PTX, and what a cubin says of its kernels."""

import importlib.util
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


class ToolMissing(RuntimeError):
    """A program of the CUDA toolkit is not on this machine."""


def ptxas():
    """Path of ptxas, or None: ATTN_PTXAS, then PATH, then the usual folders of CUDA."""
    given = os.environ.get("ATTN_PTXAS")
    if given:
        return given if os.access(given, os.X_OK) else None
    found = shutil.which("ptxas")
    if found:
        return found
    for folder in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if folder and os.access(f"{folder}/bin/ptxas", os.X_OK):
            return f"{folder}/bin/ptxas"
    return None


def nvdisasm():
    """Path of nvdisasm, or None: that of the Python package, else PATH."""
    for package in ("nvidia.cu13", "nvidia.cuda_nvdisasm"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for program in (Path(folder) / "bin" / "nvdisasm", Path(folder) / "nvdisasm"):
                if program.is_file():
                    return str(program)
    return shutil.which("nvdisasm")


@dataclass
class Remarks:
    """What `ptxas -v` says of one kernel."""

    registers: int = 0
    barriers: int = 0
    shared_bytes: int = 0
    stack_bytes: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    # Codes such as C7510 to C7519: wgmma serialised, waits or fences injected,
    # setmaxnreg ignored. A kernel of ours must have none.
    codes: list = field(default_factory=list)


def read_remarks(text):
    """The output of `ptxas -v` as {kernel: Remarks}."""
    kernels, current, pending = {}, None, []
    for line in text.splitlines():
        if m := re.search(r"Compiling entry function '(\S+)'", line):
            current = kernels.setdefault(m[1], Remarks())
            current.codes += pending
            pending = []
        elif m := re.search(r"\((C7\d{3})\)", line):
            # Remarks come before their kernel's own lines; some name it.
            name = re.search(r"function '(\S+?)'", line)
            (kernels.setdefault(name[1], Remarks()).codes if name else pending).append(m[1])
        if current is None:
            continue
        if m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            current.stack_bytes, current.spill_stores, current.spill_loads = map(int, m.groups())
        if m := re.search(r"Used (\d+) registers", line):
            current.registers = int(m[1])
            if m := re.search(r"used (\d+) barriers", line):
                current.barriers = int(m[1])
            if m := re.search(r"(\d+) bytes smem", line):
                current.shared_bytes = int(m[1])
    return kernels


def assemble(ptx, chip, output=None, options=()):
    """Assembles PTX text; returns the cubin's bytes and {kernel: Remarks}."""
    program = ptxas()
    if program is None:
        raise ToolMissing("ptxas is not on this machine")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "kernel.ptx", Path(output or Path(folder) / "kernel.cubin")
        source.write_text(ptx)
        result = subprocess.run(
            [program, "-v", f"-arch={chip}", *options, str(source), "-o", str(target)],
            capture_output=True, text=True,
        )
        text = result.stdout + result.stderr
        if result.returncode != 0:
            raise RuntimeError(f"ptxas refuses the kernel: {text.strip()}")
        return target.read_bytes(), read_remarks(text)


def disassemble(path):
    """The machine code of a cubin as text."""
    program = nvdisasm()
    if program is None:
        raise ToolMissing("nvdisasm is not on this machine; install the package nvidia-cuda-nvdisasm")
    result = subprocess.run([program, "-c", str(path)], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"nvdisasm refuses '{path}': {result.stderr.strip()}")
    return result.stdout


@dataclass
class Resources:
    """What a cubin says of one kernel: registers at launch, threads, static shared memory."""

    registers: int = 0
    threads: int = 0
    shared_bytes: int = 0
    stack_bytes: int = 0


# Attributes of the .nv.info sections.
_REGISTERS, _FRAME, _THREADS = 0x2F, 0x11, 0x10


def _sections(data):
    """(name, type, offset, size) of each section, and the names of the symbols."""
    offset, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]

    def text(table, at):
        start = headers[table][4] + at
        return data[start : data.index(b"\0", start)].decode()

    sections = [(text(names, h[0]), h[1], h[4], h[5]) for h in headers]
    symbols = []
    for h in headers:
        if h[1] == 2:
            for at in range(h[4], h[4] + h[5], 24):
                symbols.append(text(h[6], struct.unpack_from("<I", data, at)[0]))
    return sections, symbols


def _attributes(data, offset, size):
    """(attribute, value bytes) of an .nv.info section."""
    at, end = offset, offset + size
    while at + 4 <= end:
        kind, attribute, length = struct.unpack_from("<BBH", data, at)
        at += 4
        # Only this form has a payload of its own; the others keep it in the length.
        value = data[at : at + length] if kind == 4 else struct.pack("<H", length)
        at += length if kind == 4 else 0
        yield attribute, value


def read_resources(data):
    """The kernels of a cubin's bytes as {name: Resources}."""
    if data[:4] != b"\x7fELF":
        raise ValueError("not a cubin: it does not begin as an ELF file")
    sections, symbols = _sections(data)
    kernels = {n.removeprefix(".text."): Resources() for n, *_ in sections if n.startswith(".text.")}
    for name, kind, offset, size in sections:
        if name == ".nv.info":
            for attribute, value in _attributes(data, offset, size):
                if attribute in (_REGISTERS, _FRAME) and len(value) == 8:
                    symbol, number = struct.unpack("<II", value)
                    kernel = kernels.get(symbols[symbol])
                    if kernel and attribute == _REGISTERS:
                        kernel.registers = number
                    elif kernel:
                        kernel.stack_bytes = number
        elif name.startswith(".nv.info."):
            kernel = kernels.get(name.removeprefix(".nv.info."))
            for attribute, value in _attributes(data, offset, size):
                if kernel and attribute == _THREADS and len(value) == 12:
                    x, y, z = struct.unpack("<III", value)
                    kernel.threads = x * y * z
        elif name.startswith(".nv.shared.") and kind == 8:
            kernel = kernels.get(name.removeprefix(".nv.shared."))
            if kernel:
                kernel.shared_bytes = size
    return kernels
