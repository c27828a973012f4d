// RazorAttention (arXiv:2407.15891): of two key heads the first keeps all its
// keys; the second keeps 4 sinks, the last max(32, N / 5) keys, and one mean key
// and value for all that it drops. The prompt itself is attended to in full.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: causal
// CHECK-LABEL: func.func @main
// CHECK: scf.forall
// CHECK: return
func.func @main(%q: tensor<1x4x?x16xf32> {attn.name = "q"},
                %k: tensor<1x2x?x16xf32> {attn.name = "k"},
                %v: tensor<1x2x?x16xf32> {attn.name = "v"})
    -> (tensor<1x4x?x16xf32> {attn.name = "o"},
        tensor<1x1x?x16xf32> {attn.name = "kept_k"},
        tensor<1x1x?x16xf32> {attn.name = "kept_v"},
        tensor<1xi64> {attn.name = "dropped"}) {
  %o = attn.attention %q, %k, %v mask(#attn.causal)
    : tensor<1x4x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32> -> tensor<1x4x?x16xf32>

  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %c32 = arith.constant 32 : index
  %n = tensor.dim %k, %c2 : tensor<1x2x?x16xf32>
  %share = arith.divui %n, %c5 : index
  %recent = arith.maxui %share, %c32 : index
  %sink = arith.minui %n, %c4 : index
  %start = arith.subi %n, %recent : index
  %begin = arith.maxsi %start, %sink : index
  %count = arith.subi %begin, %sink : index
  %tail = arith.subi %n, %begin : index
  %bounds = tensor.from_elements %sink, %begin : tensor<1x2xindex>

  %ck = tensor.extract_slice %k[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1]
    : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %cv = tensor.extract_slice %v[0, 1, 0, 0] [1, 1, %n, 16] [1, 1, 1, 1]
    : tensor<1x2x?x16xf32> to tensor<1x1x?x16xf32>
  %mk = attn.pool mean %ck bounds(%bounds : tensor<1x2xindex>)
    : tensor<1x1x?x16xf32> -> tensor<1x1x1x16xf32>
  %mv = attn.pool mean %cv bounds(%bounds : tensor<1x2xindex>)
    : tensor<1x1x?x16xf32> -> tensor<1x1x1x16xf32>
  %sk = tensor.extract_slice %ck[0, 0, 0, 0] [1, 1, %sink, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x?x16xf32>
  %sv = tensor.extract_slice %cv[0, 0, 0, 0] [1, 1, %sink, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x?x16xf32>
  %rk = tensor.extract_slice %ck[0, 0, %begin, 0] [1, 1, %tail, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x?x16xf32>
  %rv = tensor.extract_slice %cv[0, 0, %begin, 0] [1, 1, %tail, 16] [1, 1, 1, 1]
    : tensor<1x1x?x16xf32> to tensor<1x1x?x16xf32>
  %kept_k = tensor.concat dim(2) %mk, %sk, %rk
    : (tensor<1x1x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>) -> tensor<1x1x?x16xf32>
  %kept_v = tensor.concat dim(2) %mv, %sv, %rv
    : (tensor<1x1x1x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>) -> tensor<1x1x?x16xf32>
  %count64 = arith.index_cast %count : index to i64
  %dropped = tensor.from_elements %count64 : tensor<1xi64>
  return %o, %kept_k, %kept_v, %dropped
    : tensor<1x4x?x16xf32>, tensor<1x1x?x16xf32>, tensor<1x1x?x16xf32>, tensor<1xi64>
}
