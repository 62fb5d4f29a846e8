#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes cc, c++, ar and ranlib for one target into a folder: zig_tools.sh PYTHON TARGET FOLDER.
# PYTHON has the package ziglang.
set -eu
python=$1 target=$2 folder=$3
zig=$("$python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')
mkdir -p "$folder"
for tool in cc c++ ar ranlib; do
  case $tool in cc | c++) arguments=" -target $target" ;; *) arguments="" ;; esac
  printf '#!/bin/sh\nexec "%s" %s%s "$@"\n' "$zig" "$tool" "$arguments" >"$folder/$tool"
  chmod +x "$folder/$tool"
done
