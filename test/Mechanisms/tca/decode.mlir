// After TCA-Attention's prefill the cache shrinks to what it kept, in other
// numbers for each head; a decoding step appends behind each head's own rows and
// reads as many.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: key lengths

// The kept tokens, the first 4 and the last 16: [B, G, M, D], M the most that a
// head has.
func.func @compact(%k: tensor<?x2x?x16xf32> {attn.name = "k"}, %v: tensor<?x2x?x16xf32> {attn.name = "v"},
                   %kept: tensor<?x2x1x?xi32> {attn.name = "kept"})
    -> (tensor<?x2x?x16xf32> {attn.name = "keys"}, tensor<?x2x?x16xf32> {attn.name = "values"},
        tensor<?x2xi64> {attn.name = "lengths"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %none = arith.constant 0 : i64
  %batch = tensor.dim %k, %c0 : tensor<?x2x?x16xf32>
  %n = tensor.dim %k, %c2 : tensor<?x2x?x16xf32>
  %recent = arith.subi %n, %c16 : index
  %ge = tensor.empty(%batch, %n) : tensor<?x?x2xf32>
  %near = linalg.generic {
      indexing_maps = [affine_map<(b, n, g) -> (b, n, g)>],
      iterator_types = ["parallel", "parallel", "parallel"]} outs(%ge : tensor<?x?x2xf32>) {
  ^bb0(%old: f32):
    %t = linalg.index 1 : index
    %first = arith.cmpi slt, %t, %c4 : index
    %last = arith.cmpi sge, %t, %recent : index
    %any = arith.ori %first, %last : i1
    %y = arith.select %any, %one, %zero : f32
    linalg.yield %y : f32
  } -> tensor<?x?x2xf32>
  %list = tensor.collapse_shape %kept [[0], [1], [2, 3]] : tensor<?x2x1x?xi32> into tensor<?x2x?xi32>
  %gates = linalg.generic {
      indexing_maps = [affine_map<(b, n, g, i) -> (b, g, i)>, affine_map<(b, n, g, i) -> (b, n, g)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%list : tensor<?x2x?xi32>) outs(%near : tensor<?x?x2xf32>) {
  ^bb0(%x: i32, %old: f32):
    %t = linalg.index 1 : index
    %token = arith.index_cast %x : i32 to index
    %here = arith.cmpi eq, %t, %token : index
    %y = arith.select %here, %one, %old : f32
    linalg.yield %y : f32
  } -> tensor<?x?x2xf32>
  %rows, %lengths, %weights = attn.list_rows %gates
    : tensor<?x?x2xf32> -> tensor<?x2x?xi64>, tensor<?x2xi64>, tensor<?x2x?xf32>
  %me = tensor.empty() : tensor<i64>
  %mz = linalg.fill ins(%none : i64) outs(%me : tensor<i64>) -> tensor<i64>
  %max = linalg.reduce { arith.maxsi } ins(%lengths : tensor<?x2xi64>) outs(%mz : tensor<i64>) dimensions = [0, 1]
  %most64 = tensor.extract %max[] : tensor<i64>
  %most = arith.index_cast %most64 : i64 to index
  %own = tensor.extract_slice %rows[0, 0, 0] [%batch, 2, %most] [1, 1, 1] : tensor<?x2x?xi64> to tensor<?x2x?xi64>
  %keys = attn.gather_rows %k, %own : tensor<?x2x?x16xf32>, tensor<?x2x?xi64> -> tensor<?x2x?x16xf32>
  %values = attn.gather_rows %v, %own : tensor<?x2x?x16xf32>, tensor<?x2x?xi64> -> tensor<?x2x?x16xf32>
  return %keys, %values, %lengths : tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2xi64>
}

// One token: each head writes behind its own rows, and visits them alone.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: tensor.extract %{{.*}} : tensor<?x2xi64>
func.func @main(%q: tensor<?x4x1x16xf32> {attn.name = "q"},
                %past_k: tensor<?x2x?x16xf32> {attn.name = "past_k"},
                %past_v: tensor<?x2x?x16xf32> {attn.name = "past_v"},
                %lengths: tensor<?x2xi64> {attn.name = "lengths"},
                %k: tensor<?x2x1x16xf32> {attn.name = "k"}, %v: tensor<?x2x1x16xf32> {attn.name = "v"})
    -> (tensor<?x4x1x16xf32> {attn.name = "o"}, tensor<?x2x?x16xf32> {attn.name = "keys"},
        tensor<?x2x?x16xf32> {attn.name = "values"}, tensor<?x2xi64> {attn.name = "next"}) {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1 : i64
  // Room for the new token of the longest head.
  %kr = attn.kv_append %past_k, %k : tensor<?x2x?x16xf32>, tensor<?x2x1x16xf32> -> tensor<?x2x?x16xf32>
  %vr = attn.kv_append %past_v, %v : tensor<?x2x?x16xf32>, tensor<?x2x1x16xf32> -> tensor<?x2x?x16xf32>
  %keys = attn.kv_append %kr, %k at(%lengths : tensor<?x2xi64>)
    : tensor<?x2x?x16xf32>, tensor<?x2x1x16xf32> -> tensor<?x2x?x16xf32>
  %values = attn.kv_append %vr, %v at(%lengths : tensor<?x2xi64>)
    : tensor<?x2x?x16xf32>, tensor<?x2x1x16xf32> -> tensor<?x2x?x16xf32>
  %batch = tensor.dim %lengths, %c0 : tensor<?x2xi64>
  %ne = tensor.empty(%batch) : tensor<?x2xi64>
  %next = linalg.map ins(%lengths : tensor<?x2xi64>) outs(%ne : tensor<?x2xi64>)
    (%x: i64, %old: i64) {
      %y = arith.addi %x, %one : i64
      linalg.yield %y : i64
    }
  %o = attn.attention %q, %keys, %values kv_lengths(%next : tensor<?x2xi64>)
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32> -> tensor<?x4x1x16xf32>
  return %o, %keys, %values, %next
    : tensor<?x4x1x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2xi64>
}
