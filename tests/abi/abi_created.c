/* SPDX-License-Identifier: Apache-2.0
 * Buffers that are created by other means than an array of the host: views, promises, failures,
 * donations with a dependency, and those of a transfer manager. */
#include "abi/abi.h"

static const int64_t dims_2x3[] = {2, 3};

static int views_ended;
static void view_ended(void *data, void *argument) {
  CHECK(data == argument);
  views_ended++;
}

static void test_view(void) {
  _Alignas(64) static float data[6] = {7, 8, 9, 10, 11, 12};
  PJRT_Client_CreateViewOfDeviceBuffer_Args *args =
      ARGS(Client_CreateViewOfDeviceBuffer, client, data, dims_2x3, 2, PJRT_Buffer_Type_F32,
           .device = device, .on_delete_callback = view_ended, .on_delete_callback_arg = data);
  views_ended = 0;
  OK(abi_Client_CreateViewOfDeviceBuffer(args));
  CHECK(data_of(args->buffer) == data && holds_floats(args->buffer, 7) && !views_ended);
  destroy_buffer(args->buffer);
  CHECK(views_ended == 1);
  args->device_buffer_ptr = (char *)data + 2;
  FAILS(abi_Client_CreateViewOfDeviceBuffer(args), 3, "multiple of 4");
  CHECK(views_ended == 1);
}

static void test_plain(void) {
  PJRT_Client_CreateUninitializedBuffer_Args *args =
      ARGS(Client_CreateUninitializedBuffer, client, dims_2x3, 2, PJRT_Buffer_Type_F32,
           .device = device);
  OK(abi_Client_CreateUninitializedBuffer(args));
  await(ready_event(args->buffer));
  CHECK(data_of(args->buffer));
  destroy_buffer(args->buffer);

  PJRT_Client_CreateErrorBuffer_Args *failed =
      ARGS(Client_CreateErrorBuffer, client, .error_code = (PJRT_Error_Code)15,
           .error_message = "lost", .error_message_size = 4, .shape_dims = dims_2x3,
           .shape_num_dims = 2, .shape_element_type = PJRT_Buffer_Type_F32);
  OK(abi_Client_CreateErrorBuffer(failed));
  await_failure(ready_event(failed->buffer), 15, "lost");
  float data[6];
  PJRT_Buffer_ToHostBuffer_Args *read =
      ARGS(Buffer_ToHostBuffer, .src = failed->buffer, .dst = data, .dst_size = sizeof data);
  OK(abi_Buffer_ToHostBuffer(read));
  await_failure(read->event, 15, "lost");
  PJRT_Buffer_CopyToDevice_Args *copy = ARGS(Buffer_CopyToDevice, failed->buffer, device);
  OK(abi_Buffer_CopyToDevice(copy));
  await_failure(ready_event(copy->dst_buffer), 15, "lost");
  destroy_buffer(copy->dst_buffer);
  destroy_buffer(failed->buffer);
  failed->error_code = PJRT_Error_Code_OK;
  FAILS(abi_Client_CreateErrorBuffer(failed), 3, "OK");
}

static PJRT_Client_CreateAliasBuffer_Args promise(void) {
  PJRT_Client_CreateAliasBuffer_Args *args =
      ARGS(Client_CreateAliasBuffer, client, .shape_dims = dims_2x3, .shape_num_dims = 2,
           .shape_element_type = PJRT_Buffer_Type_F32);
  OK(abi_Client_CreateAliasBuffer(args));
  return *args;
}

static void test_alias(void) {
  PJRT_Client_CreateAliasBuffer_Args kept = promise(), broken = promise(), dropped = promise();
  PJRT_Buffer *source = put_floats(3);
  PJRT_Event *ready = ready_event(kept.alias_buffer);
  CHECK(!is_ready(ready));
  PJRT_Buffer_CopyToDevice_Args *waits = ARGS(Buffer_CopyToDevice, kept.alias_buffer, device);
  OK(abi_Buffer_CopyToDevice(waits)); /* a read of what isn't there yet */
  OK(abi_Client_FulfillAliasBuffer(ARGS(Client_FulfillAliasBuffer, client, source,
                                        .fulfill_alias_buffer_cb = kept.fulfill_alias_buffer_cb)));
  await(ready);
  CHECK(holds_floats(kept.alias_buffer, 3) && holds_floats(waits->dst_buffer, 3));
  destroy_buffer(waits->dst_buffer);
  destroy_buffer(kept.alias_buffer);
  OK(abi_Client_FulfillAliasBuffer(
      ARGS(Client_FulfillAliasBuffer, client, .status_code = PJRT_Error_Code_INTERNAL,
           .error_message = "no", .error_message_size = 2,
           .fulfill_alias_buffer_cb = broken.fulfill_alias_buffer_cb)));
  await_failure(ready_event(broken.alias_buffer), 13, "no");
  destroy_buffer(broken.alias_buffer);
  destroy_buffer(dropped.alias_buffer); /* nobody waits */
  OK(abi_Client_FulfillAliasBuffer(
      ARGS(Client_FulfillAliasBuffer, client, source,
           .fulfill_alias_buffer_cb = dropped.fulfill_alias_buffer_cb)));
  FAILS(abi_Client_FulfillAliasBuffer(ARGS(Client_FulfillAliasBuffer, client, source)), 3,
        "nothing to fulfill");
  destroy_buffer(source);
}

static void test_dependency(void) {
  for (int fails = 0; fails < 2; fails++) {
    PJRT_Buffer *buffer = put_floats(4);
    PJRT_Buffer_DonateWithControlDependency_Args *args =
        ARGS(Buffer_DonateWithControlDependency, buffer);
    OK(abi_Buffer_DonateWithControlDependency(args));
    CHECK(is_deleted(buffer));
    FAILS(abi_Buffer_DonateWithControlDependency(args), 3, "deleted");
    PJRT_Event *ready = ready_event(args->out_buffer);
    CHECK(!is_ready(ready));
    PJRT_Buffer_DonateWithControlDependency_Callback_Args known = {
        .struct_size = sizeof known,
        .callback_data = args->callback_data,
        .error_code = fails ? PJRT_Error_Code_INTERNAL : PJRT_Error_Code_OK};
    args->dependency_ready_callback(&known);
    if (fails) {
      await_failure(ready, 13, "");
    } else {
      await(ready);
      CHECK(holds_floats(args->out_buffer, 4));
    }
    destroy_buffer(args->out_buffer);
    destroy_buffer(buffer);
  }
}

void test_created_buffers(void) {
  test_view();
  test_plain();
  test_alias();
  test_dependency();
}

typedef PJRT_AsyncHostToDeviceTransferManager manager;

static PJRT_Error *transfer(manager *m, int index, const void *data, int64_t offset, int64_t size,
                            bool last) {
  PJRT_AsyncHostToDeviceTransferManager_TransferData_Args *args =
      ARGS(AsyncHostToDeviceTransferManager_TransferData, m, index, data, offset, size, last);
  PJRT_Error *error = abi_AsyncHostToDeviceTransferManager_TransferData(args);
  if (!error) await(args->done_with_h2d_transfer);
  return error;
}

static PJRT_Buffer *retrieve(manager *m, int index) {
  PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args *args =
      ARGS(AsyncHostToDeviceTransferManager_RetrieveBuffer, m, index);
  OK(abi_AsyncHostToDeviceTransferManager_RetrieveBuffer(args));
  FAILS(abi_AsyncHostToDeviceTransferManager_RetrieveBuffer(args), 9, "retrieved before");
  return args->buffer_out;
}

static void test_facts_of(manager *m) {
  PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args *count =
      ARGS(AsyncHostToDeviceTransferManager_BufferCount, m);
  OK(abi_AsyncHostToDeviceTransferManager_BufferCount(count));
  CHECK(count->buffer_count == 4);
  PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args *size =
      ARGS(AsyncHostToDeviceTransferManager_BufferSize, m, 3);
  OK(abi_AsyncHostToDeviceTransferManager_BufferSize(size));
  CHECK(size->buffer_size == 24);
  size->buffer_index = 4;
  FAILS(abi_AsyncHostToDeviceTransferManager_BufferSize(size), 3, "index 4");
  PJRT_AsyncHostToDeviceTransferManager_Device_Args *of =
      ARGS(AsyncHostToDeviceTransferManager_Device, m);
  OK(abi_AsyncHostToDeviceTransferManager_Device(of));
  CHECK(of->device_out == device);
  OK(abi_AsyncHostToDeviceTransferManager_AddMetadata(
      ARGS(AsyncHostToDeviceTransferManager_AddMetadata, m)));
}

/* Four buffers: in pieces, as a literal, failed, and never completed. */
void test_transfers(void) {
  PJRT_ShapeSpec specs[4];
  for (int i = 0; i < 4; i++)
    specs[i] = (PJRT_ShapeSpec){JM_ABI_END(PJRT_ShapeSpec, element_type), NULL, dims_2x3, 2,
                                PJRT_Buffer_Type_F32};
  PJRT_Client_CreateBuffersForAsyncHostToDevice_Args *create =
      ARGS(Client_CreateBuffersForAsyncHostToDevice, client, specs, 4);
  OK(abi_Client_CreateBuffersForAsyncHostToDevice(create));
  manager *m = create->transfer_manager;
  test_facts_of(m);
  PJRT_Buffer *buffers[4];
  for (int i = 0; i < 4; i++) buffers[i] = retrieve(m, i);
  const float data[] = {1, 2, 3, 4, 5, 6}, columns[] = {1, 4, 2, 5, 3, 6};
  OK(transfer(m, 0, data + 4, 16, 8, false));
  FAILS(transfer(m, 0, data, 20, 8, false), 11, "8 bytes at 20");
  PJRT_Event *ready = ready_event(buffers[0]);
  CHECK(!is_ready(ready));
  OK(transfer(m, 0, data, 0, 16, true));
  await(ready);
  CHECK(holds_floats(buffers[0], 1));
  FAILS(transfer(m, 0, data, 0, 8, false), 9, "complete already");

  const int64_t minor_to_major[] = {0, 1};
  PJRT_Buffer_MemoryLayout layout = {.struct_size = JM_ABI_END(PJRT_Buffer_MemoryLayout, type),
                                     .tiled = {.struct_size = sizeof layout.tiled,
                                               .minor_to_major = minor_to_major,
                                               .minor_to_major_size = 2},
                                     .type = PJRT_Buffer_MemoryLayout_Type_Tiled};
  PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args *literal =
      ARGS(AsyncHostToDeviceTransferManager_TransferLiteral, m, 1, columns, dims_2x3, 2,
           PJRT_Buffer_Type_F32, &layout);
  OK(abi_AsyncHostToDeviceTransferManager_TransferLiteral(literal));
  await(literal->done_with_h2d_transfer);
  CHECK(holds_floats(buffers[1], 1));
  literal->shape_num_dims = 1;
  FAILS(abi_AsyncHostToDeviceTransferManager_TransferLiteral(literal), 3, "shape");

  PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args *failure = ARGS(
      AsyncHostToDeviceTransferManager_SetBufferError, m, 2, PJRT_Error_Code_INTERNAL, "bad", 3);
  OK(abi_AsyncHostToDeviceTransferManager_SetBufferError(failure));
  FAILS(abi_AsyncHostToDeviceTransferManager_SetBufferError(failure), 9, "complete already");
  await_failure(ready_event(buffers[2]), 13, "bad");

  OK(abi_AsyncHostToDeviceTransferManager_Destroy(
      ARGS(AsyncHostToDeviceTransferManager_Destroy, m)));
  await_failure(ready_event(buffers[3]), 10, "buffer 3");
  for (int i = 0; i < 4; i++) destroy_buffer(buffers[i]);
}
