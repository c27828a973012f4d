// One token of one head. Its cache has as many rows as the rule gave it: the
// first 16 keys, and a ring of the others that already holds the token itself.
// Heads of one span are decoded together; the order of rows does not matter, as
// keys carry their rotation.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// Only the rows of the cache are visited, whatever the length of the text.
// CHECK-LABEL: func.func @main
// CHECK: tensor.dim %[[KEYS:.*]], %c2 : tensor<?x?x?x16xf32>
// CHECK: scf.forall
// CHECK: scf.for
func.func @main(%q: tensor<?x?x1x16xf32> {attn.name = "q"},
                %ring_k: tensor<?x?x?x16xf32> {attn.name = "ring_k"},
                %ring_v: tensor<?x?x?x16xf32> {attn.name = "ring_v"},
                %k: tensor<?x?x1x16xf32> {attn.name = "k"},
                %v: tensor<?x?x1x16xf32> {attn.name = "v"},
                %past: tensor<1xi64> {attn.name = "past"})
    -> (tensor<?x?x1x16xf32> {attn.name = "o"},
        tensor<?x?x?x16xf32> {attn.name = "next_k"},
        tensor<?x?x?x16xf32> {attn.name = "next_v"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %one = arith.constant 1 : i64
  %sink = arith.constant 16 : i64
  %b = tensor.dim %q, %c0 : tensor<?x?x1x16xf32>
  %rows = tensor.dim %ring_k, %c2 : tensor<?x?x?x16xf32>
  %size = arith.index_cast %rows : index to i64
  %position = tensor.extract %past[%c0] : tensor<1xi64>
  // Position p lies at p while that is in the first unit, else in the ring.
  %ring = arith.subi %size, %sink : i64
  %behind = arith.subi %position, %sink : i64
  %turned = arith.remsi %behind, %ring : i64
  %inRing = arith.addi %turned, %sink : i64
  %early = arith.cmpi slt, %position, %sink : i64
  %place = arith.select %early, %position, %inRing : i64
  %count = arith.addi %position, %one : i64
  %valid = arith.minsi %count, %size : i64
  %at = tensor.splat %place[%b] : tensor<?xi64>
  %lengths = tensor.splat %valid[%b] : tensor<?xi64>
  %keys = attn.kv_append %ring_k, %k at(%at : tensor<?xi64>)
    : tensor<?x?x?x16xf32>, tensor<?x?x1x16xf32> -> tensor<?x?x?x16xf32>
  %values = attn.kv_append %ring_v, %v at(%at : tensor<?xi64>)
    : tensor<?x?x?x16xf32>, tensor<?x?x1x16xf32> -> tensor<?x?x?x16xf32>
  %o = attn.attention %q, %keys, %values kv_lengths(%lengths : tensor<?xi64>)
    : tensor<?x?x1x16xf32>, tensor<?x?x?x16xf32>, tensor<?x?x?x16xf32> -> tensor<?x?x1x16xf32>
  return %o, %keys, %values
    : tensor<?x?x1x16xf32>, tensor<?x?x?x16xf32>, tensor<?x?x?x16xf32>
}
