/*===- attn_runtime.h - Load and run compiled modules ------------*- C -*-===*/
/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                  */
#ifndef ATTN_RUNTIME_ATTN_RUNTIME_H
#define ATTN_RUNTIME_ATTN_RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The largest rank of an input or output. */
#define ATTN_RT_MAX_RANK 8

/* Element types; the numbers are ONNX's. */
enum {
  ATTN_RT_FLOAT32 = 1,
  ATTN_RT_UINT8 = 2,
  ATTN_RT_INT8 = 3,
  ATTN_RT_UINT16 = 4,
  ATTN_RT_INT16 = 5,
  ATTN_RT_INT32 = 6,
  ATTN_RT_INT64 = 7,
  ATTN_RT_BOOL = 9,
  ATTN_RT_FLOAT16 = 10,
  ATTN_RT_FLOAT64 = 11,
  ATTN_RT_UINT32 = 12,
  ATTN_RT_UINT64 = 13,
  ATTN_RT_BFLOAT16 = 16
};

/* A dense row-major tensor. bool takes one byte per element, 0 or 1. */
typedef struct attn_rt_tensor {
  void *data;
  int32_t dtype;
  int32_t rank;
  int64_t shape[ATTN_RT_MAX_RANK];
} attn_rt_tensor;

/* What a module says of one input or output. The strings belong to the
   module. */
typedef struct attn_rt_tensor_info {
  const char *name;
  int32_t dtype;
  int32_t rank;
  int64_t shape[ATTN_RT_MAX_RANK];    /* -1 where the size is free */
  const char *dims[ATTN_RT_MAX_RANK]; /* symbol of the size, or "" */
} attn_rt_tensor_info;

/* A compiled module, ready to run. Functions on one module may be called from
   several threads; runs of one module wait for each other. */
typedef struct attn_rt_module attn_rt_module;

/* Functions that can fail return NULL or a number other than 0; the message
   of the calling thread's last failure is here, until its next call. */
const char *attn_rt_last_error(void);

/* Version of the runtime, such as "0.1.0". */
const char *attn_rt_version(void);

/* Loads a shared library that `attn compile` wrote. Weight files are searched
   beside it, then in the folder where they were at compile time. */
attn_rt_module *attn_rt_load(const char *path);

/* Makes a module of code that is already in memory. `init` computes what
   depends on weights only and is called once, here; NULL where the metadata
   lists no prepared tensors. `metadata` is the JSON text of a library's
   `attn_metadata`; `folder` holds the weight files. `release(owner)` is called
   once when the module is unloaded, and also when this function fails; it may
   be NULL. */
attn_rt_module *attn_rt_load_symbols(void (*entry)(void **),
                                     void (*init)(void **),
                                     const char *metadata, const char *folder,
                                     void (*release)(void *), void *owner);

/* How attn_rt_load_code emulates kernels: functions of the emulator (see
   attn/Emulator/attn_emulator.h). One that fails returns a message, else
   NULL. */
typedef struct attn_rt_emulator {
  void *(*alloc)(int64_t bytes); /* NULL when out of memory */
  const char *(*free)(void *block);
  const char *(*launch)(const void *kernel, const int64_t grid[3],
                        const int64_t threads[3], int64_t dynamic_shared_bytes,
                        void **params);
  const char *(*tensor_map)(void *map, void *address, int32_t dtype,
                            int32_t rank, const int64_t *sizes,
                            const int64_t *byte_strides, const int32_t *box,
                            int32_t swizzle_bytes);
} attn_rt_emulator;

/* Code that is in memory. Begin with attn_rt_code code = {sizeof(code)}. */
typedef struct attn_rt_code {
  uint32_t struct_size;
  /* As for attn_rt_load_symbols. */
  void (*entry)(void **);
  void (*init)(void **);
  const char *metadata;
  const char *folder;
  void (*release)(void *);
  void *owner;
  /* Of a module for a GPU: its machine code, or NULL; its PTX, or NULL; or
     emulated kernels in the order of the metadata, with their emulator. */
  const void *cubin;
  const char *ptx;
  const void *const *emulated;
  const attn_rt_emulator *emulator; /* must outlive the module */
} attn_rt_code;

attn_rt_module *attn_rt_load_code(const attn_rt_code *code);

void attn_rt_unload(attn_rt_module *module);

int32_t attn_rt_num_inputs(const attn_rt_module *module);
int32_t attn_rt_num_outputs(const attn_rt_module *module);
int attn_rt_input_info(const attn_rt_module *module, int32_t index,
                       attn_rt_tensor_info *info);
int attn_rt_output_info(const attn_rt_module *module, int32_t index,
                        attn_rt_tensor_info *info);

/* The module's metadata as JSON text. */
const char *attn_rt_metadata(const attn_rt_module *module);

/* Runs the module. `names` gives the name of each of the `num_inputs` tensors
   in `inputs`; NULL means the module's own order. `outputs` has room for
   attn_rt_num_outputs() tensors; on success the caller owns their data and
   gives each back with attn_rt_tensor_free. On failure they are empty. */
int attn_rt_run(attn_rt_module *module, const char *const *names,
                const attn_rt_tensor *inputs, int32_t num_inputs,
                attn_rt_tensor *outputs);

/* How a module for a GPU runs. Begin with attn_rt_run_options options =
   {sizeof(options)}; what is 0 takes its default. */
typedef struct attn_rt_run_options {
  uint32_t struct_size;
  /* Number of the GPU, as the CUDA driver counts. */
  int32_t device;
  /* Whether the data of inputs and outputs lie on that GPU. Then the run only
     queues work on the stream and returns, and outputs are freed by
     attn_rt_device_tensor_free. Else inputs are copied to the GPU, and outputs
     to the host when all is done. */
  int32_t on_device;
  /* A CUstream; NULL is the default stream. */
  void *stream;
} attn_rt_run_options;

/* attn_rt_run with options; NULL means none. */
int attn_rt_run_with(attn_rt_module *module, const char *const *names,
                     const attn_rt_tensor *inputs, int32_t num_inputs,
                     attn_rt_tensor *outputs,
                     const attn_rt_run_options *options);

/* Frees the data of an output that lies on GPU `device`, once the work on
   `stream` that was queued before is done, and empties the tensor. */
int attn_rt_device_tensor_free(int32_t device, attn_rt_tensor *tensor,
                               void *stream);

/* Waits for the work on `stream` of GPU `device`. */
int attn_rt_device_synchronize(int32_t device, void *stream);

/* A dense tensor of the size of `tensor` on GPU `device`, with the contents of
   `tensor`, which lies on the host (to_device 1); or the other way (0). The
   data of `result` is to be freed as that of an output. Waits. */
int attn_rt_device_tensor_copy(int32_t device, const attn_rt_tensor *tensor,
                               int32_t to_device, attn_rt_tensor *result);

/* Frees the data of an output of attn_rt_run and empties the tensor. */
void attn_rt_tensor_free(attn_rt_tensor *tensor);

/* Number of threads of later runs; 0 means every processor. */
int attn_rt_set_threads(attn_rt_module *module, int32_t threads);

/* Largest number of bytes that the module's runs held at once: intermediate
   tensors, outputs, and copies of weights. Mapped weight files do not count. */
int64_t attn_rt_peak_bytes(const attn_rt_module *module);

#ifdef __cplusplus
}
#endif

#endif /* ATTN_RUNTIME_ATTN_RUNTIME_H */
