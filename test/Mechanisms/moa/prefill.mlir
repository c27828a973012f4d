// MoA (arXiv:2406.14909). The span of a head is a rule of the planned length N,
//
//   total = min(int(alpha + beta N), N), at least two units, in whole units,
//
// of which the first unit holds the first keys and the others the recent ones.
// A unit is 16 keys here. 4 heads have rules of their own.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// The bounds of the key loops come from the two numbers of the head.
// CHECK-LABEL: func.func @main
// CHECK: scf.forall (%[[B:.*]], %[[H:.*]], %{{.*}}) in
// CHECK: %[[HEAD:.*]] = arith.minsi %[[H]], %c3
// CHECK: tensor.extract %{{.*}}[%c0, %[[HEAD]]] : tensor<1x4xi64>
// CHECK: scf.for
// EXPLAIN: elastic<block = 16>]>{{ +}}at most 50.1 % at 1024

func.func private @spans(%alpha: tensor<4xf64>, %beta: tensor<4xf64>, %planned: index)
    -> tensor<1x4xi64> {
  %n = arith.index_cast %planned : index to i64
  %nf = arith.sitofp %n : i64 to f64
  %least = arith.constant 32 : i64
  %unit = arith.constant 16 : i64
  %one = arith.constant 1 : i64
  %empty = tensor.empty() : tensor<1x4xi64>
  %recent = linalg.generic {
      indexing_maps = [affine_map<(b, h) -> (h)>, affine_map<(b, h) -> (h)>,
                       affine_map<(b, h) -> (b, h)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%alpha, %beta : tensor<4xf64>, tensor<4xf64>) outs(%empty : tensor<1x4xi64>) {
  ^bb0(%a: f64, %b: f64, %old: i64):
    %grown = arith.mulf %b, %nf : f64
    %sum = arith.addf %a, %grown : f64
    %whole = arith.fptosi %sum : f64 to i64
    %fits = arith.minsi %whole, %n : i64
    %enough = arith.maxsi %fits, %least : i64
    %units = arith.ceildivsi %enough, %unit : i64
    %rest = arith.subi %units, %one : i64
    linalg.yield %rest : i64
  } -> tensor<1x4xi64>
  return %recent : tensor<1x4xi64>
}

func.func @main(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                %v: tensor<?x4x?x16xf32> {attn.name = "v"},
                %alpha: tensor<4xf64> {attn.name = "alpha"},
                %beta: tensor<4xf64> {attn.name = "beta"},
                %more: tensor<1xi64> {attn.name = "more"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"},
        tensor<1x4xi64> {attn.name = "recent"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %length = tensor.dim %q, %c2 : tensor<?x4x?x16xf32>
  %new = tensor.extract %more[%c0] : tensor<1xi64>
  %newIndex = arith.index_cast %new : i64 to index
  %planned = arith.addi %length, %newIndex : index
  %recent = func.call @spans(%alpha, %beta, %planned)
    : (tensor<4xf64>, tensor<4xf64>, index) -> tensor<1x4xi64>
  %first = arith.constant dense<1> : tensor<1x4xi64>
  %o = attn.attention %q, %k, %v
    mask(#attn.all_of<[#attn.causal, #attn.elastic<block = 16>]>,
         %first, %recent : tensor<1x4xi64>, tensor<1x4xi64>)
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o, %recent : tensor<?x4x?x16xf32>, tensor<1x4xi64>
}

// While rules are searched the first unit comes on top, and the span is
// int(alpha / unit + beta * blocks) units.
func.func @search(%q: tensor<?x4x?x16xf32> {attn.name = "q"},
                  %k: tensor<?x4x?x16xf32> {attn.name = "k"},
                  %v: tensor<?x4x?x16xf32> {attn.name = "v"},
                  %recent: tensor<1x4xi64> {attn.name = "recent"})
    -> (tensor<?x4x?x16xf32> {attn.name = "o"}) {
  %first = arith.constant dense<1> : tensor<1x4xi64>
  %o = attn.attention %q, %k, %v
    mask(#attn.all_of<[#attn.causal, #attn.elastic<block = 16>]>,
         %first, %recent : tensor<1x4xi64>, tensor<1x4xi64>)
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32> -> tensor<?x4x?x16xf32>
  return %o : tensor<?x4x?x16xf32>
}
