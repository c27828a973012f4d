// RUN: attn-opt %s --split-input-file --verify-diagnostics

func.func @score_arguments(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'score' to have the arguments ('f32', index, index, index, index, index): score, batch entry, head, row, position and key, but they are ('f32', 'index')}}
  %o = attn.attention %q, %q, %q
    score(%s: f32, %key: index) {
      attn.yield %s : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @score_type(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'score' to have the arguments ('f32', index, index, index, index, index): score, batch entry, head, row, position and key, but they are ('f64', 'index', 'index', 'index', 'index', 'index')}}
  %o = attn.attention %q, %q, %q
    score(%s: f64, %b: index, %h: index, %row: index, %position: index, %key: index) {
      attn.yield %s : f64
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @score_yields(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'score' to yield 'f32', but it yields 'f64'}}
  %o = attn.attention %q, %q, %q
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %t = arith.extf %s : f32 to f64
      attn.yield %t : f64
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @score_end(%q: tensor<1x2x3x4xf32>) {
  %o = attn.attention %q, %q, %q
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      // expected-error @below {{'func.return' op expects parent op 'func.func'}}
      func.return
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @score_effects(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'score' to be code of scalars, but it has 'func.call'}}
  %o = attn.attention %q, %q, %q
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      // expected-note @below {{it may have effects}}
      func.call @f() : () -> ()
      attn.yield %s : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}
func.func private @f()

// -----

func.func @score_regions(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'score' to be code of scalars, but it has 'scf.if'}}
  %o = attn.attention %q, %q, %q
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      %never = arith.constant false
      // expected-note @below {{it has regions}}
      %t = scf.if %never -> f32 {
        scf.yield %s : f32
      } else {
        scf.yield %s : f32
      }
      attn.yield %t : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @score_tensors(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{'attn.attention' op expects 'score' to be code of scalars, but it has 'arith.addf'}}
  %o = attn.attention %q, %q, %q
    score(%s: f32, %b: index, %h: index, %row: index, %position: index, %key: index) {
      // expected-note @below {{its result is no scalar}}
      %t = arith.addf %q, %q : tensor<1x2x3x4xf32>
      attn.yield %s : f32
    }
    : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
    -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @yield_elsewhere(%x: f32) {
  // expected-error @below {{'attn.yield' op expects parent op 'attn.attention'}}
  attn.yield %x : f32
}
