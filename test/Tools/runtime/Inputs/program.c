/*===- program.c - A user's C program on the runtime ----------------------===*/
/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                  */
#include "attn/Runtime/attn_runtime.h"
#include <stdio.h>

int main(int argc, char **argv) {
  attn_rt_module *module = attn_rt_load(argc > 1 ? argv[1] : "");
  if (!module) {
    printf("failed: %s\n", attn_rt_last_error());
    return 1;
  }
  for (int32_t i = 0; i < attn_rt_num_inputs(module); ++i) {
    attn_rt_tensor_info info;
    attn_rt_input_info(module, i, &info);
    printf("input %s: type %d, rank %d, first size %s\n", info.name,
           (int)info.dtype, (int)info.rank, info.dims[0]);
  }
  float a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {10, 20, 30, 40, 50, 60};
  const char *names[2] = {"b", "a"};
  attn_rt_tensor inputs[2] = {{b, ATTN_RT_FLOAT32, 2, {2, 3}},
                              {a, ATTN_RT_FLOAT32, 2, {2, 3}}};
  attn_rt_tensor output;
  attn_rt_set_threads(module, 1);
  if (attn_rt_run(module, names, inputs, 2, &output) != 0) {
    printf("failed: %s\n", attn_rt_last_error());
    return 1;
  }
  printf("sum[1, 2] = %g of %d x %d\n", ((float *)output.data)[5],
         (int)output.shape[0], (int)output.shape[1]);
  attn_rt_tensor_free(&output);
  inputs[1].shape[0] = 1;
  if (attn_rt_run(module, names, inputs, 2, &output) != 0)
    printf("failed: %s\n", attn_rt_last_error());
  attn_rt_unload(module);
  return 0;
}
