// One new token at position `past`. The patterns are those of absolute blocks.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: scf.for

#local = #attn.window<left = 1, right = 0, block = 16>
#s0 = #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 0, anchor = origin>]>
#s1 = #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 1, anchor = origin>]>
#s2 = #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 2, anchor = origin>]>
#s3 = #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 3, anchor = origin>]>

func.func @main(%q: tensor<?x8x1x16xf32> {attn.name = "q"},
                %past_k: tensor<?x4x?x16xf32> {attn.name = "past_k"},
                %past_v: tensor<?x4x?x16xf32> {attn.name = "past_v"},
                %k: tensor<?x4x1x16xf32> {attn.name = "k"},
                %v: tensor<?x4x1x16xf32> {attn.name = "v"})
    -> (tensor<?x8x1x16xf32> {attn.name = "o"}) {
  %c2 = arith.constant 2 : index
  %past = tensor.dim %past_k, %c2 : tensor<?x4x?x16xf32>
  %keys = attn.kv_append %past_k, %k
    : tensor<?x4x?x16xf32>, tensor<?x4x1x16xf32> -> tensor<?x4x?x16xf32>
  %values = attn.kv_append %past_v, %v
    : tensor<?x4x?x16xf32>, tensor<?x4x1x16xf32> -> tensor<?x4x?x16xf32>
  %o = attn.attention %q, %keys, %values
    mask(#attn.per_head<[#s0, #s1, #s2, #s3], [0, 0, 1, 1, 2, 2, 3, 3]>)
    query_offset(%past : index)
    : tensor<?x8x1x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x8x1x16xf32>
  return %o : tensor<?x8x1x16xf32>
}
