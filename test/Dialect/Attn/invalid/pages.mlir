// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Pages, maps of heads and lengths of heads: one case for each rule.

func.func @table_of_other_batch(%q: tensor<2x4x3x8xf32>, %kv: tensor<9x2x16x8xf32>, %t: tensor<3x4xi32>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'page_table' and dimension 0 of 'query' to be equal, but they are 3 and 2}}
  %o = attn.attention %q, %kv, %kv pages(%t : tensor<3x4xi32>)
    : tensor<2x4x3x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @pools_of_other_sizes(%q: tensor<2x4x3x8xf32>, %k: tensor<9x2x16x8xf32>, %v: tensor<8x2x16x8xf32>, %t: tensor<2x4xi32>) {
  // expected-error @below {{'attn.attention' op expects dimension 0 of 'value' and dimension 0 of 'key' to be equal, but they are 8 and 9}}
  %o = attn.attention %q, %k, %v pages(%t : tensor<2x4xi32>)
    : tensor<2x4x3x8xf32>, tensor<9x2x16x8xf32>, tensor<8x2x16x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @dynamic_page(%q: tensor<2x4x3x8xf32>, %kv: tensor<9x2x?x8xf32>, %t: tensor<2x4xi32>) {
  // expected-error @below {{'attn.attention' op expects a static page size, but dimension 2 of 'key' is dynamic; cast the pool of pages}}
  %o = attn.attention %q, %kv, %kv pages(%t : tensor<2x4xi32>)
    : tensor<2x4x3x8xf32>, tensor<9x2x?x8xf32>, tensor<9x2x?x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @empty_page(%q: tensor<2x4x3x8xf32>, %kv: tensor<9x2x0x8xf32>, %t: tensor<2x4xi32>) {
  // expected-error @below {{'attn.attention' op expects a page size of at least 1, but dimension 2 of 'key' is 0}}
  %o = attn.attention %q, %kv, %kv pages(%t : tensor<2x4xi32>)
    : tensor<2x4x3x8xf32>, tensor<9x2x0x8xf32>, tensor<9x2x0x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @bias_of_other_length(%q: tensor<2x4x3x8xf32>, %kv: tensor<9x2x16x8xf32>, %t: tensor<2x4xi32>, %b: tensor<1x1x1x16xf32>) {
  // expected-error @below {{'attn.attention' op expects 'bias' to broadcast to the scores, but its dimension 3 is 16 and that of the scores is 64; expected 64 or 1}}
  %o = attn.attention %q, %kv, %kv bias(%b : tensor<1x1x1x16xf32>) pages(%t : tensor<2x4xi32>)
    : tensor<2x4x3x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @map_of_other_length(%q: tensor<2x4x3x8xf32>, %k: tensor<2x3x5x8xf32>) {
  // expected-error @below {{'attn.attention' op expects one entry of 'key_head_map' for each of the 4 query heads, but it has 3}}
  %o = attn.attention %q, %k, %k {key_head_map = array<i64: 0, 1, 2>, value_head_map = array<i64: 0, 1, 2, 2>}
    : tensor<2x4x3x8xf32>, tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @map_to_no_head(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x5x8xf32>) {
  // expected-error @below {{'attn.attention' op expects 'value_head_map' to name heads of 'value' from 0 to 1, but query head 2 reads head 2}}
  %o = attn.attention %q, %k, %k {value_head_map = array<i64: 0, 1, 2, 0>}
    : tensor<2x4x3x8xf32>, tensor<2x2x5x8xf32>, tensor<2x2x5x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @map_of_dynamic_heads(%q: tensor<2x?x3x8xf32>, %k: tensor<2x2x5x8xf32>) {
  // expected-error @below {{'attn.attention' op expects static numbers of heads with 'key_head_map', but dimension 1 of 'query' is dynamic and dimension 1 of 'key' is static; cast the operands}}
  %o = attn.attention %q, %k, %k {key_head_map = array<i64: 0, 1>}
    : tensor<2x?x3x8xf32>, tensor<2x2x5x8xf32>, tensor<2x2x5x8xf32> -> tensor<2x?x3x8xf32>
  return
}

// -----

func.func @value_heads_without_map(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x5x8xf32>, %v: tensor<2x3x5x8xf32>) {
  // expected-error @below {{'attn.attention' op expects kv_heads to divide heads, but dimension 1 of 'value' is 3 and dimension 1 of 'query' is 4; repeat or regroup the value heads}}
  %o = attn.attention %q, %k, %v {key_head_map = array<i64: 0, 1, 2, 0>}
    : tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32>, tensor<2x3x5x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @lengths_of_other_heads(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x5x8xf32>, %n: tensor<2x3xi64>) {
  // expected-error @below {{'attn.attention' op expects dimension 1 of 'kv_lengths' to divide the 4 query heads, but it is 3; give one length for each head, or for consecutive heads}}
  %o = attn.attention %q, %k, %k kv_lengths(%n : tensor<2x3xi64>)
    : tensor<2x4x3x8xf32>, tensor<2x2x5x8xf32>, tensor<2x2x5x8xf32> -> tensor<2x4x3x8xf32>
  return
}

// -----

func.func @append_without_place(%c: tensor<9x2x16x8xf32>, %u: tensor<2x2x1x8xf32>, %t: tensor<2x4xi32>) {
  // expected-error @below {{'attn.kv_append' op expects 'at' with 'page_table'; pages have a fixed number of rows and do not grow}}
  %r = attn.kv_append %c, %u pages(%t : tensor<2x4xi32>)
    : tensor<9x2x16x8xf32>, tensor<2x2x1x8xf32> -> tensor<9x2x16x8xf32>
  return
}

// -----

func.func @append_to_dynamic_pages(%c: tensor<9x2x?x8xf32>, %u: tensor<2x2x1x8xf32>, %at: tensor<2xi64>, %t: tensor<2x4xi32>) {
  // expected-error @below {{'attn.kv_append' op expects a static page size of at least 1 with 'page_table', but dimension 2 of 'cache' is dynamic; cast the pool of pages}}
  %r = attn.kv_append %c, %u at(%at : tensor<2xi64>) pages(%t : tensor<2x4xi32>)
    : tensor<9x2x?x8xf32>, tensor<2x2x1x8xf32> -> tensor<9x2x?x8xf32>
  return
}

// -----

func.func @append_by_other_table(%c: tensor<9x2x16x8xf32>, %u: tensor<2x2x1x8xf32>, %at: tensor<2xi64>, %t: tensor<3x4xi32>) {
  // expected-error @below {{'attn.kv_append' op expects dimension 0 of 'update' and 'page_table' to be equal, but they are 2 and 3}}
  %r = attn.kv_append %c, %u at(%at : tensor<2xi64>) pages(%t : tensor<3x4xi32>)
    : tensor<9x2x16x8xf32>, tensor<2x2x1x8xf32> -> tensor<9x2x16x8xf32>
  return
}

// -----

// expected-error @below {{'q_block' is -1; expected 0, for all rows together, to 1099511627776}}
func.func private @q_block() attributes {m = #attn.blocks<q_block = -1, kv_block = 4>}

// -----

func.func @one_list_for_all_rows(%q: tensor<2x4x70x8xf32>, %i: tensor<2x4x2x3xi64>, %n: tensor<2x4x2xi64>) {
  // expected-error @below {{'attn.attention' op expects dimension 2 of the block numbers to be 1, the number of query blocks, but it is 2}}
  %o = attn.attention %q, %q, %q mask(#attn.blocks<kv_block = 64>, %i, %n : tensor<2x4x2x3xi64>, tensor<2x4x2xi64>)
    : tensor<2x4x70x8xf32>, tensor<2x4x70x8xf32>, tensor<2x4x70x8xf32> -> tensor<2x4x70x8xf32>
  return
}

// -----

func.func @append_to_other_heads(%c: tensor<2x4x16x8xf32>, %u: tensor<2x4x1x8xf32>, %at: tensor<2x3xi64>) {
  // expected-error @below {{'attn.kv_append' op expects dimension 1 of 'at' to divide the 4 heads of 'cache', but it is 3; give one row for each head, or for consecutive heads}}
  %r = attn.kv_append %c, %u at(%at : tensor<2x3xi64>)
    : tensor<2x4x16x8xf32>, tensor<2x4x1x8xf32> -> tensor<2x4x16x8xf32>
  return
}
