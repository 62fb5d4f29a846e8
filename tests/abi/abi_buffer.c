/* SPDX-License-Identifier: Apache-2.0
 * Buffers: from and to the host, their facts, deletion, pins, copies; and those that are created
 * otherwise. */
#include <stdlib.h>

#include "abi/abi.h"

static const int64_t dims_2x3[] = {2, 3};

static void test_facts(void) {
  PJRT_Buffer *buffer = put_floats(1);
  PJRT_Buffer_ElementType_Args *type = ARGS(Buffer_ElementType, buffer);
  OK(abi_Buffer_ElementType(type));
  CHECK(type->type == PJRT_Buffer_Type_F32);
  PJRT_Buffer_Dimensions_Args *dims = ARGS(Buffer_Dimensions, buffer);
  OK(abi_Buffer_Dimensions(dims));
  CHECK(dims->num_dims == 2 && dims->dims[0] == 2 && dims->dims[1] == 3);
  PJRT_Buffer_UnpaddedDimensions_Args *unpadded = ARGS(Buffer_UnpaddedDimensions, buffer);
  OK(abi_Buffer_UnpaddedDimensions(unpadded));
  CHECK(unpadded->num_dims == 2 && unpadded->unpadded_dims[1] == 3);
  PJRT_Buffer_DynamicDimensionIndices_Args *dynamic = ARGS(Buffer_DynamicDimensionIndices, buffer);
  OK(abi_Buffer_DynamicDimensionIndices(dynamic));
  CHECK(dynamic->num_dynamic_dims == 0);
  PJRT_Buffer_GetMemoryLayout_Args *layout = ARGS(Buffer_GetMemoryLayout, buffer);
  OK(abi_Buffer_GetMemoryLayout(layout));
  CHECK(layout->layout.tiled.minor_to_major_size == 2);
  CHECK(layout->layout.tiled.minor_to_major[0] == 1);
  PJRT_Buffer_OnDeviceSizeInBytes_Args *size = ARGS(Buffer_OnDeviceSizeInBytes, buffer);
  OK(abi_Buffer_OnDeviceSizeInBytes(size));
  CHECK(size->on_device_size_in_bytes == 24);
  PJRT_Buffer_Device_Args *of = ARGS(Buffer_Device, buffer);
  OK(abi_Buffer_Device(of));
  CHECK(of->device == device);
  PJRT_Buffer_Memory_Args *memory = ARGS(Buffer_Memory, buffer);
  OK(abi_Buffer_Memory(memory));
  CHECK(memory->memory);
  PJRT_Buffer_IsOnCpu_Args *on_cpu = ARGS(Buffer_IsOnCpu, buffer);
  OK(abi_Buffer_IsOnCpu(on_cpu));
  PJRT_Buffer_UnsafePointer_Args *pointer = ARGS(Buffer_UnsafePointer, buffer);
  OK(abi_Buffer_UnsafePointer(pointer));
  CHECK(pointer->buffer_pointer % 64 == 0 && (void *)pointer->buffer_pointer == data_of(buffer));
  await(ready_event(buffer));
  CHECK(bytes_in_use() == 24);
  destroy_buffer(buffer);
  CHECK(bytes_in_use() == 0);
  destroy_buffer(NULL);
}

static void test_deletion(void) {
  PJRT_Buffer *buffer = put_floats(1);
  CHECK(!is_deleted(buffer));
  OK(abi_Buffer_Delete(ARGS(Buffer_Delete, buffer)));
  CHECK(is_deleted(buffer));
  OK(abi_Buffer_Delete(ARGS(Buffer_Delete, buffer)));
  await_failure(ready_event(buffer), 3, "deleted or donated");
  float data[6];
  FAILS(abi_Buffer_ToHostBuffer(
            ARGS(Buffer_ToHostBuffer, .src = buffer, .dst = data, .dst_size = sizeof data)),
        3, "deleted");
  FAILS(abi_Buffer_UnsafePointer(ARGS(Buffer_UnsafePointer, buffer)), 3, "deleted");
  FAILS(abi_Buffer_IncreaseExternalReferenceCount(
            ARGS(Buffer_IncreaseExternalReferenceCount, buffer)),
        3, "deleted");
  destroy_buffer(buffer);
}

static void test_pins(void) {
  PJRT_Buffer *buffer = put_floats(5);
  FAILS(abi_Buffer_DecreaseExternalReferenceCount(
            ARGS(Buffer_DecreaseExternalReferenceCount, buffer)),
        9, "no external reference");
  for (int i = 0; i < 2; i++)
    OK(abi_Buffer_IncreaseExternalReferenceCount(
        ARGS(Buffer_IncreaseExternalReferenceCount, buffer)));
  float *data = data_of(buffer);
  OK(abi_Buffer_Delete(ARGS(Buffer_Delete, buffer)));
  CHECK(data[0] == 5 && data_of(buffer) == data);
  destroy_buffer(buffer); /* references outlive it */
  CHECK(data[5] == 10 && bytes_in_use() == 24);
  for (int i = 0; i < 2; i++)
    OK(abi_Buffer_DecreaseExternalReferenceCount(
        ARGS(Buffer_DecreaseExternalReferenceCount, buffer)));
  CHECK(bytes_in_use() == 0);
}

/* Every order of strides gives the same array. */
static void test_strides(void) {
  int32_t memory[64], data[6];
  for (int i = 0; i < 64; i++) memory[i] = i;
  const struct {
    int start;
    int64_t strides[2]; /* in elements */
  } cases[] = {{0, {3, 1}}, {0, {1, 2}}, {5, {-3, -1}}, {10, {-8, 2}}, {7, {0, 1}}, {9, {0, 0}}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    int64_t strides[] = {cases[c].strides[0] * 4, cases[c].strides[1] * 4};
    PJRT_Buffer *buffer = put(memory + cases[c].start, PJRT_Buffer_Type_S32, dims_2x3, 2, strides,
                              PJRT_HostBufferSemantics_kImmutableZeroCopy, NULL);
    get(buffer, data, sizeof data);
    for (int i = 0; i < 6; i++)
      CHECK(data[i] == cases[c].start + i / 3 * cases[c].strides[0] + i % 3 * cases[c].strides[1]);
    destroy_buffer(buffer);
  }
}

/* A transposition of three dimensions, larger than a tile, of every element size. */
static void test_layouts(void) {
  enum { A = 5, B = 37, C = 70 };
  static unsigned char from[A * B * C * 16], to[A * B * C * 16];
  const int64_t dims[] = {A, B, C};
  const struct {
    PJRT_Buffer_Type type;
    size_t size;
  } types[] = {{PJRT_Buffer_Type_U8, 1},  {(PJRT_Buffer_Type)10, 2},  {PJRT_Buffer_Type_F32, 4},
               {(PJRT_Buffer_Type)12, 8}, {(PJRT_Buffer_Type)15, 16}, {(PJRT_Buffer_Type)21, 1}};
  for (size_t i = 0; i < sizeof from; i++) from[i] = (unsigned char)(i * 7 + i / 256);
  const int64_t minor_to_major[] = {1, 0, 2};
  PJRT_Buffer_MemoryLayout layout = {.struct_size = JM_ABI_END(PJRT_Buffer_MemoryLayout, type),
                                     .tiled = {.struct_size = sizeof layout.tiled,
                                               .minor_to_major = minor_to_major,
                                               .minor_to_major_size = 3},
                                     .type = PJRT_Buffer_MemoryLayout_Type_Tiled};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    size_t size = types[t].size;
    PJRT_Buffer *buffer = put(from, types[t].type, dims, 3, NULL,
                              PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes, NULL);
    PJRT_Buffer_ToHostBuffer_Args *args = ARGS(Buffer_ToHostBuffer, .src = buffer);
    args->host_layout = &layout;
    args->dst = NULL;
    OK(abi_Buffer_ToHostBuffer(args));
    CHECK(args->dst_size == A * B * C * size);
    args->dst = to;
    if (OK(abi_Buffer_ToHostBuffer(args))) await(args->event);
    bool same = true;
    for (size_t a = 0; a < A; a++)
      for (size_t b = 0; b < B; b++)
        for (size_t c = 0; c < C; c++)
          same &=
              !memcmp(from + ((a * B + b) * C + c) * size, to + ((c * A + a) * B + b) * size, size);
    CHECK(same);
    args->dst_size--;
    FAILS(abi_Buffer_ToHostBuffer(args), 3, "bytes");
    destroy_buffer(buffer);
  }
}

/* What JAX promises of NumPy's arrays is not kept; what the caller gives away is borrowed. */
static void test_zero_copy(void) {
  enum { N = 4096 };
  float *data = aligned_alloc(64, N * sizeof(float) + 64);
  for (int i = 0; i < N; i++) data[i] = (float)i;
  const int64_t dims[] = {N};
  PJRT_Event *done;
  PJRT_Buffer *buffer = put(data, PJRT_Buffer_Type_F32, dims, 1, NULL,
                            PJRT_HostBufferSemantics_kImmutableZeroCopy, &done);
  CHECK(data_of(buffer) != data && is_ready(done));
  destroy_event(done);
  destroy_buffer(buffer);
  buffer = put(data, PJRT_Buffer_Type_F32, dims, 1, NULL, PJRT_HostBufferSemantics_kMutableZeroCopy,
               &done);
  CHECK(data_of(buffer) == data && !is_ready(done) && bytes_in_use() == 0);
  OK(abi_Buffer_IncreaseExternalReferenceCount(
      ARGS(Buffer_IncreaseExternalReferenceCount, buffer)));
  destroy_buffer(buffer);
  CHECK(!is_ready(done));
  OK(abi_Buffer_DecreaseExternalReferenceCount(
      ARGS(Buffer_DecreaseExternalReferenceCount, buffer)));
  CHECK(is_ready(done));
  destroy_event(done);
  /* Not aligned: copied, and the host's memory is free at once. */
  buffer = put((char *)data + 4, PJRT_Buffer_Type_F32, dims, 1, NULL,
               PJRT_HostBufferSemantics_kMutableZeroCopy, &done);
  CHECK(is_ready(done) && data_of(buffer) != (char *)data + 4);
  destroy_event(done);
  destroy_buffer(buffer);
  free(data);
}

static void test_bad_arrays(void) {
  float data[6] = {0};
  const int64_t huge[] = {INT64_MAX, INT64_MAX}, negative[] = {2, -3}, empty[] = {0, INT64_MAX, 9};
  PJRT_Client_BufferFromHostBuffer_Args *args =
      ARGS(Client_BufferFromHostBuffer, client, .data = data, .type = PJRT_Buffer_Type_F32,
           .dims = dims_2x3, .num_dims = 2);
  args->type = PJRT_Buffer_Type_U1;
  FAILS(abi_Client_BufferFromHostBuffer(args), 3, "element type 31");
  args->type = PJRT_Buffer_Type_F32;
  args->dims = huge;
  FAILS(abi_Client_BufferFromHostBuffer(args), 8, "f32[9223372036854775807");
  args->dims = negative;
  FAILS(abi_Client_BufferFromHostBuffer(args), 3, "dimension 1 is negative: -3");
  args->dims = NULL;
  FAILS(abi_Client_BufferFromHostBuffer(args), 3, "no dimensions");
  args->dims = dims_2x3;
  args->byte_strides = dims_2x3;
  args->num_byte_strides = 1;
  FAILS(abi_Client_BufferFromHostBuffer(args), 3, "strides");
  args->byte_strides = NULL;
  args->data = NULL;
  FAILS(abi_Client_BufferFromHostBuffer(args), 3, "no data");
  args->host_buffer_semantics = (PJRT_HostBufferSemantics)9;
  FAILS(abi_Client_BufferFromHostBuffer(args), 3, "host_buffer_semantics 9");
  args->num_dims = 65;
  FAILS(abi_Client_BufferFromHostBuffer(args), 3, "rank 65");
  PJRT_Buffer *buffer = put(NULL, PJRT_Buffer_Type_F32, empty, 3, NULL,
                            PJRT_HostBufferSemantics_kImmutableZeroCopy, NULL);
  get(buffer, data, 0);
  destroy_buffer(buffer);
}

static void test_copies(void) {
  PJRT_Buffer *buffer = put_floats(2);
  PJRT_Buffer_CopyToDevice_Args *to_device = ARGS(Buffer_CopyToDevice, buffer, device);
  OK(abi_Buffer_CopyToDevice(to_device));
  FAILS(abi_Buffer_CopyToDevice(ARGS(Buffer_CopyToDevice, buffer)), 3, "dst_device");
  PJRT_Device_AddressableMemories_Args *memories = ARGS(Device_AddressableMemories, device);
  OK(abi_Device_AddressableMemories(memories));
  PJRT_Buffer_CopyToMemory_Args *to_memory =
      ARGS(Buffer_CopyToMemory, buffer, memories->memories[memories->num_memories - 1]);
  OK(abi_Buffer_CopyToMemory(to_memory));
  FAILS(abi_Buffer_CopyToMemory(ARGS(Buffer_CopyToMemory, buffer)), 3, "dst_memory");
  CHECK(data_of(to_memory->dst_buffer) != data_of(buffer));
  const int64_t dims[] = {6};
  PJRT_Buffer_Bitcast_Args *cast =
      ARGS(Buffer_Bitcast, buffer, PJRT_Buffer_Type_S32, .dims = dims, .num_dims = 1);
  OK(abi_Buffer_Bitcast(cast));
  CHECK(data_of(cast->out_buffer) == data_of(buffer));
  FAILS(abi_Buffer_Bitcast(ARGS(Buffer_Bitcast, buffer, .element_type = PJRT_Buffer_Type_PRED,
                                .dims = dims, .num_dims = 1)),
        3, "bitcast of f32[2,3]");
  destroy_buffer(buffer);
  CHECK(holds_floats(to_device->dst_buffer, 2) && holds_floats(to_memory->dst_buffer, 2));
  int32_t bits[6];
  get(cast->out_buffer, bits, sizeof bits);
  CHECK(bits[0] == 0x40000000);
  destroy_buffer(cast->out_buffer);
  destroy_buffer(to_device->dst_buffer);
  destroy_buffer(to_memory->dst_buffer);
}

static void test_raw_copies(void) {
  PJRT_Buffer *buffer = put_floats(0);
  float data[2] = {0};
  PJRT_Buffer_CopyRawToHost_Args *raw =
      ARGS(Buffer_CopyRawToHost, buffer, .dst = data, .offset = 8, .transfer_size = 8);
  OK(abi_Buffer_CopyRawToHost(raw));
  await(raw->event);
  CHECK(data[0] == 2 && data[1] == 3);
  raw->offset = 20;
  FAILS(abi_Buffer_CopyRawToHost(raw), 11, "8 bytes at 20");
  raw->offset = -1;
  FAILS(abi_Buffer_CopyRawToHost(raw), 3, "at -1");
  for (int fails = 0; fails < 2; fails++) {
    PJRT_Buffer_CopyRawToHostFuture_Args *future =
        ARGS(Buffer_CopyRawToHostFuture, buffer, .offset = 16, .transfer_size = 8);
    OK(abi_Buffer_CopyRawToHostFuture(future));
    CHECK(!is_ready(future->event));
    PJRT_Buffer_CopyRawToHostFuture_Callback_Args known = {
        .struct_size = sizeof known, .callback_data = future->callback_data, .dst = data};
    if (fails) known.error_code = PJRT_Error_Code_INTERNAL;
    future->future_ready_callback(&known);
    if (fails)
      await_failure(future->event, 13, "");
    else
      await(future->event);
  }
  CHECK(data[0] == 4 && data[1] == 5);
  destroy_buffer(buffer);
}

void test_buffers(void) {
  test_facts();
  test_deletion();
  test_pins();
  test_strides();
  test_layouts();
  test_zero_copy();
  test_bad_arrays();
  test_copies();
  test_raw_copies();
}
