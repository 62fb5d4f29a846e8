/* SPDX-License-Identifier: Apache-2.0
 * The argument block of each function of the PJRT C API, in the order of the table of functions;
 * the number is the block's struct_size at 0.104 or, where fields were added since, later. Part of
 * pjrt_abi.h, which includes it; no code. */
#ifndef JM_PJRT_PJRT_ARGS_H
#define JM_PJRT_PJRT_ARGS_H

#define JM_ARGS(name)          \
  typedef struct name##_Args { \
    JM_ARGS_HEAD
#define JM_ARGS_END(name, last, size) \
  }                                   \
  name##_Args;                        \
  JM_ABI_SIZE(name##_Args, last, size);

/* clang-format off */
JM_ARGS(PJRT_Error_Destroy)
  PJRT_Error *error;
JM_ARGS_END(PJRT_Error_Destroy, error, 24)
JM_ARGS(PJRT_Error_Message)
  const PJRT_Error *error;
  const char *message; size_t message_size; /* out */
JM_ARGS_END(PJRT_Error_Message, message_size, 40)
JM_ARGS(PJRT_Error_GetCode)
  const PJRT_Error *error;
  PJRT_Error_Code code; /* out */
JM_ARGS_END(PJRT_Error_GetCode, code, 28)
JM_ARGS(PJRT_Plugin_Initialize)
JM_ARGS_END(PJRT_Plugin_Initialize, extension_start, 16)
JM_ARGS(PJRT_Plugin_Attributes)
  const PJRT_NamedValue *attributes; size_t num_attributes; /* out */
JM_ARGS_END(PJRT_Plugin_Attributes, num_attributes, 32)
JM_ARGS(PJRT_Event_Destroy)
  PJRT_Event *event;
JM_ARGS_END(PJRT_Event_Destroy, event, 24)
JM_ARGS(PJRT_Event_IsReady)
  PJRT_Event *event;
  bool is_ready; /* out */
JM_ARGS_END(PJRT_Event_IsReady, is_ready, 25)
JM_ARGS(PJRT_Event_Error)
  PJRT_Event *event;
JM_ARGS_END(PJRT_Event_Error, event, 24)
JM_ARGS(PJRT_Event_Await)
  PJRT_Event *event;
JM_ARGS_END(PJRT_Event_Await, event, 24)
JM_ARGS(PJRT_Event_OnReady)
  PJRT_Event *event; PJRT_Event_OnReadyCallback callback; void *user_arg;
JM_ARGS_END(PJRT_Event_OnReady, user_arg, 40)
JM_ARGS(PJRT_Client_Create)
  const PJRT_NamedValue *create_options; size_t num_options;
  PJRT_KeyValueGetCallback kv_get_callback; void *kv_get_user_arg;
  PJRT_KeyValuePutCallback kv_put_callback; void *kv_put_user_arg;
  PJRT_Client *client; /* out */
  PJRT_KeyValueTryGetCallback kv_try_get_callback; void *kv_try_get_user_arg;
JM_ARGS_END(PJRT_Client_Create, kv_try_get_user_arg, 88)
JM_ARGS(PJRT_Client_Destroy)
  PJRT_Client *client;
JM_ARGS_END(PJRT_Client_Destroy, client, 24)
JM_ARGS(PJRT_Client_PlatformName)
  PJRT_Client *client;
  const char *platform_name; size_t platform_name_size; /* out */
JM_ARGS_END(PJRT_Client_PlatformName, platform_name_size, 40)
JM_ARGS(PJRT_Client_ProcessIndex)
  PJRT_Client *client;
  int process_index; /* out */
JM_ARGS_END(PJRT_Client_ProcessIndex, process_index, 28)
JM_ARGS(PJRT_Client_PlatformVersion)
  PJRT_Client *client;
  const char *platform_version; size_t platform_version_size; /* out */
JM_ARGS_END(PJRT_Client_PlatformVersion, platform_version_size, 40)
JM_ARGS(PJRT_Client_Devices)
  PJRT_Client *client;
  PJRT_Device *const *devices; size_t num_devices; /* out */
JM_ARGS_END(PJRT_Client_Devices, num_devices, 40)
JM_ARGS(PJRT_Client_AddressableDevices)
  PJRT_Client *client;
  PJRT_Device *const *addressable_devices; size_t num_addressable_devices; /* out */
JM_ARGS_END(PJRT_Client_AddressableDevices, num_addressable_devices, 40)
JM_ARGS(PJRT_Client_LookupDevice)
  PJRT_Client *client; int id;
  PJRT_Device *device; /* out */
JM_ARGS_END(PJRT_Client_LookupDevice, device, 40)
JM_ARGS(PJRT_Client_LookupAddressableDevice)
  PJRT_Client *client; int local_hardware_id;
  PJRT_Device *addressable_device; /* out */
JM_ARGS_END(PJRT_Client_LookupAddressableDevice, addressable_device, 40)
JM_ARGS(PJRT_Client_AddressableMemories)
  PJRT_Client *client;
  PJRT_Memory *const *addressable_memories; size_t num_addressable_memories; /* out */
JM_ARGS_END(PJRT_Client_AddressableMemories, num_addressable_memories, 40)
JM_ARGS(PJRT_Client_Compile)
  PJRT_Client *client; const PJRT_Program *program; const char *compile_options;
  size_t compile_options_size;
  PJRT_LoadedExecutable *executable; /* out */
JM_ARGS_END(PJRT_Client_Compile, executable, 56)
JM_ARGS(PJRT_Client_DefaultDeviceAssignment)
  PJRT_Client *client; int num_replicas; int num_partitions; size_t default_assignment_size;
  int *default_assignment;
JM_ARGS_END(PJRT_Client_DefaultDeviceAssignment, default_assignment, 48)
JM_ARGS(PJRT_Client_BufferFromHostBuffer)
  PJRT_Client *client; const void *data; PJRT_Buffer_Type type; const int64_t *dims;
  size_t num_dims; const int64_t *byte_strides; size_t num_byte_strides;
  PJRT_HostBufferSemantics host_buffer_semantics; PJRT_Device *device; PJRT_Memory *memory;
  PJRT_Buffer_MemoryLayout *device_layout;
  PJRT_Event *done_with_host_buffer; PJRT_Buffer *buffer; /* out */
JM_ARGS_END(PJRT_Client_BufferFromHostBuffer, buffer, 120)
JM_ARGS(PJRT_DeviceDescription_Id)
  PJRT_DeviceDescription *device_description;
  int id; /* out */
JM_ARGS_END(PJRT_DeviceDescription_Id, id, 28)
JM_ARGS(PJRT_DeviceDescription_ProcessIndex)
  PJRT_DeviceDescription *device_description;
  int process_index; /* out */
JM_ARGS_END(PJRT_DeviceDescription_ProcessIndex, process_index, 28)
JM_ARGS(PJRT_DeviceDescription_Attributes)
  PJRT_DeviceDescription *device_description;
  size_t num_attributes; const PJRT_NamedValue *attributes; /* out */
JM_ARGS_END(PJRT_DeviceDescription_Attributes, attributes, 40)
JM_ARGS(PJRT_DeviceDescription_Kind)
  PJRT_DeviceDescription *device_description;
  const char *device_kind; size_t device_kind_size; /* out */
JM_ARGS_END(PJRT_DeviceDescription_Kind, device_kind_size, 40)
JM_ARGS(PJRT_DeviceDescription_DebugString)
  PJRT_DeviceDescription *device_description;
  const char *debug_string; size_t debug_string_size; /* out */
JM_ARGS_END(PJRT_DeviceDescription_DebugString, debug_string_size, 40)
JM_ARGS(PJRT_DeviceDescription_ToString)
  PJRT_DeviceDescription *device_description;
  const char *to_string; size_t to_string_size; /* out */
JM_ARGS_END(PJRT_DeviceDescription_ToString, to_string_size, 40)
JM_ARGS(PJRT_Device_GetDescription)
  PJRT_Device *device;
  PJRT_DeviceDescription *device_description; /* out */
JM_ARGS_END(PJRT_Device_GetDescription, device_description, 32)
JM_ARGS(PJRT_Device_IsAddressable)
  PJRT_Device *device;
  bool is_addressable; /* out */
JM_ARGS_END(PJRT_Device_IsAddressable, is_addressable, 25)
JM_ARGS(PJRT_Device_LocalHardwareId)
  PJRT_Device *device;
  int local_hardware_id; /* out */
JM_ARGS_END(PJRT_Device_LocalHardwareId, local_hardware_id, 28)
JM_ARGS(PJRT_Device_AddressableMemories)
  PJRT_Device *device;
  PJRT_Memory *const *memories; size_t num_memories; /* out */
JM_ARGS_END(PJRT_Device_AddressableMemories, num_memories, 40)
JM_ARGS(PJRT_Device_DefaultMemory)
  PJRT_Device *device;
  PJRT_Memory *memory; /* out */
JM_ARGS_END(PJRT_Device_DefaultMemory, memory, 32)
JM_ARGS(PJRT_Device_MemoryStats)
  PJRT_Device *device;
  int64_t bytes_in_use; int64_t peak_bytes_in_use; bool peak_bytes_in_use_is_set; /* out */
  int64_t num_allocs; bool num_allocs_is_set; int64_t largest_alloc_size; /* out */
  bool largest_alloc_size_is_set; int64_t bytes_limit; bool bytes_limit_is_set; /* out */
  int64_t bytes_reserved; bool bytes_reserved_is_set; int64_t peak_bytes_reserved; /* out */
  bool peak_bytes_reserved_is_set; int64_t bytes_reservable_limit; /* out */
  bool bytes_reservable_limit_is_set; int64_t largest_free_block_bytes; /* out */
  bool largest_free_block_bytes_is_set; int64_t pool_bytes; bool pool_bytes_is_set; /* out */
  int64_t peak_pool_bytes; bool peak_pool_bytes_is_set; int64_t peak_allocated_bytes; /* out */
  bool peak_allocated_bytes_is_set; /* out */
JM_ARGS_END(PJRT_Device_MemoryStats, peak_allocated_bytes_is_set, 201)
JM_ARGS(PJRT_Memory_Id)
  PJRT_Memory *memory;
  int id; /* out */
JM_ARGS_END(PJRT_Memory_Id, id, 28)
JM_ARGS(PJRT_Memory_Kind)
  PJRT_Memory *memory;
  const char *kind; size_t kind_size; /* out */
JM_ARGS_END(PJRT_Memory_Kind, kind_size, 40)
JM_ARGS(PJRT_Memory_DebugString)
  PJRT_Memory *memory;
  const char *debug_string; size_t debug_string_size; /* out */
JM_ARGS_END(PJRT_Memory_DebugString, debug_string_size, 40)
JM_ARGS(PJRT_Memory_ToString)
  PJRT_Memory *memory;
  const char *to_string; size_t to_string_size; /* out */
JM_ARGS_END(PJRT_Memory_ToString, to_string_size, 40)
JM_ARGS(PJRT_Memory_AddressableByDevices)
  PJRT_Memory *memory;
  PJRT_Device *const *devices; size_t num_devices; /* out */
JM_ARGS_END(PJRT_Memory_AddressableByDevices, num_devices, 40)
JM_ARGS(PJRT_Executable_Destroy)
  PJRT_Executable *executable;
JM_ARGS_END(PJRT_Executable_Destroy, executable, 24)
JM_ARGS(PJRT_Executable_Name)
  PJRT_Executable *executable;
  const char *executable_name; size_t executable_name_size; /* out */
JM_ARGS_END(PJRT_Executable_Name, executable_name_size, 40)
JM_ARGS(PJRT_Executable_NumReplicas)
  PJRT_Executable *executable;
  size_t num_replicas; /* out */
JM_ARGS_END(PJRT_Executable_NumReplicas, num_replicas, 32)
JM_ARGS(PJRT_Executable_NumPartitions)
  PJRT_Executable *executable;
  size_t num_partitions; /* out */
JM_ARGS_END(PJRT_Executable_NumPartitions, num_partitions, 32)
JM_ARGS(PJRT_Executable_NumOutputs)
  PJRT_Executable *executable;
  size_t num_outputs; /* out */
JM_ARGS_END(PJRT_Executable_NumOutputs, num_outputs, 32)
JM_ARGS(PJRT_Executable_SizeOfGeneratedCodeInBytes)
  PJRT_Executable *executable;
  int64_t size_in_bytes; /* out */
JM_ARGS_END(PJRT_Executable_SizeOfGeneratedCodeInBytes, size_in_bytes, 32)
JM_ARGS(PJRT_Executable_GetCostAnalysis)
  PJRT_Executable *executable;
  size_t num_properties; const PJRT_NamedValue *properties; /* out */
JM_ARGS_END(PJRT_Executable_GetCostAnalysis, properties, 40)
JM_ARGS(PJRT_Executable_OutputMemoryKinds)
  PJRT_Executable *executable; size_t num_outputs;
  const char *const *memory_kinds; const size_t *memory_kind_sizes; /* out */
JM_ARGS_END(PJRT_Executable_OutputMemoryKinds, memory_kind_sizes, 48)
JM_ARGS(PJRT_Executable_OptimizedProgram)
  PJRT_Executable *executable;
  PJRT_Program *program; /* out */
JM_ARGS_END(PJRT_Executable_OptimizedProgram, program, 32)
JM_ARGS(PJRT_Executable_Serialize)
  const PJRT_Executable *executable;
  const char *serialized_bytes; size_t serialized_bytes_size; /* out */
  PJRT_SerializedExecutable *serialized_executable; /* out */
  void (*serialized_executable_deleter)(PJRT_SerializedExecutable *exec); /* out */
JM_ARGS_END(PJRT_Executable_Serialize, serialized_executable_deleter, 56)
JM_ARGS(PJRT_LoadedExecutable_Destroy)
  PJRT_LoadedExecutable *executable;
JM_ARGS_END(PJRT_LoadedExecutable_Destroy, executable, 24)
JM_ARGS(PJRT_LoadedExecutable_GetExecutable)
  PJRT_LoadedExecutable *loaded_executable;
  PJRT_Executable *executable; /* out */
JM_ARGS_END(PJRT_LoadedExecutable_GetExecutable, executable, 32)
JM_ARGS(PJRT_LoadedExecutable_AddressableDevices)
  PJRT_LoadedExecutable *executable;
  PJRT_Device *const *addressable_devices; size_t num_addressable_devices; /* out */
JM_ARGS_END(PJRT_LoadedExecutable_AddressableDevices, num_addressable_devices, 40)
JM_ARGS(PJRT_LoadedExecutable_Delete)
  PJRT_LoadedExecutable *executable;
JM_ARGS_END(PJRT_LoadedExecutable_Delete, executable, 24)
JM_ARGS(PJRT_LoadedExecutable_IsDeleted)
  PJRT_LoadedExecutable *executable;
  bool is_deleted; /* out */
JM_ARGS_END(PJRT_LoadedExecutable_IsDeleted, is_deleted, 25)
JM_ARGS(PJRT_LoadedExecutable_Execute)
  PJRT_LoadedExecutable *executable; PJRT_ExecuteOptions *options;
  PJRT_Buffer *const *const *argument_lists; size_t num_devices; size_t num_args;
  PJRT_Buffer **const *output_lists; PJRT_Event **device_complete_events;
  PJRT_Device *execute_device;
JM_ARGS_END(PJRT_LoadedExecutable_Execute, execute_device, 80)
JM_ARGS(PJRT_Executable_DeserializeAndLoad)
  PJRT_Client *client; const char *serialized_executable; size_t serialized_executable_size;
  PJRT_LoadedExecutable *loaded_executable; /* out */
  const char *overridden_serialized_compile_options;
  size_t overridden_serialized_compile_options_size; PJRT_LoadOptions *load_options;
JM_ARGS_END(PJRT_Executable_DeserializeAndLoad, load_options, 72)
JM_ARGS(PJRT_LoadedExecutable_Fingerprint)
  PJRT_LoadedExecutable *executable;
  const char *executable_fingerprint; size_t executable_fingerprint_size; /* out */
JM_ARGS_END(PJRT_LoadedExecutable_Fingerprint, executable_fingerprint_size, 40)
JM_ARGS(PJRT_Buffer_Destroy)
  PJRT_Buffer *buffer;
JM_ARGS_END(PJRT_Buffer_Destroy, buffer, 24)
JM_ARGS(PJRT_Buffer_ElementType)
  PJRT_Buffer *buffer;
  PJRT_Buffer_Type type; /* out */
JM_ARGS_END(PJRT_Buffer_ElementType, type, 28)
JM_ARGS(PJRT_Buffer_Dimensions)
  PJRT_Buffer *buffer;
  const int64_t *dims; size_t num_dims; /* out */
JM_ARGS_END(PJRT_Buffer_Dimensions, num_dims, 40)
JM_ARGS(PJRT_Buffer_UnpaddedDimensions)
  PJRT_Buffer *buffer;
  const int64_t *unpadded_dims; size_t num_dims; /* out */
JM_ARGS_END(PJRT_Buffer_UnpaddedDimensions, num_dims, 40)
JM_ARGS(PJRT_Buffer_DynamicDimensionIndices)
  PJRT_Buffer *buffer;
  const size_t *dynamic_dim_indices; size_t num_dynamic_dims; /* out */
JM_ARGS_END(PJRT_Buffer_DynamicDimensionIndices, num_dynamic_dims, 40)
JM_ARGS(PJRT_Buffer_GetMemoryLayout)
  PJRT_Buffer *buffer;
  PJRT_Buffer_MemoryLayout layout; /* out */
JM_ARGS_END(PJRT_Buffer_GetMemoryLayout, layout, 104)
JM_ARGS(PJRT_Buffer_OnDeviceSizeInBytes)
  PJRT_Buffer *buffer;
  size_t on_device_size_in_bytes; /* out */
JM_ARGS_END(PJRT_Buffer_OnDeviceSizeInBytes, on_device_size_in_bytes, 32)
JM_ARGS(PJRT_Buffer_Device)
  PJRT_Buffer *buffer;
  PJRT_Device *device; /* out */
JM_ARGS_END(PJRT_Buffer_Device, device, 32)
JM_ARGS(PJRT_Buffer_Memory)
  PJRT_Buffer *buffer;
  PJRT_Memory *memory; /* out */
JM_ARGS_END(PJRT_Buffer_Memory, memory, 32)
JM_ARGS(PJRT_Buffer_Delete)
  PJRT_Buffer *buffer;
JM_ARGS_END(PJRT_Buffer_Delete, buffer, 24)
JM_ARGS(PJRT_Buffer_IsDeleted)
  PJRT_Buffer *buffer;
  bool is_deleted; /* out */
JM_ARGS_END(PJRT_Buffer_IsDeleted, is_deleted, 25)
JM_ARGS(PJRT_Buffer_CopyToDevice)
  PJRT_Buffer *buffer; PJRT_Device *dst_device;
  PJRT_Buffer *dst_buffer; /* out */
JM_ARGS_END(PJRT_Buffer_CopyToDevice, dst_buffer, 40)
JM_ARGS(PJRT_Buffer_ToHostBuffer)
  PJRT_Buffer *src; PJRT_Buffer_MemoryLayout *host_layout; void *dst; size_t dst_size;
  PJRT_Event *event; /* out */
JM_ARGS_END(PJRT_Buffer_ToHostBuffer, event, 56)
JM_ARGS(PJRT_Buffer_IsOnCpu)
  PJRT_Buffer *buffer;
  bool is_on_cpu; /* out */
JM_ARGS_END(PJRT_Buffer_IsOnCpu, is_on_cpu, 25)
JM_ARGS(PJRT_Buffer_ReadyEvent)
  PJRT_Buffer *buffer;
  PJRT_Event *event; /* out */
JM_ARGS_END(PJRT_Buffer_ReadyEvent, event, 32)
JM_ARGS(PJRT_Buffer_UnsafePointer)
  PJRT_Buffer *buffer;
  uintptr_t buffer_pointer; /* out */
JM_ARGS_END(PJRT_Buffer_UnsafePointer, buffer_pointer, 32)
JM_ARGS(PJRT_Buffer_IncreaseExternalReferenceCount)
  PJRT_Buffer *buffer;
JM_ARGS_END(PJRT_Buffer_IncreaseExternalReferenceCount, buffer, 24)
JM_ARGS(PJRT_Buffer_DecreaseExternalReferenceCount)
  PJRT_Buffer *buffer;
JM_ARGS_END(PJRT_Buffer_DecreaseExternalReferenceCount, buffer, 24)
JM_ARGS(PJRT_Buffer_OpaqueDeviceMemoryDataPointer)
  PJRT_Buffer *buffer;
  void *device_memory_ptr; /* out */
JM_ARGS_END(PJRT_Buffer_OpaqueDeviceMemoryDataPointer, device_memory_ptr, 32)
JM_ARGS(PJRT_CopyToDeviceStream_Destroy)
  PJRT_CopyToDeviceStream *stream;
JM_ARGS_END(PJRT_CopyToDeviceStream_Destroy, stream, 24)
JM_ARGS(PJRT_CopyToDeviceStream_AddChunk)
  PJRT_CopyToDeviceStream *stream; PJRT_Chunk *chunk;
  PJRT_Event *transfer_complete; /* out */
JM_ARGS_END(PJRT_CopyToDeviceStream_AddChunk, transfer_complete, 40)
JM_ARGS(PJRT_CopyToDeviceStream_TotalBytes)
  PJRT_CopyToDeviceStream *stream;
  int64_t total_bytes; /* out */
JM_ARGS_END(PJRT_CopyToDeviceStream_TotalBytes, total_bytes, 32)
JM_ARGS(PJRT_CopyToDeviceStream_GranuleSize)
  PJRT_CopyToDeviceStream *stream;
  int64_t granule_size_in_bytes; /* out */
JM_ARGS_END(PJRT_CopyToDeviceStream_GranuleSize, granule_size_in_bytes, 32)
JM_ARGS(PJRT_CopyToDeviceStream_CurrentBytes)
  PJRT_CopyToDeviceStream *stream;
  int64_t current_bytes; /* out */
JM_ARGS_END(PJRT_CopyToDeviceStream_CurrentBytes, current_bytes, 32)
JM_ARGS(PJRT_TopologyDescription_Create)
  const char *topology_name; size_t topology_name_size; const PJRT_NamedValue *create_options;
  size_t num_options;
  PJRT_TopologyDescription *topology; /* out */
JM_ARGS_END(PJRT_TopologyDescription_Create, topology, 56)
JM_ARGS(PJRT_TopologyDescription_Destroy)
  PJRT_TopologyDescription *topology;
JM_ARGS_END(PJRT_TopologyDescription_Destroy, topology, 24)
JM_ARGS(PJRT_TopologyDescription_PlatformName)
  const PJRT_TopologyDescription *topology;
  const char *platform_name; size_t platform_name_size; /* out */
JM_ARGS_END(PJRT_TopologyDescription_PlatformName, platform_name_size, 40)
JM_ARGS(PJRT_TopologyDescription_PlatformVersion)
  PJRT_TopologyDescription *topology;
  const char *platform_version; size_t platform_version_size; /* out */
JM_ARGS_END(PJRT_TopologyDescription_PlatformVersion, platform_version_size, 40)
JM_ARGS(PJRT_TopologyDescription_GetDeviceDescriptions)
  const PJRT_TopologyDescription *topology;
  PJRT_DeviceDescription *const *descriptions; size_t num_descriptions; /* out */
JM_ARGS_END(PJRT_TopologyDescription_GetDeviceDescriptions, num_descriptions, 40)
JM_ARGS(PJRT_TopologyDescription_Serialize)
  PJRT_TopologyDescription *topology;
  const char *serialized_bytes; size_t serialized_bytes_size; /* out */
  PJRT_SerializedTopology *serialized_topology; /* out */
  void (*serialized_topology_deleter)(PJRT_SerializedTopology *serialized_topology); /* out */
JM_ARGS_END(PJRT_TopologyDescription_Serialize, serialized_topology_deleter, 56)
JM_ARGS(PJRT_TopologyDescription_Attributes)
  PJRT_TopologyDescription *topology;
  const PJRT_NamedValue *attributes; size_t num_attributes; /* out */
JM_ARGS_END(PJRT_TopologyDescription_Attributes, num_attributes, 40)
JM_ARGS(PJRT_Compile)
  const PJRT_TopologyDescription *topology; const PJRT_Program *program;
  const char *compile_options; size_t compile_options_size; PJRT_Client *client;
  PJRT_Executable *executable; /* out */
JM_ARGS_END(PJRT_Compile, executable, 64)
JM_ARGS(PJRT_Executable_OutputElementTypes)
  PJRT_Executable *executable;
  PJRT_Buffer_Type *output_types; size_t num_output_types; /* out */
JM_ARGS_END(PJRT_Executable_OutputElementTypes, num_output_types, 40)
JM_ARGS(PJRT_Executable_OutputDimensions)
  PJRT_Executable *executable; size_t num_outputs;
  const int64_t *dims; const size_t *dim_sizes; /* out */
JM_ARGS_END(PJRT_Executable_OutputDimensions, dim_sizes, 48)
JM_ARGS(PJRT_Buffer_CopyToMemory)
  PJRT_Buffer *buffer; PJRT_Memory *dst_memory;
  PJRT_Buffer *dst_buffer; /* out */
JM_ARGS_END(PJRT_Buffer_CopyToMemory, dst_buffer, 40)
JM_ARGS(PJRT_Client_CreateViewOfDeviceBuffer)
  PJRT_Client *client; void *device_buffer_ptr; const int64_t *dims; size_t num_dims;
  PJRT_Buffer_Type element_type; PJRT_Buffer_MemoryLayout *layout; PJRT_Device *device;
  void (*on_delete_callback)(void *device_buffer_ptr, void *user_arg);
  void *on_delete_callback_arg; intptr_t stream;
  PJRT_Buffer *buffer; /* out */
  PJRT_Memory *memory;
JM_ARGS_END(PJRT_Client_CreateViewOfDeviceBuffer, memory, 112)
JM_ARGS(PJRT_Executable_Fingerprint)
  PJRT_Executable *executable;
  const char *executable_fingerprint; size_t executable_fingerprint_size; /* out */
JM_ARGS_END(PJRT_Executable_Fingerprint, executable_fingerprint_size, 40)
JM_ARGS(PJRT_Client_TopologyDescription)
  PJRT_Client *client;
  PJRT_TopologyDescription *topology; /* out */
JM_ARGS_END(PJRT_Client_TopologyDescription, topology, 32)
JM_ARGS(PJRT_Executable_GetCompiledMemoryStats)
  PJRT_Executable *executable;
  int64_t generated_code_size_in_bytes; int64_t argument_size_in_bytes; /* out */
  int64_t output_size_in_bytes; int64_t alias_size_in_bytes; /* out */
  int64_t temp_size_in_bytes; int64_t host_generated_code_size_in_bytes; /* out */
  int64_t host_argument_size_in_bytes; int64_t host_output_size_in_bytes; /* out */
  int64_t host_alias_size_in_bytes; int64_t host_temp_size_in_bytes; /* out */
  int64_t peak_memory_in_bytes; int64_t total_size_in_bytes; /* out */
  int64_t total_allocation_bytes; int64_t indefinite_allocations; /* out */
  int64_t peak_unpadded_heap_bytes; /* out */
JM_ARGS_END(PJRT_Executable_GetCompiledMemoryStats, peak_unpadded_heap_bytes, 144)
JM_ARGS(PJRT_Memory_Kind_Id)
  PJRT_Memory *memory;
  int kind_id; /* out */
JM_ARGS_END(PJRT_Memory_Kind_Id, kind_id, 28)
JM_ARGS(PJRT_ExecuteContext_Create)
  PJRT_ExecuteContext *context; /* out */
JM_ARGS_END(PJRT_ExecuteContext_Create, context, 24)
JM_ARGS(PJRT_ExecuteContext_Destroy)
  PJRT_ExecuteContext *context;
JM_ARGS_END(PJRT_ExecuteContext_Destroy, context, 24)
JM_ARGS(PJRT_Buffer_CopyRawToHost)
  PJRT_Buffer *buffer; void *dst; int64_t offset; int64_t transfer_size;
  PJRT_Event *event; /* out */
JM_ARGS_END(PJRT_Buffer_CopyRawToHost, event, 56)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_Destroy)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager;
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_Destroy, transfer_manager, 24)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_TransferData)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager; int buffer_index; const void *data;
  int64_t offset; int64_t transfer_size; bool is_last_transfer;
  PJRT_Event *done_with_h2d_transfer; /* out */
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_TransferData, done_with_h2d_transfer, 72)
JM_ARGS(PJRT_Client_CreateBuffersForAsyncHostToDevice)
  PJRT_Client *client; PJRT_ShapeSpec *shape_specs; size_t num_shape_specs;
  PJRT_Buffer_MemoryLayout **device_layouts; size_t num_device_layouts; PJRT_Memory *memory;
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager; /* out */
JM_ARGS_END(PJRT_Client_CreateBuffersForAsyncHostToDevice, transfer_manager, 72)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager; int buffer_index;
  PJRT_Buffer *buffer_out; /* out */
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer, buffer_out, 40)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_Device)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager;
  PJRT_Device *device_out; /* out */
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_Device, device_out, 32)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_BufferCount)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager;
  size_t buffer_count; /* out */
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_BufferCount, buffer_count, 32)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_BufferSize)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager; int buffer_index;
  size_t buffer_size; /* out */
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_BufferSize, buffer_size, 40)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_SetBufferError)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager; int buffer_index;
  PJRT_Error_Code error_code; const char *error_message; size_t error_message_size;
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_SetBufferError, error_message_size, 48)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_AddMetadata)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager;
  const PJRT_NamedValue *transfer_metadata; size_t num_metadata;
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_AddMetadata, num_metadata, 40)
JM_ARGS(PJRT_Client_DmaMap)
  PJRT_Client *client; void *data; size_t size;
JM_ARGS_END(PJRT_Client_DmaMap, size, 40)
JM_ARGS(PJRT_Client_DmaUnmap)
  PJRT_Client *client; void *data;
JM_ARGS_END(PJRT_Client_DmaUnmap, data, 32)
JM_ARGS(PJRT_Client_CreateUninitializedBuffer)
  PJRT_Client *client; const int64_t *shape_dims; size_t shape_num_dims;
  PJRT_Buffer_Type shape_element_type; PJRT_Buffer_MemoryLayout *shape_layout;
  PJRT_Device *device; PJRT_Memory *memory;
  PJRT_Buffer *buffer; /* out */
JM_ARGS_END(PJRT_Client_CreateUninitializedBuffer, buffer, 80)
JM_ARGS(PJRT_Client_UpdateGlobalProcessInfo)
  PJRT_Client *client; PJRT_ProcessInfo *process_infos; size_t num_process_infos;
JM_ARGS_END(PJRT_Client_UpdateGlobalProcessInfo, num_process_infos, 40)
JM_ARGS(PJRT_TopologyDescription_Deserialize)
  const char *serialized_topology; size_t serialized_topology_size;
  PJRT_TopologyDescription *topology; /* out */
JM_ARGS_END(PJRT_TopologyDescription_Deserialize, topology, 40)
JM_ARGS(PJRT_Client_CreateAliasBuffer)
  PJRT_Client *client; PJRT_Memory *memory; const int64_t *shape_dims; size_t shape_num_dims;
  PJRT_Buffer_Type shape_element_type; PJRT_Buffer_MemoryLayout *shape_layout;
  PJRT_Buffer *alias_buffer; PJRT_FulfillAliasBufferCallback *fulfill_alias_buffer_cb; /* out */
JM_ARGS_END(PJRT_Client_CreateAliasBuffer, fulfill_alias_buffer_cb, 80)
JM_ARGS(PJRT_Client_FulfillAliasBuffer)
  PJRT_Client *client; PJRT_Buffer *buffer; PJRT_Error_Code status_code;
  const char *error_message; size_t error_message_size;
  PJRT_FulfillAliasBufferCallback *fulfill_alias_buffer_cb;
JM_ARGS_END(PJRT_Client_FulfillAliasBuffer, fulfill_alias_buffer_cb, 64)
JM_ARGS(PJRT_LoadedExecutable_GetDeviceAssignment)
  PJRT_LoadedExecutable *executable;
  const char *serialized_bytes; size_t serialized_bytes_size; /* out */
  PJRT_DeviceAssignmentSerialized *serialized_device_assignment; /* out */
  void (*serialized_device_assignment_deleter)(PJRT_DeviceAssignmentSerialized *da); /* out */
JM_ARGS_END(PJRT_LoadedExecutable_GetDeviceAssignment, serialized_device_assignment_deleter, 56)
JM_ARGS(PJRT_Client_CreateErrorBuffer)
  PJRT_Client *client; PJRT_Error_Code error_code; const char *error_message;
  size_t error_message_size; const int64_t *shape_dims; size_t shape_num_dims;
  PJRT_Buffer_Type shape_element_type; PJRT_Buffer_MemoryLayout *shape_layout;
  PJRT_Memory *memory;
  PJRT_Buffer *buffer; /* out */
  const PJRT_NamedValue *payload; size_t num_payload;
JM_ARGS_END(PJRT_Client_CreateErrorBuffer, num_payload, 112)
JM_ARGS(PJRT_AsyncHostToDeviceTransferManager_TransferLiteral)
  PJRT_AsyncHostToDeviceTransferManager *transfer_manager; int buffer_index; const void *data;
  const int64_t *shape_dims; size_t shape_num_dims; PJRT_Buffer_Type shape_element_type;
  PJRT_Buffer_MemoryLayout *shape_layout;
  PJRT_Event *done_with_h2d_transfer; /* out */
JM_ARGS_END(PJRT_AsyncHostToDeviceTransferManager_TransferLiteral, done_with_h2d_transfer, 80)
JM_ARGS(PJRT_Buffer_CopyRawToHostFuture)
  PJRT_Buffer *buffer; int64_t offset; int64_t transfer_size;
  PJRT_Event *event; void *callback_data; /* out */
  void (*future_ready_callback)(PJRT_Buffer_CopyRawToHostFuture_Callback_Args *args); /* out */
JM_ARGS_END(PJRT_Buffer_CopyRawToHostFuture, future_ready_callback, 64)
JM_ARGS(PJRT_Device_PoisonExecution)
  PJRT_Device *device; int32_t launch_id; PJRT_Error_Code error_code; const char *error_message;
  size_t error_message_size;
  bool poisoned; /* out */
  const PJRT_NamedValue *payload; size_t num_payload;
JM_ARGS_END(PJRT_Device_PoisonExecution, num_payload, 72)
JM_ARGS(PJRT_Device_CreateAsyncTrackingEvent)
  PJRT_Device *device; const char *description; size_t description_size;
  PJRT_AsyncTrackingEvent *event; /* out */
JM_ARGS_END(PJRT_Device_CreateAsyncTrackingEvent, event, 48)
JM_ARGS(PJRT_AsyncTrackingEvent_Destroy)
  PJRT_AsyncTrackingEvent *event;
JM_ARGS_END(PJRT_AsyncTrackingEvent_Destroy, event, 24)
JM_ARGS(PJRT_Executable_GetCompileOptions)
  PJRT_Executable *executable;
  const char *serialized_bytes; size_t serialized_bytes_size; /* out */
  PJRT_SerializedCompileOptions *serialized_compile_options; /* out */
  void (*serialized_compile_options_deleter)(PJRT_SerializedCompileOptions *options); /* out */
JM_ARGS_END(PJRT_Executable_GetCompileOptions, serialized_compile_options_deleter, 56)
JM_ARGS(PJRT_Buffer_DonateWithControlDependency)
  PJRT_Buffer *buffer;
  void *callback_data; /* out */
  void (*dependency_ready_callback)(PJRT_Buffer_DonateWithControlDependency_Callback_Args *args);
  /* out */
  PJRT_Buffer *out_buffer; /* out */
JM_ARGS_END(PJRT_Buffer_DonateWithControlDependency, out_buffer, 48)
JM_ARGS(PJRT_Event_Create)
  PJRT_Event *event; /* out */
JM_ARGS_END(PJRT_Event_Create, event, 24)
JM_ARGS(PJRT_Event_Set)
  PJRT_Event *event; PJRT_Error_Code error_code; const char *error_message;
  size_t error_message_size;
JM_ARGS_END(PJRT_Event_Set, error_message_size, 48)
JM_ARGS(PJRT_Device_GetAttributes)
  PJRT_Device *device;
  const PJRT_NamedValue *attributes; size_t num_attributes; /* out */
  PJRT_Device_Attributes *device_attributes; /* out */
  void (*attributes_deleter)(PJRT_Device_Attributes *device_attributes); /* out */
JM_ARGS_END(PJRT_Device_GetAttributes, attributes_deleter, 56)
JM_ARGS(PJRT_Client_Load)
  PJRT_Client *client; PJRT_Executable *executable; const char *compile_options;
  size_t compile_options_size;
  PJRT_LoadedExecutable *loaded_executable; /* out */
JM_ARGS_END(PJRT_Client_Load, loaded_executable, 56)
JM_ARGS(PJRT_LoadedExecutable_AddressableDeviceLogicalIds)
  PJRT_LoadedExecutable *executable;
  PJRT_LogicalDeviceIds *addressable_device_logical_ids; /* out */
  size_t num_addressable_device_logical_ids; /* out */
JM_ARGS_END(PJRT_LoadedExecutable_AddressableDeviceLogicalIds,
            num_addressable_device_logical_ids, 40)
JM_ARGS(PJRT_Buffer_Bitcast)
  PJRT_Buffer *buffer; PJRT_Buffer_Type element_type; const int64_t *dims; size_t num_dims;
  PJRT_Buffer_MemoryLayout *device_layout;
  PJRT_Buffer *out_buffer; /* out */
JM_ARGS_END(PJRT_Buffer_Bitcast, out_buffer, 64)
JM_ARGS(PJRT_Error_ForEachPayload)
  const PJRT_Error *error; PJRT_Error_PayloadVisitor visitor; void *user_arg;
JM_ARGS_END(PJRT_Error_ForEachPayload, user_arg, 40)
JM_ARGS(PJRT_TopologyDescription_Fingerprint)
  const PJRT_TopologyDescription *topology;
  uint64_t fingerprint; /* out */
JM_ARGS_END(PJRT_TopologyDescription_Fingerprint, fingerprint, 32)
JM_ARGS(PJRT_Executable_ParameterMemoryKinds)
  PJRT_Executable *executable; size_t num_parameters;
  const char *const *memory_kinds; const size_t *memory_kind_sizes; /* out */
JM_ARGS_END(PJRT_Executable_ParameterMemoryKinds, memory_kind_sizes, 48)
/* clang-format on */

#endif
