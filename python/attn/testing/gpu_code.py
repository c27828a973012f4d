# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes kernels of the llvm, nvvm and attn_nv dialects as text."""

SHARED = "!llvm.ptr<3>"
GLOBAL = "!llvm.ptr<1>"
MAP = "!llvm.ptr {llvm.byval = !llvm.array<128 x i8>, llvm.align = 64 : i64, nvvm.grid_constant}"


class Code:
    """The body of one kernel, line by line; each method returns a value."""

    def __init__(self, name, parameters, threads, shared=0):
        self.name, self.parameters = name, parameters
        self.threads, self.shared = threads, shared
        self.lines, self.head, self.constants, self.count = [], [], {}, 0

    def text(self):
        arguments = ", ".join(f"%{n}: {t}" for n, t in self.parameters)
        body = "\n".join(self.head + self.lines)
        return f"""module {{
  llvm.mlir.global external @memory() {{addr_space = 3 : i32, alignment = 1024 : i64}} : !llvm.array<0 x i8>
  llvm.func @{self.name}({arguments}) attributes {{nvvm.kernel, nvvm.reqntid = array<i32: {self.threads}>, nvvm.minctasm = 1 : i32}} {{
    %memory = llvm.mlir.addressof @memory : {SHARED}
{body}
    llvm.return
  }}
}}
"""

    def new(self):
        self.count += 1
        return f"%v{self.count}"

    def do(self, text):
        self.lines.append("    " + text)

    def op(self, text):
        name = self.new()
        self.do(f"{name} = {text}")
        return name

    def const(self, value, type="i32"):
        key = (value, type)
        if key not in self.constants:
            self.constants[key] = name = self.new()
            self.head.append(f"    {name} = llvm.mlir.constant({value} : {type}) : {type}")
        return self.constants[key]

    def value(self, x):
        return self.const(x) if isinstance(x, int) else x

    def binary(self, name, a, b, type="i32"):
        a = self.const(a, type) if isinstance(a, int) else a
        b = self.const(b, type) if isinstance(b, int) else b
        return self.op(f"llvm.{name} {a}, {b} : {type}")

    def add(self, a, b): return self.binary("add", a, b)
    def sub(self, a, b): return self.binary("sub", a, b)
    def mul(self, a, b): return self.binary("mul", a, b)
    def div(self, a, b): return self.binary("udiv", a, b)
    def mod(self, a, b): return self.binary("urem", a, b)
    def xor(self, a, b): return self.binary("xor", a, b)

    def equal(self, a, b):
        return self.op(f'llvm.icmp "eq" {self.value(a)}, {self.value(b)} : i32')

    def less(self, a, b):
        return self.op(f'llvm.icmp "ult" {self.value(a)}, {self.value(b)} : i32')

    def register(self, name):
        return self.op(f"nvvm.read.ptx.sreg.{name} : i32")

    def block(self, name):
        self.lines.append(f"  ^{name}:")

    def branch(self, name):
        self.do(f"llvm.br ^{name}")

    def only_if(self, condition, body):
        """Runs body() if the condition holds."""
        self.count += 1
        inside, after = f"in{self.count}", f"after{self.count}"
        self.do(f"llvm.cond_br {condition}, ^{inside}, ^{after}")
        self.block(inside)
        body()
        self.branch(after)
        self.block(after)

    def at(self, pointer, offset, space=3, element="i8"):
        type = f"!llvm.ptr<{space}>"
        return self.op(f"llvm.getelementptr {pointer}[{self.value(offset)}] : ({type}, i32) -> {type}, {element}")

    def smem(self, offset):
        return self.at("%memory", offset)

    def load(self, pointer, type, space=3, align=None):
        note = f" {{alignment = {align} : i64}}" if align else ""
        return self.op(f"llvm.load {pointer}{note} : !llvm.ptr<{space}> -> {type}")

    def store(self, value, pointer, type, space=3, align=None):
        note = f" {{alignment = {align} : i64}}" if align else ""
        self.do(f"llvm.store {value}, {pointer}{note} : {type}, !llvm.ptr<{space}>")

    def barrier(self, id=None, count=None):
        if id is None:
            return self.do("nvvm.barrier")
        self.do(f"nvvm.barrier id = {self.value(id)} number_of_threads = {self.value(count)}")

    def extract(self, vector, index, type):
        return self.op(f"llvm.extractelement {vector}[{self.const(index)} : i32] : {type}")

    def insert(self, vector, value, index, type):
        return self.op(f"llvm.insertelement {value}, {vector}[{self.const(index)} : i32] : {type}")

    def field(self, struct, index, type):
        return self.op(f"llvm.extractvalue {struct}[{index}] : {type}")

    # Asynchronous copies and mbarriers.
    def init(self, barrier, count):
        self.do(f"nvvm.mbarrier.init {self.smem(barrier)}, {self.value(count)} : {SHARED}, i32")

    def expect(self, barrier, size):
        self.do(f"nvvm.mbarrier.arrive.expect_tx {self.smem(barrier)}, {self.value(size)} : {SHARED}, i32")

    def arrive(self, barrier):
        self.do(f"nvvm.mbarrier.arrive {self.smem(barrier)} : {SHARED}")

    def wait(self, barrier, parity):
        self.do(f"attn_nv.mbarrier_wait {self.smem(barrier)}, {self.value(parity)}")

    def tma(self, to, map, at, barrier):
        wide = self.op(f"llvm.addrspacecast {self.smem(to)} : {SHARED} to !llvm.ptr<7>")
        box = ", ".join(self.value(x) for x in at)
        self.do("nvvm.cp.async.bulk.tensor.shared.cluster.global "
                f"{wide}, %{map}, {self.smem(barrier)}, box[{box}] : !llvm.ptr<7>, !llvm.ptr")

    def cp_async(self, to, pointer, size=None):
        more = f", {size}" if size else ""
        types = f"{SHARED}, {GLOBAL}" + (", i32" if size else "")
        self.do(f"nvvm.cp.async.shared.global {to}, {pointer}, 16, cache = cg{more} : {types}")

    def proxy_fence(self):
        self.do("nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}")

    def descriptor(self, offset, leading, stride, swizzle):
        """A shared memory descriptor of the tile at an offset (value or int)."""
        mode = {0: 0, 128: 1, 64: 2, 32: 3}[swizzle]
        bits = mode << 62 | (stride >> 4) << 32 | (leading >> 4) << 16
        if bits >= 1 << 63:
            bits -= 1 << 64
        address = self.op(f"llvm.ptrtoint {self.smem(offset)} : {SHARED} to i64")
        start = self.binary("lshr", address, 4, "i64")
        return self.binary("or", start, bits, "i64")
