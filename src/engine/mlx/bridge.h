/* SPDX-License-Identifier: Apache-2.0
 * The C interface of libjm_engine_mlx_<version>, the only library that links MLX: a table of
 * functions, one per row of prims.def and a few for arrays and the device. Functions take and
 * return arrays; every C++ exception becomes a jm_error; StableHLO's meaning is not here. engine.c
 * loads the library and passes it the core's functions in jm_mlx_host, so that it does not link the
 * core.
 *
 * Threads: MLX's streams belong to the thread that made them. All functions are to be called on
 * the one thread that called device_open, but for array_release of evaluated arrays and memory_*.
 * A group that was opened needs no open device, and one thread of its own.
 */
#ifndef JM_ENGINE_MLX_BRIDGE_H
#define JM_ENGINE_MLX_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"
#include "ir/attr.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { JM_MLX_ABI = 12 };

/* The combiner of scans (except for replacement) and of scatters (except for log_add_exp). */
typedef enum jm_mlx_fold {
  JM_MLX_REPLACE,
  JM_MLX_SUM,
  JM_MLX_PRODUCT,
  JM_MLX_MAXIMUM,
  JM_MLX_MINIMUM,
  JM_MLX_LOG_ADD_EXP,
} jm_mlx_fold;

/* A counted mlx::core::array; may be lazy. */
typedef struct jm_mlx_array jm_mlx_array;

/* The completion of started work. It retains no array, so that memory is reused meanwhile. */
typedef struct jm_mlx_fence jm_mlx_fence;

/* The functions of the core that the library uses. */
typedef struct jm_mlx_host {
  uint32_t abi;
  jm_error *(*error_create)(jm_code code, const char *format, ...);
  const char *(*error_message)(const jm_error *error);
  void (*error_destroy)(jm_error *error);
} jm_mlx_host;

typedef struct jm_mlx_device_fact {
  char kind[128];        /* "Apple M4 Max", "NVIDIA H200", "MLX CPU" */
  char backend[16];      /* "metal", "cuda", "cpu" */
  char architecture[32]; /* "sm_90", "applegpu_g16s"; "" for the CPU */
  char identity[48];     /* the GPU's UUID; "": not known */
  int n_gpus;            /* that this process sees; MLX's first one is opened */
  bool is_gpu;
  bool rounds_to_tf32;  /* products of f32 round their operands to TF32: decided once a process */
  bool unified;         /* array_data is the array's own memory */
  int64_t memory_bytes; /* that MLX may use; constant while the process lives */
} jm_mlx_device_fact;

typedef struct jm_mlx_memory {
  int64_t active, peak, cached;
} jm_mlx_memory;

/* This process's place in a group of several. */
typedef struct jm_mlx_group jm_mlx_group;

/* What the evaluation of a graph launches. */
typedef struct jm_mlx_census {
  uint64_t kernels;    /* of ours */
  uint64_t primitives; /* of MLX that compute or move data */
  uint64_t views;      /* primitives that launch nothing, but cost the host's time */
  uint64_t copies;     /* that views, products and kernels of ours needed of what is not dense */
} jm_mlx_census;

/* A kernel of ours, ready to be launched on the device that is open. Counted. */
typedef struct jm_mlx_kernel jm_mlx_kernel;

/* The work of a graph, ready to be launched again and again: a CUDA graph. */
typedef struct jm_mlx_recording jm_mlx_recording;

/* One buffer of a kernel: dense, row-major. */
typedef struct jm_mlx_buffer {
  jm_dtype dtype;
  const int32_t *shape; /* rank sizes; of outputs only: inputs come as they are */
  int rank;
} jm_mlx_buffer;

typedef struct jm_mlx_kernel_spec {
  /* The function's name: an identifier that contains a hash of the code, because MLX and the driver
   * cache by name. */
  const char *name;
  /* CUDA: a cubin or PTX with `extern "C" __global__ void name(in0, ..., out0, ...)`, all pointers;
   * with is_text, and always for Metal: the text of a body that reads in0[i], ... and writes
   * out0[i], ...; all are pointers, those of scalars too. CPU: not used. */
  const void *code;
  size_t code_bytes;
  bool is_text;
  const char *header; /* of a text: what stands before the function; NULL: nothing */
  const char *const *in, *const
                             *out; /* of a text: names of parameters; NULL: in0, ..., out0, ... */
  uint32_t n_in, n_out;
  const jm_mlx_buffer *outputs;
  /* Per output: the input whose memory it may take where nothing else holds that, -1: none. NULL:
   * none at all. MLX's CPU device alone; a GPU's custom kernels write to fresh memory. */
  const int32_t *reuse;
  uint32_t grid[3], group[3]; /* threads of a launch, of one of its groups */
  uint32_t shared_bytes;      /* CUDA: dynamic shared memory of a group */
  /* MLX's CPU device: runs the whole launch on MLX's thread; buffers: inputs, then outputs. An
   * error becomes the error of everything that depends on the outputs. */
  jm_error *(*run)(void *context, void *const *buffers);
  void (*context_release)(void *context); /* may be NULL */
  void *context;
} jm_mlx_kernel_spec;

typedef struct jm_mlx_api {
  uint32_t abi;
  const char *mlx_version; /* that it was built for; device_open refuses another */

  /* gpu: false for MLX's CPU device. FAILED_PRECONDITION if there is no such device. */
  jm_error *(*device_open)(bool gpu, jm_mlx_device_fact *out);
  void (*device_close)(void);

  /* A copy of dense row-major data. pred is 1 byte. UNIMPLEMENTED for element types MLX lacks. */
  jm_error *(*array_import)(jm_dtype dtype, const int32_t *shape, int rank, const void *data,
                            jm_mlx_array **out);
  jm_mlx_array *(*array_retain)(jm_mlx_array *a);
  void (*array_release)(jm_mlx_array *a); /* NULL is allowed */
  /* Shape and type as known to MLX. */
  jm_error *(*array_describe)(jm_mlx_array *a, jm_dtype *dtype, int32_t *shape, int *rank);
  bool (*array_has_shape)(const jm_mlx_array *a, const int64_t *dims, uint32_t rank);
  /* Builds and starts the arrays' graphs; returns before they are done. */
  jm_error *(*arrays_start)(jm_mlx_array *const *arrays, size_t n);
  /* Starts them; *out fires when they are ready, NULL: they are. */
  jm_error *(*arrays_submit)(jm_mlx_array *const *arrays, size_t n, jm_mlx_fence **out);
  bool (*fence_is_done)(jm_mlx_fence *fence);
  /* Waits; an error of the work is returned, and MLX forgets it then. The fence is released. */
  jm_error *(*fence_wait)(jm_mlx_fence *fence);
  /* Starts them and waits. An error of any of them is returned; MLX forgets it then. */
  jm_error *(*arrays_wait)(jm_mlx_array *const *arrays, size_t n);
  /* Evaluates them and waits; adds what that took to *out. For tests: nothing is in flight then. */
  jm_error *(*graph_census)(jm_mlx_array *const *arrays, size_t n, jm_mlx_census *out);
  /* Evaluates and copies out, dense row-major. */
  jm_error *(*array_export)(jm_mlx_array *a, void *data, size_t n_bytes);
  /* The evaluated array's own dense memory where the device shares it with the host (unified), else
   * NULL. Valid while the array lives. */
  jm_error *(*array_data)(jm_mlx_array *a, const void **out);

  /* RESOURCE_EXHAUSTED if a value of so many bytes exceeds the device's memory. Values that the
   * host computes for the device are checked, too: an operating system may grant any size, and kill
   * the process that writes to it. */
  jm_error *(*bytes_check)(const char *what, size_t bytes);
  /* The bytes of the arrays' memory; where several share one, those of the largest. */
  jm_error *(*arrays_bytes)(jm_mlx_array *const *arrays, size_t n, size_t *out);
  void (*memory_read)(jm_mlx_memory *out);
  void (*memory_set_cache_limit)(int64_t bytes);
  void (*memory_clear_cache)(void);

  /* Copies what it needs of the spec. The context is taken over, also on an error. Any thread. */
  jm_error *(*kernel_create)(const jm_mlx_kernel_spec *spec, jm_mlx_kernel **out);
  void (*kernel_release)(jm_mlx_kernel *kernel); /* launches under way keep what they need */
  /* Later launches give this output another shape, of as many elements. */
  void (*kernel_shape)(jm_mlx_kernel *kernel, uint32_t output, const int32_t *shape, int rank);
  /* One lazy launch: n_in arrays in, n_out arrays out. Inputs that are not dense are copied first.
   */
  jm_error *(*kernel_launch)(jm_mlx_kernel *kernel, jm_mlx_array *const *in, jm_mlx_array **out);

  /* Recordings, of CUDA alone (replay.h). A rehearsal computes the arrays of a lazy graph, waits,
   * and tells how many bytes it took. To record computes nothing: the arrays get memory, and so
   * does all between; launches of the recording fill it. What the graph reads must be computed
   * already, and lies where it lay. The memory of `borrowed` arrays is not retained, nor may a
   * result lie in it. INTERNAL if something in the graph can't be recorded: memory may be lost
   * then. seconds: how long a rehearsal may wait for other processes, whose error is
   * DEADLINE_EXCEEDED; 0: there are none. */
  bool (*recording_supported)(void);
  jm_error *(*arrays_rehearse)(jm_mlx_array *const *arrays, size_t n, int64_t seconds,
                               size_t *bytes);
  jm_error *(*arrays_record)(jm_mlx_array *const *arrays, size_t n, jm_mlx_array *const *borrowed,
                             size_t n_borrowed, jm_mlx_recording **out, uint32_t *n_nodes);
  /* Launches it behind all that was started before. The inputs are what it reads: they live until
   * it is done. */
  jm_error *(*recording_launch)(jm_mlx_recording *recording, jm_mlx_array *const *inputs, size_t n);
  void (*recording_release)(jm_mlx_recording *recording); /* any thread; launches keep it */
  /* Where a computed array lies in CUDA's memory; 0: it is lazy, or not dense. */
  uint64_t (*array_address)(jm_mlx_array *a);

  /* Writes n bytes of the host over a computed array of CUDA, behind all that was started before;
   * they are read when it returns. */
  jm_error *(*array_write)(jm_mlx_array *a, const void *data, size_t n);
  /* As kernel_launch, but at once, behind all that was started before. MLX's cost of a lazy node
   * grows with the square of its outputs. CUDA alone. */
  jm_error *(*kernel_run)(jm_mlx_kernel *kernel, jm_mlx_array *const *in, jm_mlx_array **out);

  /* Joins MLX's group of all processes over a back end ("ring", "mpi", ...), which may wait for the
   * others without a limit. host_file: the ring's, NULL where MLX's own variables set it up.
   * FAILED_PRECONDITION if the process is in another group of that back end already. */
  jm_error *(*group_open)(const char *backend, uint32_t rank, uint32_t size, const char *host_file,
                          jm_mlx_group **out);
  /* out: the n bytes of each process, by rank; n * size is at most 2^31 - 1. */
  jm_error *(*group_gather)(jm_mlx_group *group, const void *bytes, size_t n, void *out);
  /* The same on the thread of the open device, for collectives of its arrays. address: NCCL's,
   * "host:port" where rank 0 listens; NULL: the process is in the group already. */
  jm_error *(*group_join)(const char *backend, uint32_t rank, uint32_t size, const char *address,
                          jm_mlx_group **out);
  void (*group_close)(jm_mlx_group *group); /* MLX keeps its connections as long as the process */

#define PRIM1(name, function) jm_error *(*name)(jm_mlx_array * a, jm_mlx_array * *out);
#define PRIM2(name, function) \
  jm_error *(*name)(jm_mlx_array * a, jm_mlx_array * b, jm_mlx_array * *out);
#define PRIM_AXES(name, function) \
  jm_error *(*name)(jm_mlx_array * a, const int32_t *axes, int n, jm_mlx_array **out);
#define PRIM_AXIS(name, function) jm_error *(*name)(jm_mlx_array * a, int axis, jm_mlx_array **out);
#define JM_UNPAREN(...) __VA_ARGS__
#define PRIM(name, parameters, arguments) \
  jm_error *(*name)(jm_mlx_array * *out, JM_UNPAREN parameters);
#include "engine/mlx/prims.def"
} jm_mlx_api;

/* The library's one exported symbol: "jm_mlx_api_find". FAILED_PRECONDITION if the ABI differs. */
typedef jm_error *jm_mlx_api_find_fn(const jm_mlx_host *host, const jm_mlx_api **out);

#ifdef __cplusplus
}
#endif

#endif
