// Flux Attention: a layer is full or streaming, as a small network says of the
// mean query. The answer is one number for a request, kept for its decoding.
//
// RUN: attn-opt %s --convert-attn-to-tiles --canonicalize --cse | FileCheck %s
// RUN: attn explain %s --entry main | FileCheck %s --check-prefix=EXPLAIN

// EXPLAIN: causal
// EXPLAIN: sink<16>
// EXPLAIN: 2 attentions recognised

#sparse = #attn.all_of<[#attn.causal, #attn.any_of<[#attn.sink<16>,
                        #attn.window<left = 1, right = -1, block = 16>]>]>

// The mean over heads and the first 10 and last 10 tokens (a short text counts
// some twice), then five layers with silu after the first, third and fourth.
func.func @router(%q: tensor<1x4x?x8xf32> {attn.name = "q"},
    %w0: tensor<8x64xf32> {attn.name = "w0"}, %b0: tensor<64xf32> {attn.name = "b0"},
    %w1: tensor<64x16xf32> {attn.name = "w1"}, %b1: tensor<16xf32> {attn.name = "b1"},
    %w2: tensor<16x32xf32> {attn.name = "w2"}, %b2: tensor<32xf32> {attn.name = "b2"},
    %w3: tensor<32x8xf32> {attn.name = "w3"}, %b3: tensor<8xf32> {attn.name = "b3"},
    %w4: tensor<8x2xf32> {attn.name = "w4"}, %b4: tensor<2xf32> {attn.name = "b4"})
    -> (tensor<2xf32> {attn.name = "logits"}, tensor<1xi32> {attn.name = "gate"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %c10 = arith.constant 10 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %n = tensor.dim %q, %c2 : tensor<1x4x?x8xf32>
  %part = arith.minui %n, %c10 : index
  %begin = arith.subi %n, %part : index
  %head = tensor.extract_slice %q[0, 0, 0, 0] [1, 4, %part, 8] [1, 1, 1, 1] : tensor<1x4x?x8xf32> to tensor<1x4x?x8xf32>
  %tail = tensor.extract_slice %q[0, 0, %begin, 0] [1, 4, %part, 8] [1, 1, 1, 1] : tensor<1x4x?x8xf32> to tensor<1x4x?x8xf32>
  %ends = tensor.concat dim(2) %head, %tail : (tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>) -> tensor<1x4x?x8xf32>
  %pe = tensor.empty() : tensor<8xf32>
  %pz = linalg.fill ins(%zero : f32) outs(%pe : tensor<8xf32>) -> tensor<8xf32>
  %sum = linalg.reduce { arith.addf } ins(%ends : tensor<1x4x?x8xf32>) outs(%pz : tensor<8xf32>) dimensions = [0, 1, 2]
  %count = arith.muli %part, %c8 : index
  %count32 = arith.index_cast %count : index to i32
  %countf = arith.uitofp %count32 : i32 to f32
  %x0 = linalg.map ins(%sum : tensor<8xf32>) outs(%pe : tensor<8xf32>)
    (%x: f32, %old: f32) {
      %y = arith.divf %x, %countf : f32
      linalg.yield %y : f32
    }
  %y0 = linalg.vecmat ins(%x0, %w0 : tensor<8xf32>, tensor<8x64xf32>) outs(%b0 : tensor<64xf32>) -> tensor<64xf32>
  %e0 = tensor.empty() : tensor<64xf32>
  %x1 = linalg.map ins(%y0 : tensor<64xf32>) outs(%e0 : tensor<64xf32>)
    (%x: f32, %old: f32) {
      %m = arith.negf %x : f32
      %e = math.exp %m : f32
      %d = arith.addf %one, %e : f32
      %y = arith.divf %x, %d : f32
      linalg.yield %y : f32
    }
  %y1 = linalg.vecmat ins(%x1, %w1 : tensor<64xf32>, tensor<64x16xf32>) outs(%b1 : tensor<16xf32>) -> tensor<16xf32>
  %y2 = linalg.vecmat ins(%y1, %w2 : tensor<16xf32>, tensor<16x32xf32>) outs(%b2 : tensor<32xf32>) -> tensor<32xf32>
  %e2 = tensor.empty() : tensor<32xf32>
  %x3 = linalg.map ins(%y2 : tensor<32xf32>) outs(%e2 : tensor<32xf32>)
    (%x: f32, %old: f32) {
      %m = arith.negf %x : f32
      %e = math.exp %m : f32
      %d = arith.addf %one, %e : f32
      %y = arith.divf %x, %d : f32
      linalg.yield %y : f32
    }
  %y3 = linalg.vecmat ins(%x3, %w3 : tensor<32xf32>, tensor<32x8xf32>) outs(%b3 : tensor<8xf32>) -> tensor<8xf32>
  %e3 = tensor.empty() : tensor<8xf32>
  %x4 = linalg.map ins(%y3 : tensor<8xf32>) outs(%e3 : tensor<8xf32>)
    (%x: f32, %old: f32) {
      %m = arith.negf %x : f32
      %e = math.exp %m : f32
      %d = arith.addf %one, %e : f32
      %y = arith.divf %x, %d : f32
      linalg.yield %y : f32
    }
  %y4 = linalg.vecmat ins(%x4, %w4 : tensor<8xf32>, tensor<8x2xf32>) outs(%b4 : tensor<2xf32>) -> tensor<2xf32>
  // The first of equal logits is the larger: streaming.
  %sparse = tensor.extract %y4[%c0] : tensor<2xf32>
  %full = tensor.extract %y4[%c1] : tensor<2xf32>
  %choice = arith.cmpf ogt, %full, %sparse : f32
  %choice32 = arith.extui %choice : i1 to i32
  %gate = tensor.from_elements %choice32 : tensor<1xi32>
  return %y4, %gate : tensor<2xf32>, tensor<1xi32>
}

// One of two attentions runs. The streaming one leaves out what lies between
// sink and window.
// CHECK-LABEL: func.func @attend
// CHECK: scf.if
// CHECK: scf.forall
// CHECK: else
// CHECK: scf.forall
func.func @attend(%q: tensor<1x4x?x8xf32> {attn.name = "q"}, %k: tensor<1x4x?x8xf32> {attn.name = "k"}, %v: tensor<1x4x?x8xf32> {attn.name = "v"},
                  %gate: tensor<1xi32> {attn.name = "gate"})
    -> (tensor<1x4x?x8xf32> {attn.name = "o"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %none = arith.constant 0 : i32
  %g = tensor.extract %gate[%c0] : tensor<1xi32>
  %full = arith.cmpi ne, %g, %none : i32
  // A new row stands at the end.
  %rows = tensor.dim %q, %c2 : tensor<1x4x?x8xf32>
  %keys = tensor.dim %k, %c2 : tensor<1x4x?x8xf32>
  %past = arith.subi %keys, %rows : index
  %o = scf.if %full -> (tensor<1x4x?x8xf32>) {
    %x = attn.attention %q, %k, %v mask(#attn.causal) query_offset(%past : index) : tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32> -> tensor<1x4x?x8xf32>
    scf.yield %x : tensor<1x4x?x8xf32>
  } else {
    %x = attn.attention %q, %k, %v mask(#sparse) query_offset(%past : index) : tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32> -> tensor<1x4x?x8xf32>
    scf.yield %x : tensor<1x4x?x8xf32>
  }
  return %o : tensor<1x4x?x8xf32>
}

// The router sees the queries before their rotation.
// CHECK-LABEL: func.func @main
// CHECK: call @router
// CHECK: call @attend
func.func @main(%raw: tensor<1x4x?x8xf32> {attn.name = "raw"}, %q: tensor<1x4x?x8xf32> {attn.name = "q"}, %k: tensor<1x4x?x8xf32> {attn.name = "k"},
    %v: tensor<1x4x?x8xf32> {attn.name = "v"},
    %w0: tensor<8x64xf32> {attn.name = "w0"}, %b0: tensor<64xf32> {attn.name = "b0"},
    %w1: tensor<64x16xf32> {attn.name = "w1"}, %b1: tensor<16xf32> {attn.name = "b1"},
    %w2: tensor<16x32xf32> {attn.name = "w2"}, %b2: tensor<32xf32> {attn.name = "b2"},
    %w3: tensor<32x8xf32> {attn.name = "w3"}, %b3: tensor<8xf32> {attn.name = "b3"},
    %w4: tensor<8x2xf32> {attn.name = "w4"}, %b4: tensor<2xf32> {attn.name = "b4"})
    -> (tensor<1x4x?x8xf32> {attn.name = "o"}, tensor<1xi32> {attn.name = "gate"}) {
  %logits, %gate = func.call @router(%raw, %w0, %b0, %w1, %b1, %w2, %b2, %w3, %b3, %w4, %b4)
    : (tensor<1x4x?x8xf32>, tensor<8x64xf32>, tensor<64xf32>, tensor<64x16xf32>, tensor<16xf32>, tensor<16x32xf32>, tensor<32xf32>, tensor<32x8xf32>, tensor<8xf32>, tensor<8x2xf32>, tensor<2xf32>) -> (tensor<2xf32>, tensor<1xi32>)
  %o = func.call @attend(%q, %k, %v, %gate) : (tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1xi32>) -> tensor<1x4x?x8xf32>
  return %o, %gate : tensor<1x4x?x8xf32>, tensor<1xi32>
}
