# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, the definition of jm_build_id: a digest of all files under SOURCES. The same sources
# give the same digest on every machine.
file(GLOB_RECURSE files RELATIVE ${SOURCES} ${SOURCES}/*.c ${SOURCES}/*.h ${SOURCES}/*.def)
list(SORT files)
set(all "")
foreach(file ${files})
  file(SHA256 ${SOURCES}/${file} digest)
  string(APPEND all "${file} ${digest}\n")
endforeach()
string(SHA256 id "${all}")
file(WRITE ${OUTPUT} "#include \"engine/host/machine.h\"\n\nconst char jm_build_id[] = \"${id}\";\n")
