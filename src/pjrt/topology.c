/* SPDX-License-Identifier: Apache-2.0
 * Topologies: the descriptions of devices, with a client or without. */
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "pjrt/pjrt.h"

jm_error *jm_slot_TopologyDescription_Create(PJRT_TopologyDescription_Create_Args *args) {
  if (args->num_options)
    return jm_error_invalid("PJRT_TopologyDescription_Create takes no options, %zu were given",
                            args->num_options);
  jm_topology *topology = jm_alloc(1, sizeof *topology);
  if (!topology) return jm_error_out_of_memory();
  jm_error *error = jm_topology_read(topology);
  if (error) {
    jm_free(topology);
    return error;
  }
  args->topology = jm_topology_out(topology);
  return NULL;
}

jm_error *jm_slot_TopologyDescription_Destroy(PJRT_TopologyDescription_Destroy_Args *args) {
  jm_free(jm_topology_in(args->topology));
  return NULL;
}

jm_error *jm_slot_TopologyDescription_PlatformName(
    PJRT_TopologyDescription_PlatformName_Args *args) {
  args->platform_name = JM_PLATFORM;
  args->platform_name_size = strlen(JM_PLATFORM);
  return NULL;
}

jm_error *jm_slot_TopologyDescription_PlatformVersion(
    PJRT_TopologyDescription_PlatformVersion_Args *args) {
  args->platform_version = jm_topology_in(args->topology)->platform_version;
  args->platform_version_size = strlen(args->platform_version);
  return NULL;
}

jm_error *jm_slot_TopologyDescription_GetDeviceDescriptions(
    PJRT_TopologyDescription_GetDeviceDescriptions_Args *args) {
  jm_topology *topology = jm_topology_in(args->topology);
  args->descriptions = (PJRT_DeviceDescription *const *)topology->list;
  args->num_descriptions = topology->n_devices;
  return NULL;
}

jm_error *jm_slot_TopologyDescription_Attributes(PJRT_TopologyDescription_Attributes_Args *args) {
  args->attributes = NULL;
  args->num_attributes = 0;
  return NULL;
}

/* The serialised form: a line of text, "<platform_version>\n<devices>\n". */
struct PJRT_SerializedTopology {
  jm_text text;
};

static void delete_serialized(PJRT_SerializedTopology *serialized) {
  jm_text_deinit(&serialized->text);
  jm_free(serialized);
}

jm_error *jm_slot_TopologyDescription_Serialize(PJRT_TopologyDescription_Serialize_Args *args) {
  jm_topology *topology = jm_topology_in(args->topology);
  PJRT_SerializedTopology *serialized = jm_alloc(1, sizeof *serialized);
  if (!serialized) return jm_error_out_of_memory();
  jm_text_init(&serialized->text);
  jm_text_printf(&serialized->text, "%s\n%u\n", topology->platform_version, topology->n_devices);
  jm_error *error = jm_text_error(&serialized->text);
  if (error) {
    delete_serialized(serialized);
    return error;
  }
  args->serialized_bytes = serialized->text.bytes;
  args->serialized_bytes_size = serialized->text.size;
  args->serialized_topology = serialized;
  args->serialized_topology_deleter = delete_serialized;
  return NULL;
}

jm_error *jm_slot_TopologyDescription_Deserialize(PJRT_TopologyDescription_Deserialize_Args *args) {
  jm_topology *topology = jm_alloc(1, sizeof *topology);
  if (!topology) return jm_error_out_of_memory();
  const char *bytes = args->serialized_topology;
  size_t size = bytes ? args->serialized_topology_size : 0;
  jm_topology_build_host(1, topology); /* for its version */
  size_t prefix = strlen(topology->platform_version);
  uint32_t n_devices = 0;
  size_t at = prefix + 1;
  if (size > at && !memcmp(bytes, topology->platform_version, prefix) && bytes[prefix] == '\n')
    while (at < size && bytes[at] >= '0' && bytes[at] <= '9' && n_devices <= JM_MAX_DEVICES)
      n_devices = n_devices * 10 + (uint32_t)(bytes[at++] - '0');
  if (n_devices < 1 || n_devices > JM_MAX_DEVICES || at + 1 != size || bytes[at] != '\n') {
    jm_free(topology);
    return jm_error_invalid("the serialized topology is not one of this plugin's version");
  }
  jm_topology_build_host(n_devices, topology);
  args->topology = jm_topology_out(topology);
  return NULL;
}

/* A hash of the contents of the topology's text form. */
jm_error *jm_slot_TopologyDescription_Fingerprint(PJRT_TopologyDescription_Fingerprint_Args *args) {
  jm_topology *topology = jm_topology_in(args->topology);
  const char *version = topology->platform_version;
  uint32_t n = topology->n_devices;
  args->fingerprint = jm_hash_append(jm_hash_bytes(version, strlen(version)), &n, sizeof n);
  return NULL;
}
