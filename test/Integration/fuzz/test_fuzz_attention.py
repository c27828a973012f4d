# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random attentions through the whole compiler against the NumPy oracle.

A seed makes a case; a failure names its seed. More and other cases:

    ATTN_FUZZ_CASES=1000 ATTN_FUZZ_FIRST=5000 python test/Integration/fuzz/test_fuzz_attention.py

One seed alone: ATTN_FUZZ_CASES=1 ATTN_FUZZ_FIRST=SEED.
"""

import multiprocessing
import os
import random
import sys
import tempfile
import unittest
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "python"))
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
os.environ.setdefault("ATTN_LIB_DIR", str(BUILD / "lib"))

import attn  # noqa: E402
from attn.testing import scores  # noqa: E402
from attn.testing.attention import AttentionCase  # noqa: E402
from attn.testing.cases import Argument  # noqa: E402
from attn.testing.dtypes import ROUNDOFF, STORAGE, encode  # noqa: E402

CASES = int(os.environ.get("ATTN_FUZZ_CASES", "160"))
FIRST = int(os.environ.get("ATTN_FUZZ_FIRST", "0"))
CHUNK = 40  # cases in one process

CPU_FLAGS = Path("/proc/cpuinfo").read_text().split()
TARGETS = ["host"]
if "avx2" in CPU_FLAGS and "fma" in CPU_FLAGS:
    TARGETS.append("x86-64-v3")
if all(f"avx512{part}" in CPU_FLAGS for part in ("f", "bw", "cd", "dq", "vl")):
    TARGETS.append("x86-64-v4")

LENGTHS = [0, 1, 2, 5, 31, 63, 64, 65, 127, 128, 129, 197, 300]
WIDTHS = [1, 3, 8, 16, 32, 40, 64, 80, 96, 128, 256]
BIAS_SHAPES = ["1111", "B111", "1H11", "11S1", "111K", "B11K", "1H1K", "B1S1", "1HS1",
               "11SK", "B1SK", "1HSK", "BH1K", "BHSK"]
# The oracle computes row by row; so many pairs take it about 0.1 s.
MOST_PAIRS = 100_000


@dataclass(frozen=True)
class FuzzCase(AttentionCase):
    """An attention as the only function of a module, on tensors alone.

    An operand whose letter is in `transposed` (q, k, v, o) lies in memory as
    [B, S, H, D]; a letter in `flat` says that H and D are one dimension, too.
    """

    transposed: str = ""
    flat: str = ""
    target: str = "host"
    threads: int = 1

    def _outer(self, argument):
        """What the caller sees of an argument or result, and the steps between."""
        name = "o" if argument.name == "output" else argument.name
        if argument.shape is None:
            return Argument(argument.name, "i64", ()), "number"
        if name not in self.transposed or len(argument.shape) != 4:
            return argument, None
        b, h, s, d = argument.shape
        swap = {0: 0, 1: 2, 2: 1, 3: 3}
        dynamic = {swap[i] for i in argument.dynamic}
        # The number of heads cannot be told from the product.
        if name in self.flat and 2 not in dynamic and d:
            return Argument(argument.name, argument.dtype, (b, s, h * d), frozenset(dynamic)), "flat"
        return Argument(argument.name, argument.dtype, (b, s, h, d), frozenset(dynamic)), "swap"

    def text(self):
        lines, outer_args = [], []
        for argument in self.arguments():
            outer, how = self._outer(argument)
            outer_args.append(outer)
            name = argument.name
            if how is None:
                continue
            if how == "number":
                lines.append(f"%{name}_v = tensor.extract %{name}_in[] : tensor<i64>")
                lines.append(f"%{name} = arith.index_cast %{name}_v : i64 to index")
                continue
            source, middle = f"%{name}_in", self._middle(argument)
            if how == "flat":
                lines += self._size_lines(name, source, outer, (0, 1))
                sizes = self._output_shape(name, middle)
                lines.append(f"%{name}_x = tensor.expand_shape {source} [[0], [1], [2, 3]] "
                             f"output_shape {sizes} : {outer.type} into {middle.type}")
                source = f"%{name}_x"
            lines += self._transpose(name, source, middle, argument)
        lines.append(self.body())
        results = self.results()
        outer_results, names = [], []
        for i, result in enumerate(results):
            outer, how = self._outer(result)
            outer_results.append(outer)
            if how is None:
                names.append(f"%r{i}")
                continue
            middle = self._middle(result)
            lines += self._transpose("t", f"%r{i}", result, middle)
            if how == "flat":
                lines.append(f"%flat = tensor.collapse_shape %t [[0], [1], [2, 3]] : "
                             f"{middle.type} into {outer.type}")
            names.append("%flat" if how == "flat" else "%t")
        parameters = ", ".join(
            f"%{o.name}{'_in' if self._outer(a)[1] else ''}: {o.type}"
            for a, o in zip(self.arguments(), outer_args)
        )
        types = ", ".join(r.type for r in outer_results)
        body = "\n  ".join(lines)
        return (f"func.func @main({parameters}) -> ({types}) {{\n  {body}\n"
                f"  return {', '.join(names)} : {types}\n}}\n")

    def _middle(self, argument):
        b, h, s, d = argument.shape
        swap = {0: 0, 1: 2, 2: 1, 3: 3}
        dynamic = frozenset(swap[i] for i in argument.dynamic)
        return Argument(argument.name, argument.dtype, (b, s, h, d), dynamic)

    @staticmethod
    def _size_lines(name, source, tensor, dims):
        lines = []
        for i in dims:
            if i in tensor.dynamic:
                lines.append(f"%{name}_c{i} = arith.constant {i} : index")
                lines.append(f"%{name}_d{i} = tensor.dim {source}, %{name}_c{i} : {tensor.type}")
        return lines

    @staticmethod
    def _output_shape(name, tensor):
        sizes = [f"%{name}_d{i}" if i in tensor.dynamic else str(n) for i, n in enumerate(tensor.shape)]
        return f"[{', '.join(sizes)}]"

    def _transpose(self, name, source, before, after):
        lines, sizes = [], []
        for i, j in enumerate((0, 2, 1, 3)):
            if i in after.dynamic:
                lines.append(f"%{name}_tc{i} = arith.constant {j} : index")
                lines.append(f"%{name}_td{i} = tensor.dim {source}, %{name}_tc{i} : {before.type}")
                sizes.append(f"%{name}_td{i}")
        lines.append(f"%{name}_e = tensor.empty({', '.join(sizes)}) : {after.type}")
        lines.append(f"%{name} = linalg.transpose ins({source} : {before.type}) "
                     f"outs(%{name}_e : {after.type}) permutation = [0, 2, 1, 3]")
        return lines

    def _to_outer(self, argument, array):
        outer, how = self._outer(argument)
        if how in ("swap", "flat"):
            array = np.ascontiguousarray(array.transpose(0, 2, 1, 3)).reshape(outer.shape)
        return array

    def _from_outer(self, result, array):
        outer, how = self._outer(result)
        if array.shape != outer.shape:
            raise AssertionError(f"{result.name} has shape {array.shape}, expected {outer.shape}")
        if how in ("swap", "flat"):
            array = array.reshape(self._middle(result).shape).transpose(0, 2, 1, 3)
        return array

    def run(self, folder):
        """None, or what is wrong."""
        source = Path(folder) / "case.mlir"
        source.write_text(self.text())
        inputs = self.inputs()
        try:
            model = attn.load(source, target=self.target)
            model.set_threads(self.threads)
            outer = [self._to_outer(a, np.asarray(x)) for a, x in zip(self.arguments(), inputs)]
            given = {info.name: x for info, x in zip(model.inputs, outer)}
            found = model.run(given)
        except attn.Error as error:
            return f"error: {error}"
        outputs = []
        for result, array in zip(self.results(), found.values()):
            array = self._from_outer(result, np.asarray(array))
            if array.dtype.itemsize != np.dtype(STORAGE[result.dtype]).itemsize:
                return f"{result.name} has type {array.dtype}"
            outputs.append(array.view(STORAGE[result.dtype]) if result.dtype == "bf16" else array)
        return self.check(inputs, outputs)

    def _tolerances(self, values, kept):
        row, of_lse = super()._tolerances(values, kept)
        if self.dtype == "bf16":
            # The dot product of pairs takes weights rounded to bf16.
            value = np.nan_to_num(np.abs(self._for_heads(values, "v")), nan=0, posinf=0)
            largest = np.max(value, axis=(2, 3), initial=0)
            row = row + ROUNDOFF["bf16"] * largest[:, :, None]
        return row, of_lse


def random_leaf(rng, documents):
    # `documents`: kinds that read operands may appear, too.
    kinds = ["causal", "window", "sink", "strided"]
    if documents:
        kinds += ["documents", "blocks", "blocks", "spans", "elastic"]
    kind = rng.choice(kinds)
    if kind == "blocks":
        return ("blocks", rng.choice([0, 1, 8, 16, 64, 128, 400]), rng.choice([1, 4, 16, 32, 64, 128, 192]),
                rng.choice(["padded", "csr", "members"]), rng.choice([0, 1]), rng.choice([0.1, 0.3, 0.7]))
    if kind == "spans":
        return ("spans", rng.choice([0, 1]), rng.choice([3, 40, 200]))
    if kind == "elastic":
        return ("elastic", rng.choice([0, 1]), rng.choice([1, 16, 64]))
    if kind == "window":
        reach = [-1, 0, 1, 7, 40, 64, 150, 299]
        left, right = rng.choice(reach), rng.choice(reach)
        return ("window", left, right if (left, right) != (-1, -1) else 0)
    if kind == "sink":
        return ("sink", rng.choice([0, 1, 4, 64, 65, 130, 400]))
    if kind == "strided":
        stride = rng.choice([1, 2, 3, 7])
        return ("strided", stride, rng.choice([1, 2, 16, 64]), rng.randrange(stride),
                rng.choice(["query", "origin"]))
    return (kind,)


def random_mask(rng, depth, heads, documents):
    kind = rng.randrange(7) if depth else 0

    def members(n):
        return [random_mask(rng, depth - 1, heads, documents) for _ in range(n)]

    if kind == 3:
        return ("not", members(1)[0])
    if kind == 4:
        return ("all_of", *members(rng.randrange(4)))
    if kind == 5:
        return ("any_of", *members(rng.randrange(4)))
    if kind == 6:
        n = rng.randrange(1, 4)
        return ("per_head", tuple(members(n)), tuple(rng.choices(range(n), k=heads)))
    return random_leaf(rng, documents)


def with_cache(rng, case):
    """The case with pages, maps of heads or lengths of heads, at times."""
    if rng.random() < 0.3:
        page = rng.choice([1, 3, 8, 16, 16, 32, 64, 100, 128])
        numbers = -(-case.K // page) if case.K else rng.choice([0, 1])
        case = replace(
            case, page=page, K=page * numbers, P=rng.choice([0, 1, 3, case.B * numbers, case.B * numbers + 5]),
            holes=rng.choice([0, 0, 0.1, 0.5]),
            special=None if case.special == "nan_beyond_lengths" else case.special,
            dynamic=case.dynamic + rng.choice(["", "P"]),
        )
    if rng.random() < 0.2 and not set("HG") & set(case.dynamic):
        keys, values = rng.choice([1, 2, 3, 5, case.H]), rng.choice([1, 2, 4, case.H])
        if case._mask_operands():
            keys = case.G  # lists of masks are those of heads of keys
        if rng.random() < 0.3:
            values = keys
        case = replace(
            case, G=keys, W=values, key_map=tuple(sorted(rng.choices(range(keys), k=case.H))),
            value_map=tuple(rng.choices(range(values), k=case.H)),
        )
    if case.kv_lengths and rng.random() < 0.4:
        own = rng.choice([1, case.G if case.H % case.G == 0 else case.H, case.H])
        lengths = [0, 1, case.K - 1, case.K, case.K + 3, rng.randrange(case.K + 1)]
        case = replace(case, kv_lengths=tuple(
            tuple(rng.choice(lengths) for _ in range(own)) for _ in range(case.B)))
    return case


def random_case(seed):
    rng = random.Random(seed)

    def maybe(probability):
        return rng.random() < probability

    batch = rng.choice([0, 1, 1, 1, 2, 2, 3])
    group = rng.choice([1, 1, 2, 4, 8])
    kv_heads = rng.choice([1, 1, 2, 3])
    heads = group * kv_heads
    rows = 1 if maybe(0.3) else rng.choice(LENGTHS)
    keys = rng.choice(LENGTHS) if maybe(0.9) else rng.choice([513, 1024, 1100])
    while batch * heads * rows * keys > MOST_PAIRS:
        if batch > 1:
            batch -= 1
        elif kv_heads > 1:
            kv_heads, heads = kv_heads - 1, heads - group
        elif group > 1:
            group //= 2
            heads = group
        else:
            rows = rng.choice(LENGTHS[:6])
    dtype = rng.choice(["f32"] * 5 + ["bf16"] * 3 + ["f16"] * 2 + ["f64"])
    bias = rng.choice(BIAS_SHAPES) if maybe(0.3) else None
    keep = rng.choice(BIAS_SHAPES) if maybe(0.25) else None
    lengths = None
    if maybe(0.35):
        lengths = tuple(rng.choice([0, 1, keys, keys - 1, keys + 7, -3, rng.randrange(keys + 1)])
                        for _ in range(batch))
    near = [0, 0, keys - rows, 1, -1, -rows, keys, -40, 64, rng.randrange(-20, 400)]
    offset = None
    if maybe(0.5):
        offset = rng.choice(near) if maybe(0.6) else tuple(rng.choice(near) for _ in range(batch))
    sinks = maybe(0.2)
    specials = [None] * 6
    if dtype in ("f32", "f64") and keys:
        specials.append("nan_unkept")
        if lengths is not None:
            specials.append("nan_beyond_lengths")
    if rows and bias:
        specials += ["minus_inf_bias"] * 3
    if rows and keep:
        specials += ["empty_row"] * 2
    if sinks:
        specials.append("minus_inf_sink")
    mask = None
    if maybe(0.7):
        mask = random_mask(rng, rng.choice([0, 0, 1, 2, 3]), heads, maybe(0.3))
    case = FuzzCase(
        B=batch, H=heads, G=kv_heads, S=rows, K=keys, D=rng.choice(WIDTHS), V=rng.choice(WIDTHS),
        dtype=dtype, mask=mask, bias=bias, keep=keep, kv_lengths=lengths, query_offset=offset,
        sinks=sinks, scale=rng.choice([None] * 4 + [0.3, 1.0, -0.5, 0.0]),
        softcap=rng.choice([0.5, 3.0, 30.0]) if maybe(0.2) else None,
        bias_order=rng.choice([None, "before_softcap", "after_softcap"]) if bias else None,
        precision=rng.choice([None] * 8 + ["f32", "f64"]), lse=maybe(0.4),
        special=rng.choice(specials),
        dynamic=rng.choice(["", "", "S", "K", "SK", "BSK", "B", "BHGSK", "HG"]),
        dynamic_ones=maybe(0.15), index_type=rng.choice(["i64", "i64", "i32"]),
        spread=rng.choice([1.0, 1.0, 1.0, 0.1, 5.0]), seed=seed,
        N=rng.choice(LENGTHS[:12]) if maybe(0.2) else -1, row_heads=rng.choice("HH1"),
        transposed="".join(x for x in "qkvo" if maybe(0.3)) if maybe(0.6) else "",
        flat=rng.choice(["", "", "qkvo", "q", "o"]),
        target=rng.choice(TARGETS), threads=rng.choice([1, 1, 2]),
    )
    case = with_cache(rng, case)
    # No weight of a kept pair may vanish: zero times NaN is the oracle's NaN.
    moderate = case.spread <= 1 and case.scale is None and case.bias is None
    if case.special is None and moderate and maybe(0.3):
        case = replace(case, special="nan_some")
    if maybe(0.25) and case.special != "nan_some":
        # What becomes of hidden pairs depends on the mask there.
        kinds = sorted(scores.KINDS.keys() - {"nan_future"})
        case = replace(case, score=rng.choice(kinds))
    return case


def _run_seeds(seeds, connection):
    with tempfile.TemporaryDirectory(prefix="attn-fuzz-") as folder:
        for seed in seeds:
            try:
                connection.send((seed, random_case(seed).run(folder)))
            except Exception as error:
                connection.send((seed, f"{type(error).__name__}: {error}"))


def run_seeds(seeds):
    """{seed: None or what is wrong}; a crash costs its own seed only."""
    context = multiprocessing.get_context("fork")
    problems = {}
    seeds = list(seeds)
    while seeds:
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_run_seeds, args=(seeds, sender))
        child.start()
        sender.close()
        while True:
            try:
                seed, problem = receiver.recv()
            except EOFError:
                break
            problems[seed] = problem
        child.join()
        seeds = [seed for seed in seeds if seed not in problems]
        if seeds:
            problems[seeds[0]] = f"the process ended with exit code {child.exitcode}"
            seeds = seeds[1:]
    return problems


class TestFuzzAttention(unittest.TestCase):
    pass


def _add_test(first, seeds):
    def test(self):
        wrong = [
            f"seed {seed}: {problem}\n  {random_case(seed)}"
            for seed, problem in run_seeds(seeds).items()
            if problem
        ]
        if wrong:
            self.fail("\n".join([f"{len(wrong)} of {len(seeds)} seeds failed", *wrong]))

    setattr(TestFuzzAttention, f"test_seeds_from_{first:06}", test)


for _first in range(FIRST, FIRST + CASES, CHUNK):
    _add_test(_first, range(_first, min(_first + CHUNK, FIRST + CASES)))

if __name__ == "__main__":
    unittest.main()
