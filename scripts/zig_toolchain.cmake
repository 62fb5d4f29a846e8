# SPDX-License-Identifier: Apache-2.0
# Cross-compiles with the compiler of PyPI's ziglang: it brings the C library's headers and stubs of
# each target. JM_ZIG_BIN is a folder with cc, c++, ar and ranlib for one target, see zig_tools.sh.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES JM_ZIG_BIN JM_ZIG_SYSTEM JM_ZIG_PROCESSOR)
set(CMAKE_SYSTEM_NAME ${JM_ZIG_SYSTEM})
set(CMAKE_SYSTEM_PROCESSOR ${JM_ZIG_PROCESSOR})
set(CMAKE_C_COMPILER ${JM_ZIG_BIN}/cc)
set(CMAKE_CXX_COMPILER ${JM_ZIG_BIN}/c++)
set(CMAKE_AR ${JM_ZIG_BIN}/ar)
set(CMAKE_RANLIB ${JM_ZIG_BIN}/ranlib)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
# No Xcode here: nothing to ask xcrun for, and no universal binaries.
set(CMAKE_OSX_SYSROOT "")
set(CMAKE_OSX_DEPLOYMENT_TARGET "" CACHE STRING "" FORCE)
set(CMAKE_INSTALL_NAME_TOOL ${JM_ZIG_BIN}/install_name_tool)
