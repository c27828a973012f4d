// S2-Attention (arXiv:2407.17678): 8 query heads over 4 key heads, blocks of 16
// keys, of which a head sees its 2 own ones and every fourth, at places that
// differ from one key head to the next.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// Local blocks and stripes follow from the number of the head; no table of blocks
// is an operand.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall (%{{.*}}, %[[HEAD:.*]], %{{.*}}) in
// CHECK: arith.{{cmpi|divsi|floordivsi|select}} {{.*}}%[[HEAD]]
// CHECK: scf.for
// EXPLAIN: strided<stride = 4, block = 16, phase = 3, anchor = origin>{{.*}} 14.{{[0-9]}} % at 1024

#local = #attn.window<left = 1, right = 0, block = 16>
#s0 = #attn.all_of<[#attn.causal, #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 0, anchor = origin>]>]>
#s1 = #attn.all_of<[#attn.causal, #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 1, anchor = origin>]>]>
#s2 = #attn.all_of<[#attn.causal, #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 2, anchor = origin>]>]>
#s3 = #attn.all_of<[#attn.causal, #attn.any_of<[#local, #attn.strided<stride = 4, block = 16, phase = 3, anchor = origin>]>]>

func.func @main(%q: tensor<?x8x?x16xf32> {attn.name = "q"},
                %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                %v: tensor<?x4x?x16xf32> {attn.name = "v"})
    -> (tensor<?x8x?x16xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v
    mask(#attn.per_head<[#s0, #s1, #s2, #s3], [0, 0, 1, 1, 2, 2, 3, 3]>)
    : tensor<?x8x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x8x?x16xf32>
  return %o : tensor<?x8x?x16xf32>
}

// The last key head is dense.
func.func @hybrid(%q: tensor<?x8x?x16xf32> {attn.name = "q"},
                  %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                  %v: tensor<?x4x?x16xf32> {attn.name = "v"})
    -> (tensor<?x8x?x16xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v
    mask(#attn.per_head<[#s0, #s1, #s2, #attn.causal], [0, 0, 1, 1, 2, 2, 3, 3]>)
    : tensor<?x8x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x8x?x16xf32>
  return %o : tensor<?x8x?x16xf32>
}

// A stride of one block keeps every block.
#dense = #attn.all_of<[#attn.causal, #attn.any_of<[#local, #attn.strided<stride = 1, block = 16, phase = 0, anchor = origin>]>]>
func.func @dense(%q: tensor<?x8x?x16xf32> {attn.name = "q"},
                 %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                 %v: tensor<?x4x?x16xf32> {attn.name = "v"})
    -> (tensor<?x8x?x16xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v mask(#dense)
    : tensor<?x8x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x8x?x16xf32>
  return %o : tensor<?x8x?x16xf32>
}
