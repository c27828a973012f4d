// RUN: attn-opt %s --split-input-file --verify-diagnostics

func.func @dynamic_heads(%q: tensor<1x?x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects a static size of dimension 1 of 'query', but it is dynamic; cast the operand to a type that has it}}
  %o, %s = attn.linear_attention %q, %k, %v
    : tensor<1x?x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @uneven_heads(%q: tensor<1x3x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects the 3 query heads to be a multiple of the 2 key heads}}
  %o, %s = attn.linear_attention %q, %k, %v
    : tensor<1x3x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x3x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @key_features(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x5xf32>,
    %v: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects dimension 3 of 'key' to be the size 4 of dimension 3 of 'query', but it is 5}}
  %o, %s = attn.linear_attention %q, %k, %v
    : tensor<1x2x8x4xf32>, tensor<1x2x8x5xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @value_length(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x7x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects dimension 2 of 'value' to be the size 8 of dimension 2 of 'query', but it is 7}}
  %o, %s = attn.linear_attention %q, %k, %v
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x7x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @state_type(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects the element type 'f32' for 'state_out' with queries of 'f32', but it is 'f64'}}
  %o, %s = attn.linear_attention %q, %k, %v
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf64>
  return
}

// -----

func.func @value_type(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf16>) {
  // expected-error @below {{'attn.linear_attention' op expects the element type of 'query', 'f32', for 'value', but it is 'f16'}}
  %o, %s = attn.linear_attention %q, %k, %v
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf16> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @beta_heads(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>, %b: tensor<1x3x8xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects dimension 1 of 'beta' to be 1 or the size 2 of dimension 1 of 'key', but it is 3}}
  %o, %s = attn.linear_attention %q, %k, %v beta(%b : tensor<1x3x8xf32>)
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @no_chunk(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects a positive 'chunk_size', but it is 0}}
  %o, %s = attn.linear_attention %q, %k, %v {chunk_size = 0}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @chunks(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>, %w: tensor<1x2x3xi1>) {
  // expected-error @below {{'attn.linear_attention' op expects one entry of 'writes' for each of the 2 chunks of 4 tokens, but there are 3}}
  %o, %s = attn.linear_attention %q, %k, %v writes(%w : tensor<1x2x3xi1>) {chunk_size = 4}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @no_writes(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects 'writes' with 'decay_unwritten', which says what an unwritten chunk does}}
  %o, %s = attn.linear_attention %q, %k, %v {decay_unwritten}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @two_decays(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>, %g: tensor<1x2x8xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects 'decay' or 'log_decay', but has both; add the constants to 'decay'}}
  %o, %s = attn.linear_attention %q, %k, %v decay(%g : tensor<1x2x8xf32>) {log_decay = array<f64: -1.0, -1.0>}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @decays(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects one number in 'log_decay' for each of the 2 key heads, but there are 1}}
  %o, %s = attn.linear_attention %q, %k, %v {log_decay = array<f64: -1.0>}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @normalizer(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>, %n: tensor<1x2x4xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects a third result with 'normalizer', which holds it after the last token}}
  %o, %s = attn.linear_attention %q, %k, %v normalizer(%n : tensor<1x2x4xf32>)
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>
  return
}

// -----

func.func @normalised_delta(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x8x4xf32>,
    %v: tensor<1x2x8x4xf32>, %b: tensor<1x2x8xf32>) {
  // expected-error @below {{'attn.linear_attention' op expects no 'beta' where outputs are normalised: the delta rule has no normaliser}}
  %o, %s, %n1 = attn.linear_attention %q, %k, %v beta(%b : tensor<1x2x8xf32>)
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>, tensor<1x2x4x4xf32>, tensor<1x2x4xf32>
  return
}

// -----

func.func @more_queries(%q: tensor<1x2x8x4xf32>, %k: tensor<1x2x7x4xf32>) {
  // expected-error @below {{'attn.local_linear_attention' op expects no more queries than keys, the last of which is the last query's own, but there are 8 and 7}}
  %o = attn.local_linear_attention %q, %k, %k {ridge = 1.0}
    : tensor<1x2x8x4xf32>, tensor<1x2x7x4xf32>, tensor<1x2x7x4xf32> -> tensor<1x2x8x4xf32>
  return
}

// -----

func.func @negative_ridge(%q: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.local_linear_attention' op expects a finite 'ridge' that is not negative, but it is}}
  %o = attn.local_linear_attention %q, %q, %q {ridge = -1.0}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>
  return
}

// -----

func.func @no_iterations(%q: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.local_linear_attention' op expects positive 'iterations', but they are 0; leave them out to solve directly}}
  %o = attn.local_linear_attention %q, %q, %q {ridge = 1.0, iterations = 0}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>
  return
}

// -----

func.func @feature_block(%q: tensor<1x2x8x4xf32>) {
  // expected-error @below {{'attn.local_linear_attention' op expects 'feature_block' to divide the 4 features, but it is 3}}
  %o = attn.local_linear_attention %q, %q, %q {ridge = 1.0, feature_block = 3}
    : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>
  return
}

// -----

func.func @previous_row(%p: tensor<1x2x8x4xf32>, %r: tensor<1x2x5xf32>) {
  // expected-error @below {{'attn.monotonic_align' op expects dimension 2 of 'previous' to be the size 4 of dimension 3 of 'choose', but it is 5}}
  %a = attn.monotonic_align %p previous(%r : tensor<1x2x5xf32>) : tensor<1x2x8x4xf32>
  return
}
