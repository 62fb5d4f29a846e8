/* SPDX-License-Identifier: Apache-2.0
 * What needs a program that is slow, fails or is donated to: asynchronous execution, errors on
 * their way, donation. Only with the plugin around program_fake.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "abi/abi.h"
#include "abi/program_fake.h"

static PJRT_LoadedExecutable *compile(fake_program fake) {
  memcpy(fake.magic, FAKE_MAGIC, 4);
  if (!fake.n_partitions) fake.n_partitions = 1;
  PJRT_Program program = {.struct_size = sizeof program,
                          .code = (char *)&fake,
                          .code_size = sizeof fake,
                          .format = "mlir",
                          .format_size = 4};
  PJRT_Client_Compile_Args *args = ARGS(Client_Compile, client, &program);
  if (!OK(abi_Client_Compile(args))) exit(1);
  return args->executable;
}

static void destroy(PJRT_LoadedExecutable *executable) {
  OK(abi_LoadedExecutable_Destroy(ARGS(LoadedExecutable_Destroy, executable)));
}

static PJRT_Error *run(PJRT_LoadedExecutable *executable, PJRT_Buffer *const *in, size_t n_in,
                       PJRT_Buffer **out, const int64_t *kept, size_t n_kept) {
  PJRT_ExecuteOptions options = {.struct_size = sizeof options,
                                 .non_donatable_input_indices = kept,
                                 .num_non_donatable_input_indices = n_kept};
  PJRT_Event *done;
  PJRT_LoadedExecutable_Execute_Args *args =
      ARGS(LoadedExecutable_Execute, executable, &options, &in, 1, n_in, &out, &done);
  PJRT_Error *error = abi_LoadedExecutable_Execute(args);
  if (!error) destroy_event(done); /* before it fires, as JAX does */
  return error;
}

typedef struct seen {
  atomic_int calls, errors;
} seen;

static void on_ready(PJRT_Error *error, void *argument) { /* on a thread of the plugin */
  seen *s = argument;
  s->errors += error != NULL;
  s->calls++;
  PJRT_Error_Destroy_Args args = {.struct_size = sizeof args, .error = error};
  api->PJRT_Error_Destroy(&args);
}

/* A chain of slow executions is there at once and ready at the end. */
static void test_chain(void) {
  enum { N = 8 };
  PJRT_LoadedExecutable *slow =
      compile((fake_program){.n_parameters = 1, .n_outputs = 1, .delay_ms = 5, .alias = -1});
  PJRT_Buffer *chain[N + 1] = {put_floats(0)};
  for (int i = 0; i < N; i++) OK(run(slow, &chain[i], 1, &chain[i + 1], NULL, 0));
  PJRT_Event *last = ready_event(chain[N]);
  seen s = {0};
  CHECK(!is_ready(last));
  OK(abi_Event_OnReady(ARGS(Event_OnReady, last, on_ready, &s)));
  for (int i = 1; i < N; i++) destroy_buffer(chain[i]); /* while they are on their way */
  destroy(slow);
  OK(abi_Event_Await(ARGS(Event_Await, last)));
  CHECK(holds_floats(chain[N], N));
  destroy_event(last);
  for (int i = 0; i < 1000 && !s.calls; i++) /* the waiter may run just after */
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  CHECK(s.calls == 1 && !s.errors);
  destroy_buffer(chain[0]);
  destroy_buffer(chain[N]);
}

/* A pointer may be asked for before the value is there, and stays. */
static void test_early_pointer(void) {
  PJRT_LoadedExecutable *slow =
      compile((fake_program){.n_parameters = 1, .n_outputs = 1, .delay_ms = 20, .alias = 0});
  PJRT_Buffer *in = put_floats(0), *out;
  OK(run(slow, &in, 1, &out, NULL, 0));
  OK(abi_Buffer_IncreaseExternalReferenceCount(ARGS(Buffer_IncreaseExternalReferenceCount, out)));
  float *data = data_of(out);
  await(ready_event(out));
  CHECK(data == data_of(out) && data[5] == 6);
  destroy_buffer(out);
  CHECK(data[5] == 6);
  OK(abi_Buffer_DecreaseExternalReferenceCount(ARGS(Buffer_DecreaseExternalReferenceCount, out)));
  destroy_buffer(in);
  destroy(slow);
}

/* A failed execution fails what it feeds, and its own outputs. */
static void test_failure(void) {
  for (int cheap = 0; cheap < 2; cheap++) {
    PJRT_LoadedExecutable *bad = compile(
        (fake_program){.n_parameters = 1, .n_outputs = 2, .fails = 1, .alias = -1, .cheap = cheap});
    PJRT_LoadedExecutable *good =
        compile((fake_program){.n_parameters = 1, .n_outputs = 1, .alias = -1, .cheap = cheap});
    PJRT_Buffer *in = put_floats(0), *failed[2], *fed;
    OK(run(bad, &in, 1, failed, NULL, 0));
    OK(run(good, &failed[1], 1, &fed, NULL, 0));
    await_failure(ready_event(failed[0]), 13, "fails as asked; while 'fake' ran");
    await_failure(ready_event(fed), 13, "fails as asked");
    destroy_buffer(fed);
    destroy_buffer(failed[0]);
    destroy_buffer(failed[1]);
    destroy_buffer(in);
    destroy(bad);
    destroy(good);
  }
}

static fake_program donating(int n_parameters) {
  return (fake_program){.n_parameters = n_parameters, .n_outputs = 1, .alias = 0, .cheap = 1};
}

/* Reused in place only if nobody else holds the storage; deleted always. */
static void test_donation(void) {
  PJRT_LoadedExecutable *donate = compile(donating(1));
  PJRT_Buffer *in = put_floats(0), *out;
  void *data = data_of(in);
  OK(run(donate, &in, 1, &out, NULL, 0));
  CHECK(is_deleted(in) && holds_floats(out, 1) && data_of(out) == data);
  destroy_buffer(in);
  FAILS(run(donate, &in, 0, &out, NULL, 0), 3, "arguments");

  in = out; /* pinned: copied */
  OK(abi_Buffer_IncreaseExternalReferenceCount(ARGS(Buffer_IncreaseExternalReferenceCount, in)));
  OK(run(donate, &in, 1, &out, NULL, 0));
  CHECK(is_deleted(in) && holds_floats(out, 2) && data_of(out) != data && *(float *)data == 1);
  OK(abi_Buffer_DecreaseExternalReferenceCount(ARGS(Buffer_DecreaseExternalReferenceCount, in)));
  destroy_buffer(in);

  in = out; /* not to be donated */
  const int64_t kept = 0;
  OK(run(donate, &in, 1, &out, &kept, 1));
  CHECK(!is_deleted(in) && holds_floats(in, 2) && holds_floats(out, 3));
  destroy_buffer(in);

  _Alignas(64) static float host[6] = {1, 2, 3, 4, 5, 6}; /* of somebody else: never written */
  const int64_t dims[] = {2, 3};
  PJRT_Client_CreateViewOfDeviceBuffer_Args *view =
      ARGS(Client_CreateViewOfDeviceBuffer, client, host, dims, 2, PJRT_Buffer_Type_F32,
           .device = device);
  OK(abi_Client_CreateViewOfDeviceBuffer(view));
  in = view->buffer;
  destroy_buffer(out);
  OK(run(donate, &in, 1, &out, NULL, 0));
  CHECK(is_deleted(in) && host[0] == 1 && holds_floats(out, 2));
  destroy_buffer(in);
  destroy_buffer(out);
  destroy(donate);
}

static void test_donation_twice(void) {
  PJRT_LoadedExecutable *donate = compile(donating(2));
  PJRT_Buffer *in = put_floats(0), *out;
  PJRT_Buffer *twice[] = {in, in};
  FAILS(run(donate, twice, 2, &out, NULL, 0), 3, "argument 0 of 'fake' is donated");
  CHECK(!is_deleted(in));
  const int64_t kept = 0;
  OK(run(donate, twice, 2, &out, &kept, 1));
  CHECK(holds_floats(in, 0) && holds_floats(out, 1));
  destroy_buffer(out);
  /* The same bytes under two buffers: copied. */
  const int64_t dims[] = {2, 3};
  PJRT_Buffer_Bitcast_Args *cast =
      ARGS(Buffer_Bitcast, in, PJRT_Buffer_Type_F32, .dims = dims, .num_dims = 2);
  OK(abi_Buffer_Bitcast(cast));
  twice[1] = cast->out_buffer;
  OK(run(donate, twice, 2, &out, NULL, 0));
  CHECK(is_deleted(in) && holds_floats(cast->out_buffer, 0) && holds_floats(out, 1));
  destroy_buffer(cast->out_buffer);
  destroy_buffer(in);
  destroy_buffer(out);
  destroy(donate);

  fake_program donor = {.n_parameters = 1, .n_outputs = 1, .alias = -1, .donor = 1};
  PJRT_LoadedExecutable *give = compile(donor);
  in = put_floats(0);
  OK(run(give, &in, 1, &out, NULL, 0));
  CHECK(is_deleted(in) && holds_floats(out, 1));
  destroy_buffer(in);
  destroy_buffer(out);
  destroy(give);
}

/* A chain of donations under way keeps one storage: the next starts when nobody else holds it. */
static void test_donated_chain(void) {
  fake_program fake = donating(1);
  fake.cheap = 0;
  fake.delay_ms = 2;
  PJRT_LoadedExecutable *donate = compile(fake);
  PJRT_Buffer *in = put_floats(0), *out;
  void *data = data_of(in);
  for (int i = 0; i < 8; i++) {
    OK(run(donate, &in, 1, &out, NULL, 0));
    destroy_buffer(in);
    in = out;
  }
  CHECK(holds_floats(out, 8) && data_of(out) == data);
  destroy_buffer(out);
  destroy(donate);
}

static void test_kinds(void) {
  PJRT_LoadedExecutable *pinned = compile(
      (fake_program){.n_parameters = 0, .n_outputs = 1, .alias = -1, .memory_kind = "pinned_host"});
  PJRT_Buffer *out;
  OK(run(pinned, NULL, 0, &out, NULL, 0));
  PJRT_Buffer_Memory_Args *memory = ARGS(Buffer_Memory, out);
  OK(abi_Buffer_Memory(memory));
  PJRT_Memory_Kind_Args *kind = ARGS(Memory_Kind, memory->memory);
  OK(abi_Memory_Kind(kind));
  CHECK(kind->kind_size == 11 && !memcmp(kind->kind, "pinned_host", 11));
  await(ready_event(out));
  destroy_buffer(out);
  destroy(pinned);
}

/* Results in another layout than row-major: x + 1 of each element of the memory. */
static void test_column_major(void) {
  PJRT_LoadedExecutable *turn =
      compile((fake_program){.n_parameters = 1, .n_outputs = 1, .alias = -1, .column_major = 1});
  PJRT_LoadedExecutable *plain =
      compile((fake_program){.n_parameters = 1, .n_outputs = 1, .alias = -1});
  PJRT_Buffer *in = put_floats(0), *out, *none;
  OK(run(turn, &in, 1, &out, NULL, 0));
  PJRT_Buffer_CopyToDevice_Args *copy = ARGS(Buffer_CopyToDevice, out, device);
  OK(abi_Buffer_CopyToDevice(copy));
  PJRT_Buffer *both[] = {out, copy->dst_buffer};
  for (int b = 0; b < 2; b++) {
    PJRT_Buffer_GetMemoryLayout_Args *layout = ARGS(Buffer_GetMemoryLayout, both[b]);
    OK(abi_Buffer_GetMemoryLayout(layout));
    CHECK(layout->layout.tiled.minor_to_major[0] == 0);
    CHECK(layout->layout.tiled.minor_to_major[1] == 1);
    float data[6];
    get(both[b], data, sizeof data);
    for (int i = 0; i < 6; i++) CHECK(data[i] == (float)(1 + i % 3 * 2 + i / 3));
    FAILS(run(plain, &both[b], 1, &none, NULL, 0), 3,
          "has the layout {0,1}, the program takes {1,0}");
  }
  const int64_t dims[] = {6};
  FAILS(abi_Buffer_Bitcast(ARGS(Buffer_Bitcast, out, PJRT_Buffer_Type_F32, dims, 1)), 12,
        "bitcast of an array in the layout {0,1}");
  destroy_buffer(copy->dst_buffer);
  destroy_buffer(out);
  destroy_buffer(in);
  destroy(plain);
  destroy(turn);
}

typedef struct job {
  PJRT_LoadedExecutable *executable;
  PJRT_Buffer *in;
} job;

/* Executions from several threads at once on shared inputs; the guarded callers are for one. */
static void *run_many(void *argument) {
  job *j = argument;
  PJRT_Buffer *in = j->in;
  for (int i = 0; i < 50; i++) {
    PJRT_ExecuteOptions options = {.struct_size = sizeof options};
    PJRT_Buffer *out, **outputs = &out, *const *inputs = &in;
    PJRT_Event *done;
    PJRT_LoadedExecutable_Execute_Args args = {sizeof args, NULL, j->executable, &options, &inputs,
                                               1,           1,    &outputs,      &done};
    if (api->PJRT_LoadedExecutable_Execute(&args)) return argument;
    PJRT_Event_Await_Args wait = {sizeof wait, NULL, done};
    if (api->PJRT_Event_Await(&wait)) return argument;
    PJRT_Event_Destroy_Args end = {sizeof end, NULL, done};
    if (api->PJRT_Event_Destroy(&end)) return argument;
    PJRT_Buffer_Destroy_Args drop = {sizeof drop, NULL, out};
    if (api->PJRT_Buffer_Destroy(&drop)) return argument;
  }
  return NULL;
}

static void test_threads(void) {
  enum { N = 4 };
  pthread_t threads[N];
  job j = {compile((fake_program){.n_parameters = 1, .n_outputs = 1, .alias = -1}), put_floats(0)};
  for (int i = 0; i < N; i++) CHECK(!pthread_create(&threads[i], NULL, run_many, &j));
  for (int i = 0; i < N; i++) {
    void *failed = &j;
    CHECK(!pthread_join(threads[i], &failed) && !failed);
  }
  destroy_buffer(j.in);
  destroy(j.executable);
}

/* The client may go first. */
static void test_late_buffer(void) {
  PJRT_Client_Create_Args *create = ARGS(Client_Create, .num_options = 0);
  OK(abi_Client_Create(create));
  const int64_t dims[] = {2, 3};
  float data[6] = {1};
  PJRT_Client_BufferFromHostBuffer_Args *args =
      ARGS(Client_BufferFromHostBuffer, create->client, data, PJRT_Buffer_Type_F32, dims, 2);
  OK(abi_Client_BufferFromHostBuffer(args));
  await(args->done_with_host_buffer);
  PJRT_LoadedExecutable *ours = compile(donating(1));
  PJRT_Buffer *out;
  FAILS(run(ours, &args->buffer, 1, &out, NULL, 0), 3, "the program runs on");
  destroy(ours);
  OK(abi_Client_Destroy(ARGS(Client_Destroy, create->client)));
  get(args->buffer, data, sizeof data);
  CHECK(data[0] == 1);
  destroy_buffer(args->buffer);
}

void test_fake_programs(void) {
  test_chain();
  test_early_pointer();
  test_failure();
  test_donation();
  test_donation_twice();
  test_donated_chain();
  test_kinds();
  test_column_major();
  test_threads();
  test_late_buffer();
}
