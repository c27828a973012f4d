/*===- artifact.c - A module as `attn compile` writes it, by hand ---------===*/
/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                  */
/* sum[batch, 3] = a + bias with `bias` float32 [3] in weights.bin, and
   count = number of ids as int64; fails when an id is negative. */
#include <stdint.h>

void *attn_rt_alloc(int64_t bytes);
void *attn_rt_weight(int64_t index);
void attn_rt_fail(const char *message);

const char attn_metadata[] =
    "{\"format\":1,\"producer\":\"hand\",\"target\":\"" TARGET "\","
    "\"inputs\":["
    "{\"name\":\"a\",\"dtype\":\"float32\",\"shape\":[-1,3],"
    "\"dims\":[\"batch\",\"\"]},"
    "{\"name\":\"ids\",\"dtype\":\"int64\",\"shape\":[-1],"
    "\"dims\":[\"batch\"]}],"
    "\"outputs\":["
    "{\"name\":\"sum\",\"dtype\":\"float32\",\"shape\":[-1,3],"
    "\"dims\":[\"batch\",\"\"]},"
    "{\"name\":\"count\",\"dtype\":\"int64\",\"shape\":[],\"dims\":[]}],"
    "\"weights\":[{\"name\":\"bias\",\"dtype\":\"float32\",\"shape\":[3],"
    "\"file\":\"weights.bin\",\"offset\":4}]}";

typedef struct {
  void *allocated;
  void *aligned;
  int64_t offset, sizes[2], strides[2];
} matrix;

typedef struct {
  void *allocated;
  void *aligned;
  int64_t offset, sizes[1], strides[1];
} vector;

typedef struct {
  void *allocated;
  void *aligned;
  int64_t offset;
} scalar;

void attn_packed_main(void **arguments) {
  struct {
    matrix sum;
    scalar count;
  } *results = arguments[0];
  matrix *a = arguments[1];
  vector *ids = arguments[2];
  int64_t batch = a->sizes[0];
  for (int64_t i = 0; i < batch; ++i)
    if (((int64_t *)ids->aligned)[i] < 0)
      attn_rt_fail("an id is negative");
  float *sum = attn_rt_alloc(batch * 3 * sizeof(float));
  float *bias = attn_rt_weight(0);
  for (int64_t i = 0; i < batch * 3; ++i)
    sum[i] = ((float *)a->aligned)[i] + bias[i % 3];
  int64_t *count = attn_rt_alloc(sizeof(int64_t));
  *count = batch;
  results->sum = (matrix){sum, sum, 0, {batch, 3}, {3, 1}};
  results->count = (scalar){count, count, 0};
}
