/* SPDX-License-Identifier: Apache-2.0
 * Custom calls into the user's own machine code: handlers of XLA's foreign function interface
 * (jax.ffi), registered by name while the process runs and called on host memory. A handler is
 * named by a program, never part of it. Asynchronous results are waited for, tasks of a handler run
 * within it; there is no stream, no device memory and no user data of an execution. */
#ifndef JM_FFI_FFI_H
#define JM_FFI_FFI_H

#include "ffi/ffi_abi.h"
#include "ir/tensor.h"

typedef struct jm_ffi_target jm_ffi_target;

/* The handler of each stage; all but that of EXECUTE may be NULL. */
typedef struct jm_ffi_bundle {
  XLA_FFI_Handler *stages[XLA_FFI_STAGES];
} jm_ffi_bundle;

/* Asks each handler for the version of the interface that it was compiled for: UNIMPLEMENTED if we
 * don't support it, ALREADY_EXISTS if the name belongs to other handlers. */
jm_error *jm_ffi_register(const char *name, const jm_ffi_bundle *bundle) JM_MUST_USE;

/* A type of handlers' states. id: 0, and is set; info may be NULL. */
jm_error *jm_ffi_register_type(const char *name, XLA_FFI_TypeId *id,
                               const XLA_FFI_TypeInfo *info) JM_MUST_USE;

/* Sets the function that is called for an unknown name; it may register that name. */
typedef void jm_ffi_resolver(const char *name);
void jm_ffi_resolve_with(jm_ffi_resolver *resolver);

/* NULL: nobody registered the name. Lives as long as the process. */
const jm_ffi_target *jm_ffi_find(const char *name);

/* NULL if the op's handler can be called as it is, else UNIMPLEMENTED. */
jm_error *jm_ffi_check(const jm_module *module, const jm_op *op) JM_MUST_USE;

/* Calls the handler of a custom_call. The error is the handler's own. */
jm_error *jm_ffi_run(const jm_module *module, const jm_op *op, const jm_tensor *in,
                     const jm_tensor *out) JM_MUST_USE;

/* Destroys the state of handlers for ops of this module, which is about to be destroyed. */
void jm_ffi_forget(const jm_module *module);

/* -- between the files of this folder */

typedef struct jm_ffi_state {
  void *data;
  int64_t type_id;
  void (*deleter)(void *data);
} jm_ffi_state;

struct XLA_FFI_ExecutionContext {
  jm_ffi_state *states[XLA_FFI_STAGES]; /* where a stage's state is kept */
  XLA_FFI_ExecutionStage stage;         /* that is being called */
  int64_t run_id;
};

struct jm_ffi_target {
  char *name;
  jm_ffi_bundle bundle;
  const XLA_FFI_Api *api; /* of its version */
};

enum { JM_FFI_NEWEST = 5 }; /* minor version of the interface that we know */

/* The table of functions for handlers of version 0.minor; NULL: there is none. */
const XLA_FFI_Api *jm_ffi_api(int minor);
/* Takes the error. */
jm_error *jm_ffi_error_take(XLA_FFI_Error *error);
/* Waits for the result and destroys it. */
jm_error *jm_ffi_future_take(XLA_FFI_Future *future);
void jm_ffi_state_clear(jm_ffi_state *state);

#endif
