/* SPDX-License-Identifier: Apache-2.0
 * Our own declarations of the extension by which jaxlib registers partitioners of custom calls, and
 * of the callbacks that it gives. They are jaxlib's objects: blocks have no struct_size, and what a
 * callback returns lives until its cleanup function is called. */
#ifndef JM_PJRT_PARTITIONER_ABI_H
#define JM_PJRT_PARTITIONER_ABI_H

#include "pjrt/pjrt_abi.h"

enum { PJRT_Extension_Type_Custom_Partitioner = 2 };
enum { JAX_CUSTOM_CALL_PARTITIONER_VERSION = 0 };

typedef struct JAX_CustomCallPartitioner_string {
  const char *data;
  size_t size;
} JAX_CustomCallPartitioner_string;
JM_ABI_SIZE(JAX_CustomCallPartitioner_string, size, 16);

typedef struct JAX_CustomCallPartitioner_aval {
  JAX_CustomCallPartitioner_string shape;
  bool has_sharding;
  JAX_CustomCallPartitioner_string sharding;
} JAX_CustomCallPartitioner_aval;
JM_ABI_SIZE(JAX_CustomCallPartitioner_aval, sharding, 40);

typedef struct JAX_CustomCallPartitioner_version_and_error {
  int64_t api_version;
  void *data;                     /* out, as all that follows */
  void (*cleanup_fn)(void *data); /* NULL: nothing to clean up */
  bool has_error;
  PJRT_Error_Code code;
  JAX_CustomCallPartitioner_string error_msg;
} JAX_CustomCallPartitioner_version_and_error;
JM_ABI_SIZE(JAX_CustomCallPartitioner_version_and_error, error_msg, 48);

typedef struct JAX_CustomCallPartitioner_Partition_Args {
  JAX_CustomCallPartitioner_version_and_error header;
  size_t num_args;
  JAX_CustomCallPartitioner_aval *op_args;
  JAX_CustomCallPartitioner_aval op_result;
  JAX_CustomCallPartitioner_string backend_config;
  JAX_CustomCallPartitioner_string mlir_module;    /* out, as all that follows */
  JAX_CustomCallPartitioner_string *args_sharding; /* num_args of them */
  JAX_CustomCallPartitioner_string result_sharding;
} JAX_CustomCallPartitioner_Partition_Args;
JM_ABI_SIZE(JAX_CustomCallPartitioner_Partition_Args, result_sharding, 160);

typedef struct JAX_CustomCallPartitioner_InferShardingFromOperands_Args {
  JAX_CustomCallPartitioner_version_and_error header;
  size_t num_args;
  JAX_CustomCallPartitioner_aval *op_args;
  JAX_CustomCallPartitioner_string result_shape;
  JAX_CustomCallPartitioner_string backend_config;
  bool has_result_sharding; /* out, as the next */
  JAX_CustomCallPartitioner_string result_sharding;
} JAX_CustomCallPartitioner_InferShardingFromOperands_Args;
JM_ABI_SIZE(JAX_CustomCallPartitioner_InferShardingFromOperands_Args, result_sharding, 120);

typedef struct JAX_CustomCallPartitioner_PropagateUserSharding_Args {
  JAX_CustomCallPartitioner_version_and_error header;
  JAX_CustomCallPartitioner_string backend_config;
  JAX_CustomCallPartitioner_string result_shape;
  JAX_CustomCallPartitioner_string result_sharding; /* in: of the users; out */
} JAX_CustomCallPartitioner_PropagateUserSharding_Args;
JM_ABI_SIZE(JAX_CustomCallPartitioner_PropagateUserSharding_Args, result_sharding, 96);

typedef struct JAX_CustomCallPartitioner_Callbacks JAX_CustomCallPartitioner_Callbacks;
struct JAX_CustomCallPartitioner_Callbacks {
  int64_t version;
  void *private_data;
  void (*dtor)(JAX_CustomCallPartitioner_Callbacks *self);
  void (*partition)(JAX_CustomCallPartitioner_Callbacks *self,
                    JAX_CustomCallPartitioner_Partition_Args *args);
  void (*infer_sharding)(JAX_CustomCallPartitioner_Callbacks *self,
                         JAX_CustomCallPartitioner_InferShardingFromOperands_Args *args);
  void (*propagate_user_sharding)(JAX_CustomCallPartitioner_Callbacks *self,
                                  JAX_CustomCallPartitioner_PropagateUserSharding_Args *args);
  bool can_side_effecting_have_replicated_sharding;
};
JM_ABI_SIZE(JAX_CustomCallPartitioner_Callbacks, can_side_effecting_have_replicated_sharding, 49);

typedef struct PJRT_Register_Custom_Partitioner_Args {
  size_t struct_size;
  const char *name;
  size_t name_size;
  JAX_CustomCallPartitioner_Callbacks *callbacks; /* ours, if there is no error */
} PJRT_Register_Custom_Partitioner_Args;
JM_ABI_SIZE(PJRT_Register_Custom_Partitioner_Args, callbacks, 32);

typedef struct PJRT_Register_Batch_Partitionable_Args {
  size_t struct_size;
  const char *name;
  size_t name_size;
} PJRT_Register_Batch_Partitionable_Args;
JM_ABI_SIZE(PJRT_Register_Batch_Partitionable_Args, name_size, 24);

typedef struct PJRT_Custom_Partitioner_Extension {
  PJRT_Extension_Base base;
  PJRT_Error *(*register_custom_partitioner)(PJRT_Register_Custom_Partitioner_Args *args);
  PJRT_Error *(*register_batch_partitionable)(PJRT_Register_Batch_Partitionable_Args *args);
} PJRT_Custom_Partitioner_Extension;
JM_ABI_SIZE(PJRT_Custom_Partitioner_Extension, register_batch_partitionable, 40);

extern PJRT_Custom_Partitioner_Extension jm_partitioners_extension; /* in partitioners.c */

#endif
