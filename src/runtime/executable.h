/* SPDX-License-Identifier: Apache-2.0
 * Executables: a compiled program with its source, and the same loaded onto devices. Both are
 * reference-counted. compile/program.h compiles and runs programs. */
#ifndef JM_RUNTIME_EXECUTABLE_H
#define JM_RUNTIME_EXECUTABLE_H

#include <pthread.h>

#include "compile/program.h"
#include "runtime/buffer.h"
#include "runtime/peers.h"

/* The compile options that we support. */
typedef struct jm_compile_options {
  int64_t n_replicas, n_partitions;
  bool tupled_arguments; /* refused */
  bool portable;         /* the device is chosen at each execution */
  uint32_t n_device_ids; /* 0: no assignment was given */
  int64_t device_ids[JM_MAX_DEVICES];
} jm_compile_options;

typedef struct jm_executable {
  atomic_int refs;
  pthread_mutex_t lock; /* while it is prepared for a device */
  jm_program *program;
  const jm_program_facts *facts;
  jm_client *client; /* the first that loaded it, whose engines the program is prepared for */
  jm_compile_options options;
  size_t n_code, n_options; /* bytes as received, for serialisation */
  char *code;
  char *option_bytes;
  _Atomic uint32_t label; /* of its runs on the timeline, 0: not made yet */
} jm_executable;

typedef struct jm_loaded_executable {
  atomic_int refs;
  atomic_bool deleted;
  jm_executable *executable;
  jm_client *client;      /* retained */
  jm_device *device;      /* the first of this process; NULL: it has none, and runs nothing */
  jm_placement placement; /* of the participants, replica * partitions + partition */
  uint32_t n_devices;     /* of this process, as in placement.local */
  jm_device *devices[JM_MAX_DEVICES];
  int ids[JM_MAX_DEVICES];     /* of each participant's device */
  const jm_prepared *prepared; /* for the device's engine; the executable's */
} jm_loaded_executable;

/* Compiles; code and option bytes are copied, and options are the decoded option bytes. */
jm_error *jm_executable_compile(const void *code, size_t n_code, const void *option_bytes,
                                size_t n_option_bytes, const jm_compile_options *options,
                                jm_executable **out) JM_MUST_USE;
jm_executable *jm_executable_retain(jm_executable *executable); /* returns it */
void jm_executable_release(jm_executable *executable);          /* NULL is allowed */

/* Binds to the devices that the options (NULL: those of the compilation) assign, with the machine
 * code that was saved (jm_program_prepare; NULL: none). INVALID_ARGUMENT if the client doesn't have
 * them, UNIMPLEMENTED for programs over several devices of this process whose engine is bound to
 * one thread. */
jm_error *jm_executable_load(jm_executable *executable, const jm_compile_options *options,
                             const jm_saved *saved, jm_client *client,
                             jm_loaded_executable **out) JM_MUST_USE;
jm_loaded_executable *jm_loaded_executable_retain(jm_loaded_executable *loaded);
void jm_loaded_executable_release(jm_loaded_executable *loaded); /* NULL is allowed */

/* The program, prepared for a device's engine at the first call. INVALID_ARGUMENT if it was
 * prepared for another client's engine. */
jm_error *jm_executable_prepare(jm_executable *executable, jm_device *device, const jm_saved *saved,
                                const jm_prepared **out) JM_MUST_USE;

/* Appends the machine code that it was prepared with: jm_program_save. */
jm_error *jm_executable_save(jm_executable *executable, jm_text *out) JM_MUST_USE;

/* What the plan of a program does, without a client. device: "metal" or "cuda", which need not be
 * at hand; without one the plan is the host's. */
jm_error *jm_explain(const void *code, size_t n_code, const char *device,
                     jm_explanation *out) JM_MUST_USE;

typedef struct jm_execute_options {
  jm_device *device;   /* NULL: those of the executable; only for programs of one device */
  const int64_t *kept; /* indices of arguments that must not be donated */
  size_t n_kept;
  uint64_t flow; /* JAX's number of this call in its own trace, 0: none */
} jm_execute_options;

/* Starts an execution on every device of the executable, each with a list of arguments and of
 * outputs of its own. Arguments are checked before anything happens; donated ones are deleted.
 * outputs gets one new buffer each; done[i] fires with those of device i. An execution that fails
 * fails its outputs, not this call. */
jm_error *jm_loaded_executable_launch(jm_loaded_executable *loaded,
                                      const jm_execute_options *options,
                                      jm_buffer *const *const *arguments, size_t n_arguments,
                                      jm_buffer **const *outputs, jm_event **done) JM_MUST_USE;

/* The same for a program of one device. */
jm_error *jm_loaded_executable_execute(jm_loaded_executable *loaded,
                                       const jm_execute_options *options,
                                       jm_buffer *const *arguments, size_t n_arguments,
                                       jm_buffer **outputs, jm_event **done) JM_MUST_USE;

#endif
