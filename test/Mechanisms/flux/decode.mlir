// A decoding step of Flux Attention with a cache of what its gate needs: all keys
// of a full layer; 48 rows of a streaming one, its 16 first keys and a ring of
// the last two blocks of 16.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s

// Position of the key in each row of a cache whose last key stands at `%last`;
// -1 in rows that hold none yet.
func.func private @places(%last: index) -> tensor<48xindex> {
  %none = arith.constant -1 : index
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %empty = tensor.empty() : tensor<48xindex>
  %places = linalg.generic {indexing_maps = [affine_map<(r) -> (r)>], iterator_types = ["parallel"]}
      outs(%empty : tensor<48xindex>) {
  ^bb0(%old: index):
    %row = linalg.index 0 : index
    %sink = arith.cmpi slt, %row, %c16 : index
    // The latest position whose row in the ring is this one.
    %apart = arith.subi %last, %row : index
    %many = arith.maxsi %apart, %c0 : index
    %turns = arith.divui %many, %c32 : index
    %back = arith.muli %turns, %c32 : index
    %turned = arith.addi %row, %back : index
    %place = arith.select %sink, %row, %turned : index
    %there = arith.cmpi sle, %place, %last : index
    %y = arith.select %there, %place, %none : index
    linalg.yield %y : index
  } -> tensor<48xindex>
  return %places : tensor<48xindex>
}

// After the prompt: the rows of the small cache.
func.func @drop(%k: tensor<1x4x?x8xf32> {attn.name = "k"}, %v: tensor<1x4x?x8xf32> {attn.name = "v"})
    -> (tensor<1x4x48x8xf32> {attn.name = "keys"}, tensor<1x4x48x8xf32> {attn.name = "values"}) {
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = tensor.dim %k, %c2 : tensor<1x4x?x8xf32>
  %last = arith.subi %n, %c1 : index
  %places = func.call @places(%last) : (index) -> tensor<48xindex>
  %rows = tensor.expand_shape %places [[0, 1, 2]] output_shape [1, 1, 48] : tensor<48xindex> into tensor<1x1x48xindex>
  %keys = attn.gather_rows %k, %rows : tensor<1x4x?x8xf32>, tensor<1x1x48xindex> -> tensor<1x4x48x8xf32>
  %values = attn.gather_rows %v, %rows : tensor<1x4x?x8xf32>, tensor<1x1x48xindex> -> tensor<1x4x48x8xf32>
  return %keys, %values : tensor<1x4x48x8xf32>, tensor<1x4x48x8xf32>
}

// A streaming layer never holds more than 48 keys.
// CHECK-LABEL: func.func private @streaming
// CHECK: scf.forall
// CHECK: tensor.extract_slice %{{.*}} : tensor<1x4x48x8xf32>
func.func private @streaming(%q: tensor<1x4x1x8xf32>, %past_k: tensor<1x4x48x8xf32>, %past_v: tensor<1x4x48x8xf32>,
                             %k: tensor<1x4x1x8xf32>, %v: tensor<1x4x1x8xf32>, %position: index)
    -> (tensor<1x4x1x8xf32>, tensor<1x4x48x8xf32>, tensor<1x4x48x8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  // The row of the new key: its position, or its place in the ring.
  %apart = arith.subi %position, %c16 : index
  %many = arith.maxsi %apart, %c0 : index
  %turned = arith.remui %many, %c32 : index
  %ring = arith.addi %turned, %c16 : index
  %young = arith.cmpi slt, %position, %c16 : index
  %row = arith.select %young, %position, %ring : index
  %at = tensor.from_elements %row : tensor<1xindex>
  %keys = attn.kv_append %past_k, %k at(%at : tensor<1xindex>)
    : tensor<1x4x48x8xf32>, tensor<1x4x1x8xf32> -> tensor<1x4x48x8xf32>
  %values = attn.kv_append %past_v, %v at(%at : tensor<1xindex>)
    : tensor<1x4x48x8xf32>, tensor<1x4x1x8xf32> -> tensor<1x4x48x8xf32>
  // The ring still holds the end of the block before the last two.
  %places = func.call @places(%position) : (index) -> tensor<48xindex>
  %own = arith.divui %position, %c16 : index
  %oldest = arith.subi %own, %c1 : index
  %ke = tensor.empty() : tensor<48xi1>
  %seen = linalg.map ins(%places : tensor<48xindex>) outs(%ke : tensor<48xi1>)
    (%place: index, %old: i1) {
      %there = arith.cmpi sge, %place, %c0 : index
      %sink = arith.cmpi slt, %place, %c16 : index
      %block = arith.divsi %place, %c16 : index
      %near = arith.cmpi sge, %block, %oldest : index
      %any = arith.ori %sink, %near : i1
      %y = arith.andi %there, %any : i1
      linalg.yield %y : i1
    }
  %keep = tensor.expand_shape %seen [[0, 1, 2, 3]] output_shape [1, 1, 1, 48] : tensor<48xi1> into tensor<1x1x1x48xi1>
  %o = attn.attention %q, %keys, %values keep(%keep : tensor<1x1x1x48xi1>)
    : tensor<1x4x1x8xf32>, tensor<1x4x48x8xf32>, tensor<1x4x48x8xf32> -> tensor<1x4x1x8xf32>
  return %o, %keys, %values : tensor<1x4x1x8xf32>, tensor<1x4x48x8xf32>, tensor<1x4x48x8xf32>
}

// CHECK-LABEL: func.func @main
// CHECK: scf.if
// CHECK: scf.forall
// CHECK: else
// CHECK: call @streaming
func.func @main(%q: tensor<1x4x1x8xf32> {attn.name = "q"},
                %past_k: tensor<1x4x?x8xf32> {attn.name = "past_k"}, %past_v: tensor<1x4x?x8xf32> {attn.name = "past_v"},
                %k: tensor<1x4x1x8xf32> {attn.name = "k"}, %v: tensor<1x4x1x8xf32> {attn.name = "v"},
                %gate: tensor<1xi32> {attn.name = "gate"}, %place: tensor<1xi64> {attn.name = "position"})
    -> (tensor<1x4x1x8xf32> {attn.name = "o"}, tensor<1x4x?x8xf32> {attn.name = "keys"},
        tensor<1x4x?x8xf32> {attn.name = "values"}) {
  %c0 = arith.constant 0 : index
  %none = arith.constant 0 : i32
  %g = tensor.extract %gate[%c0] : tensor<1xi32>
  %full = arith.cmpi ne, %g, %none : i32
  %position64 = tensor.extract %place[%c0] : tensor<1xi64>
  %position = arith.index_cast %position64 : i64 to index
  %o, %keys, %values = scf.if %full -> (tensor<1x4x1x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>) {
    %fk = attn.kv_append %past_k, %k : tensor<1x4x?x8xf32>, tensor<1x4x1x8xf32> -> tensor<1x4x?x8xf32>
    %fv = attn.kv_append %past_v, %v : tensor<1x4x?x8xf32>, tensor<1x4x1x8xf32> -> tensor<1x4x?x8xf32>
    %x = attn.attention %q, %fk, %fv
      : tensor<1x4x1x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32> -> tensor<1x4x1x8xf32>
    scf.yield %x, %fk, %fv : tensor<1x4x1x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>
  } else {
    %sk = tensor.cast %past_k : tensor<1x4x?x8xf32> to tensor<1x4x48x8xf32>
    %sv = tensor.cast %past_v : tensor<1x4x?x8xf32> to tensor<1x4x48x8xf32>
    %x, %rk, %rv = func.call @streaming(%q, %sk, %sv, %k, %v, %position)
      : (tensor<1x4x1x8xf32>, tensor<1x4x48x8xf32>, tensor<1x4x48x8xf32>, tensor<1x4x1x8xf32>, tensor<1x4x1x8xf32>, index)
      -> (tensor<1x4x1x8xf32>, tensor<1x4x48x8xf32>, tensor<1x4x48x8xf32>)
    %dk = tensor.cast %rk : tensor<1x4x48x8xf32> to tensor<1x4x?x8xf32>
    %dv = tensor.cast %rv : tensor<1x4x48x8xf32> to tensor<1x4x?x8xf32>
    scf.yield %x, %dk, %dv : tensor<1x4x1x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>
  }
  return %o, %keys, %values : tensor<1x4x1x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>
}
