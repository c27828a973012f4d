// Rounding to bf16 must not call a function that no library here has.
// RUN: attn compile %s -o %t.so --target x86-64-v3
// RUN: attn run %t.so --input x=3x4xbf16:ones --threads 1 | FileCheck %s
// CHECK: bfloat16 [3, 4], min 0.400391, max 0.400391

func.func @main(%x: tensor<?x?xbf16> {attn.name = "x"}) -> tensor<?x?xbf16> {
  %c = arith.constant 0.4 : f32
  %0 = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]}
      outs(%x : tensor<?x?xbf16>) {
    ^bb0(%a: bf16):
      %1 = arith.extf %a : bf16 to f32
      %2 = arith.mulf %1, %c : f32
      // 0.4 is 204.8 steps of 2^-9: the nearest is 205 of them.
      %3 = arith.truncf %2 : f32 to bf16
      linalg.yield %3 : bf16
  } -> tensor<?x?xbf16>
  return %0 : tensor<?x?xbf16>
}
