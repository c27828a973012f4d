# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Static numbers of GPU machine code: the main loop of a kernel and its instructions.

    python -m attn.testing.sass FILE.cubin [--kernel TEXT] [--all] [--order]

A loop's instructions are those that every iteration runs: the blocks that
dominate all its back edges. Code that is out of line (slow paths of waits) or
behind a branch is counted apart, as its side. Backward branches alone would
find false loops, because slow paths jump back into the middle.

Score elements of a thread are what the matrix instructions that start a fresh
accumulator produce. Counts of one iteration say nothing of stalls.
"""

import argparse
import collections
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .cubin import Resources, disassemble, read_resources

# The first class whose pattern matches the start of the opcode.
CLASSES = [
    ("tensor", r"[HIQBD]G?MMA"),
    ("exp2", r"MUFU\.EX2"),
    ("special function", r"MUFU"),
    ("fma", r"FFMA"),
    ("multiply", r"FMUL"),
    ("add", r"FADD"),
    ("maximum", r"FMNMX"),
    ("pack", r"F2FP"),
    ("float select", r"FSEL|FSETP|FSET\b|FCHK"),
    ("shuffle", r"SHFL|VOTE|REDUX|MATCH"),
    ("local memory", r"LDL|STL"),
    ("matrix load", r"LDSM|STSM|MOVM"),
    ("shared memory", r"LDS|STS|ATOMS"),
    ("bulk copy", r"UTMA|UBLK"),
    ("async copy", r"LDGSTS"),
    ("global memory", r"LDG|STG|LD\b|ST\b|ATOM|RED"),
    ("barrier", r"SYNCS|BAR|MEMBAR|FENCE|DEPBAR|LDGDEPBAR|ERRBAR|CCTL|WARPSYNC|ELECT|NANOSLEEP|ARRIVES"),
    ("warpgroup", r"WARPGROUP|USETMAXREG"),
    ("control", r"BRA|BSYNC|BSSY|EXIT|CALL|RET|BREAK|JMP|YIELD|NOP|BMOV|BRX|PLOP3"),
    ("uniform integer", r"U[A-Z]|R2UR|S2UR"),
    ("move", r"MOV|IMAD\.MOV|CS2R|S2R|SEL|PRMT|LDC|P2R|R2P|R2B|B2R|I2F|F2I"),
    ("integer", r"IMAD|IADD|IABS|ISETP|LEA|LOP3|SHF|SGXT|IMNMX|VIADD|VIMNMX|BMSK|POPC|FLO|ISCADD"),
    ("packed half", r"H[A-Z]+2|F2F"),
]
FLOAT_CLASSES = ("exp2", "fma", "multiply", "add", "maximum", "pack")
_TENSOR = re.compile(r"[HIQBD]G?MMA")
_JUMP = re.compile(r"(BRA|JMP)(?!\.DIV)")
_LEAVE = re.compile(r"(BRA|JMP)(?!\.DIV)|EXIT|RET|BRX")


@dataclass(frozen=True)
class Instruction:
    address: int
    predicate: str
    opcode: str
    operands: str

    @property
    def kind(self):
        """Name of its class."""
        for name, pattern in CLASSES:
            if re.match(pattern, self.opcode):
                return name
        return "other " + self.opcode.split(".")[0]

    @property
    def shape(self):
        """(m, n, k) of a matrix instruction."""
        if m := re.search(r"\.(\d+)x(\d+)x(\d+)", self.opcode):
            return tuple(map(int, m.groups()))
        # mma.sync writes its shape as one number: 16816 is 16 x 8 x 16.
        if m := re.search(r"MMA\.(16)(8)(\d+)\b", self.opcode):
            return tuple(map(int, m.groups()))
        if m := re.search(r"MMA\.(8)(8)(\d+)\b", self.opcode):
            return tuple(map(int, m.groups()))
        return None

    @property
    def is_tensor(self):
        return bool(_TENSOR.match(self.opcode))

    @property
    def starts_accumulator(self):
        """Whether a matrix instruction adds to nothing."""
        # The accumulator is the last register operand.
        operands = [o.strip() for o in self.operands.split(",")]
        if "GMMA" in self.opcode:
            return "RZ" in operands or "!UPT" in operands
        return len(operands) > 3 and operands[3] == "RZ"

    @property
    def result_elements(self):
        """Elements of a matrix instruction's result in each thread."""
        m, n, _ = self.shape
        return m * n // (128 if "GMMA" in self.opcode else 32)

    @property
    def form(self):
        """A matrix instruction as text: shape, and where its operand A lies."""
        text = "x".join(map(str, self.shape))
        if "GMMA" not in self.opcode:
            return text
        in_registers = re.match(r"R\d+, R\d+", self.operands)
        return text + (" A=registers" if in_registers else " A=shared")


@dataclass(frozen=True)
class Loop:
    """One loop: what every iteration runs, and the rest of its blocks."""

    instructions: tuple
    side: tuple
    blocks: frozenset

    @cached_property
    def histogram(self):
        """Instructions of an iteration by class."""
        return collections.Counter(i.kind for i in self.instructions)

    @cached_property
    def tensor_forms(self):
        """Matrix instructions of an iteration by form, those of its side included."""
        return collections.Counter(
            i.form for i in self.instructions + self.side if i.is_tensor
        )

    @property
    def elements(self):
        """Score elements of a thread in an iteration; 0 where none is recognised."""
        tensor = [i for i in self.instructions + self.side if i.is_tensor]
        fresh = sum(i.result_elements for i in tensor if i.starts_accumulator)
        # A loop whose accumulators begin filled (with a bias) has none; then
        # the probabilities are counted where they are packed.
        packed = 2 * sum(i.opcode.startswith("F2FP") for i in self.instructions + self.side)
        return fresh or packed

    @property
    def other_than_tensor(self):
        return len(self.instructions) - self.histogram["tensor"]

    @property
    def per_element(self):
        """Instructions other than matrix ones for each score element."""
        return self.other_than_tensor / self.elements if self.elements else float("inf")

    @property
    def float_per_element(self):
        count = sum(self.histogram[name] for name in FLOAT_CLASSES)
        return count / self.elements if self.elements else float("inf")

    @property
    def is_serialised(self):
        """Whether (nearly) each wgmma waits for itself."""
        waits = sum(i.opcode.startswith("WARPGROUP.DEPBAR") for i in self.instructions)
        groups = sum("GMMA" in i.opcode for i in self.instructions)
        return groups > 2 and 2 * waits >= groups

    def count(self, prefix):
        """Instructions of an iteration whose opcode begins with `prefix`."""
        return sum(i.opcode.startswith(prefix) for i in self.instructions)

    def order(self):
        """What makes the schedule, in order: matrix work, waits, softmax, barriers."""
        events = []
        for instruction in self.instructions:
            name = _event(instruction)
            if name is None:
                continue
            mixed = name in ("exp2", "max", "multiply", "pack")
            last = events[-1] if events else None
            if mixed and isinstance(last, collections.Counter):
                last[name] += 1
            elif mixed:
                events.append(collections.Counter([name]))
            elif isinstance(last, list) and (last[0] == name or (name == "tensor" and "tensor" in last[0])):
                last[1] += 1
            else:
                events.append([name, 1])
        return " | ".join(
            "{" + ", ".join(f"{k} {n}" for k, n in e.items()) + "}"
            if isinstance(e, collections.Counter) else f"{e[0]} x{e[1]}" if e[1] > 1 else e[0]
            for e in events
        )

    def __str__(self):
        lines = [
            f"0x{self.instructions[0].address:x}-0x{self.instructions[-1].address:x}: "
            f"{len(self.instructions)} instructions (+{len(self.side)} aside), "
            + ", ".join(f"{n} x {form}" for form, n in sorted(self.tensor_forms.items()))
        ]
        if self.elements:
            lines.append(
                f"  {self.elements} score elements a thread: {self.per_element:.2f} instructions "
                f"each, {self.float_per_element:.2f} of them float"
            )
        if self.is_serialised:
            lines.append("  SERIALISED: a wait for each matrix instruction")
        lines.append("  " + ", ".join(f"{k} {n}" for k, n in self.histogram.most_common()))
        return "\n".join(lines)


_EVENTS = (
    ("WARPGROUP.DEPBAR", "wait-tensor"), ("BAR", "barrier"), ("SYNCS.PHASECHK", "mbarrier-wait"),
    ("SYNCS.ARRIVE", "mbarrier-arrive"), ("MUFU.EX2", "exp2"), ("FMNMX", "max"), ("FMUL", "multiply"),
    ("F2FP", "pack"), ("UTMALDG", "bulk-copy"), ("LDGSTS", "async-copy"), ("LDGDEPBAR", "commit-copy"),
    ("DEPBAR", "wait-copy"), ("LDSM", "matrix-load"),
)


def _event(instruction):
    if instruction.is_tensor:
        return "fresh tensor" if instruction.starts_accumulator else "tensor"
    for prefix, name in _EVENTS:
        if instruction.opcode.startswith(prefix):
            if prefix == "WARPGROUP.DEPBAR":
                return f"{name} {instruction.operands.split(',')[-1].strip()}"
            return f"{name} {instruction.operands}" if prefix == "BAR" else name
    return None


class Kernel:
    """A kernel of a cubin, disassembled."""

    def __init__(self, name, code, labels, resources=None):
        self.name, self.code, self._labels = name, tuple(code), labels
        resources = resources or Resources()
        self.registers, self.threads = resources.registers, resources.threads
        self.shared_bytes, self.stack_bytes = resources.shared_bytes, resources.stack_bytes

    @property
    def spills(self):
        """Accesses of local memory."""
        return sum(i.kind == "local memory" for i in self.code)

    @property
    def setmaxnreg(self):
        """Register counts that roles ask for, in order of the code."""
        return [
            int(m[1], 16)
            for i in self.code
            if i.opcode.startswith("USETMAXREG") and (m := re.search(r"0x([0-9a-f]+)", i.operands))
        ]

    def count(self, prefix):
        return sum(i.opcode.startswith(prefix) for i in self.code)

    @cached_property
    def loops(self):
        """Loops with matrix instructions, smallest first."""
        return _find_loops(self.code, self._labels)

    @property
    def innermost(self):
        return [l for l in self.loops if not any(o.blocks < l.blocks for o in self.loops)]

    @property
    def main_loop(self):
        """The loop over whole key tiles: it makes scores, selects least, has most exponentials."""
        return min(
            self.innermost,
            key=lambda l: (l.elements == 0, l.histogram["float select"], -l.histogram["exp2"]),
            default=None,
        )

    @property
    def masked_loop(self):
        """The score loop with the most selects, where that is not the main one."""
        main = self.main_loop
        others = [l for l in self.innermost if l is not main and l.elements]
        return max(others, key=lambda l: l.histogram["float select"], default=None)


def parse(text):
    """nvdisasm's text as {kernel: ([Instruction], {label: index})}."""
    kernels, code, labels = {}, None, None
    for line in text.splitlines():
        if m := re.match(r"\.text\.(\S+):", line):
            code, labels = kernels.setdefault(m[1], ([], {}))
        elif code is not None and (m := re.match(r"(\.L_\w+):", line)):
            labels[m[1]] = len(code)
        elif code is not None and (
            m := re.match(r"\s+(?:\[.*?\])?/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+)?\s*([A-Z][\w.]*)\s*(.*?);", line)
        ):
            code.append(Instruction(int(m[1], 16), m[2] or "", m[3], m[4].strip()))
    return {name: found for name, found in kernels.items() if found[0]}


def _basic_blocks(code, labels):
    """Blocks as index ranges, and the successors of each. The branch of a
    diverged warp (BRA.DIV) is a call in spirit, not an edge."""

    def target(instruction):
        m = re.search(r"`\((\.L_\w+)\)", instruction.operands)
        return labels.get(m[1]) if m and _JUMP.match(instruction.opcode) else None

    starts = {0}
    for index, instruction in enumerate(code):
        if _LEAVE.match(instruction.opcode):
            starts.add(index + 1)
        if (to := target(instruction)) is not None:
            starts.add(to)
    starts = sorted(s for s in starts if s < len(code))
    number = {start: n for n, start in enumerate(starts)}
    ranges = list(zip(starts, starts[1:] + [len(code)]))
    successors = []
    for n, (_, end) in enumerate(ranges):
        last = code[end - 1]
        conditional = last.predicate or re.match(r"!?U?P\d", last.operands)
        falls = not _LEAVE.match(last.opcode) or conditional
        out = [n + 1] if falls and n + 1 < len(ranges) else []
        if (to := target(last)) is not None and to in number:
            out.append(number[to])
        successors.append(out)
    return ranges, successors


def _dominators(successors):
    """{reachable block: set of blocks that dominate it}, and predecessors."""
    reached, work = {0}, [0]
    while work:
        for to in successors[work.pop()]:
            if to not in reached:
                reached.add(to)
                work.append(to)
    predecessors = {n: [p for p in reached if n in successors[p]] for n in reached}
    dominators = {n: set(reached) for n in reached}
    dominators[0], changed = {0}, True
    while changed:
        changed = False
        for n in sorted(reached - {0}):
            new = set.intersection(*(dominators[p] for p in predecessors[n])) | {n}
            if new != dominators[n]:
                dominators[n], changed = new, True
    return dominators, predecessors


def _find_loops(code, labels):
    ranges, successors = _basic_blocks(code, labels)
    dominators, predecessors = _dominators(successors)
    found = {}
    for n in dominators:
        for header in successors[n]:
            if header not in dominators[n]:
                continue
            members, latches = found.setdefault(header, ({header}, []))
            latches.append(n)
            work = [n]
            while work:
                block = work.pop()
                if block not in members:
                    members.add(block)
                    work += predecessors[block]
    loops = []
    for header, (members, latches) in found.items():
        always = {m for m in members if all(m in dominators[latch] for latch in latches)}
        # An inner loop's blocks may run in every iteration too, but how often
        # is unknown: they count as aside.
        for other, (inner, _) in found.items():
            if other != header and other in members and len(inner) < len(members):
                always -= inner

        def pick(blocks):
            return tuple(code[i] for b in sorted(blocks) for i in range(*ranges[b]))

        if any(i.is_tensor for i in pick(members)):
            loops.append(Loop(pick(always), pick(members - always), frozenset(members)))
    return sorted(loops, key=lambda loop: len(loop.blocks))


def read(path):
    """The kernels of a cubin file as {name: Kernel}."""
    resources = read_resources(Path(path).read_bytes())
    return {
        name: Kernel(name, code, labels, resources.get(name))
        for name, (code, labels) in parse(disassemble(path)).items()
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m attn.testing.sass", description="Main loops of cubins.")
    parser.add_argument("files", nargs="+", metavar="FILE.cubin")
    parser.add_argument("--kernel", default="", help="only kernels whose name has this text")
    parser.add_argument("--all", action="store_true", help="every loop with matrix instructions")
    parser.add_argument("--order", action="store_true", help="the order of work in the loop")
    options = parser.parse_args(arguments)
    for path in options.files:
        for kernel in read(path).values():
            if options.kernel not in kernel.name:
                continue
            print(
                f"{kernel.name}: {len(kernel.code)} instructions, {kernel.threads} threads, "
                f"{kernel.registers} registers, setmaxnreg {kernel.setmaxnreg}, {kernel.spills} "
                f"accesses of local memory, {kernel.shared_bytes} bytes of static shared memory"
            )
            main_loop = kernel.main_loop
            for loop in kernel.loops if options.all else [main_loop] if main_loop else []:
                print(("main loop " if loop is main_loop else "loop ") + str(loop))
                if options.order:
                    print("  order: " + loop.order())


if __name__ == "__main__":
    main()
