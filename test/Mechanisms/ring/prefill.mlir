// Ring attention (arXiv:2310.01889): a device holds its rows of the query, the
// keys and values of the others pass by, and each block joins what the earlier
// ones gave by its lse.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// One step, as a device does it when a block has arrived. `offset` is where its
// first query row stands, counted from the first key of the block; a block of
// the future (below 0) has no key loop that runs.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: %[[AT:.*]] = arith.index_cast %{{.*}} : i64 to index
// CHECK: %[[END:.*]] = arith.addi %[[AT]], %c1
// CHECK: arith.minsi %[[END]], %{{.*}} : index
// CHECK: scf.for
// EXPLAIN: causal
func.func @main(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                %k: tensor<?x2x?x16xf32> {attn.name = "k"},
                %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                %offset: tensor<?xi64> {attn.name = "offset"},
                %o0: tensor<?x4x?x16xf32> {attn.name = "o_before"},
                %l0: tensor<?x4x?xf32> {attn.name = "lse_before"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}, tensor<?x4x?xf32> {attn.name = "lse"}) {
  %o1, %l1 = attn.attention %q, %k, %v mask(#attn.causal) query_offset(%offset : tensor<?xi64>)
    : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>
    -> tensor<?x4x?x16xf32>, tensor<?x4x?xf32>
  %o, %l = attn.merge (%o0, %l0), (%o1, %l1) : tensor<?x4x?x16xf32>, tensor<?x4x?xf32>
  return %o, %l : tensor<?x4x?x16xf32>, tensor<?x4x?xf32>
}

// All steps of a device, blocks of 48 keys in the order of the ring; the last
// one may be short.
// CHECK-LABEL: func.func @ring
// CHECK: scf.for {{.*}} -> (tensor<1x4x?x16xf32>, tensor<1x4x?xf32>)
func.func @ring(%q: tensor<1x4x?x16xf32> {attn.name = "q"},
                %k: tensor<1x2x?x16xf32> {attn.name = "k"},
                %v: tensor<1x2x?x16xf32> {attn.name = "v"})
    -> (tensor<1x4x?x16xf32> {attn.name = "o"}, tensor<1x4x?xf32> {attn.name = "lse"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c48 = arith.constant 48 : index
  %zero = arith.constant 0.0 : f32
  %never = arith.constant 0xFF800000 : f32
  %n = tensor.dim %q, %c2 : tensor<1x4x?x16xf32>
  %m = tensor.dim %k, %c2 : tensor<1x2x?x16xf32>
  %oe = tensor.empty(%n) : tensor<1x4x?x16xf32>
  %le = tensor.empty(%n) : tensor<1x4x?xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%oe : tensor<1x4x?x16xf32>) -> tensor<1x4x?x16xf32>
  %l0 = linalg.fill ins(%never : f32) outs(%le : tensor<1x4x?xf32>) -> tensor<1x4x?xf32>
  %o, %l = scf.for %at = %c0 to %m step %c48 iter_args(%oa = %o0, %la = %l0)
      -> (tensor<1x4x?x16xf32>, tensor<1x4x?xf32>) {
    %left = arith.subi %m, %at : index
    %size = arith.minsi %left, %c48 : index
    %kb = tensor.extract_slice %k[0, 0, %at, 0] [1, 2, %size, 16] [1, 1, 1, 1]
      : tensor<1x2x?x16xf32> to tensor<1x2x?x16xf32>
    %vb = tensor.extract_slice %v[0, 0, %at, 0] [1, 2, %size, 16] [1, 1, 1, 1]
      : tensor<1x2x?x16xf32> to tensor<1x2x?x16xf32>
    %offset = arith.subi %c0, %at : index
    %ob, %lb = attn.attention %q, %kb, %vb mask(#attn.causal) query_offset(%offset : index)
      : tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>
      -> tensor<1x4x?x16xf32>, tensor<1x4x?xf32>
    %on, %ln = attn.merge (%oa, %la), (%ob, %lb) : tensor<1x4x?x16xf32>, tensor<1x4x?xf32>
    scf.yield %on, %ln : tensor<1x4x?x16xf32>, tensor<1x4x?xf32>
  }
  return %o, %l : tensor<1x4x?x16xf32>, tensor<1x4x?xf32>
}
