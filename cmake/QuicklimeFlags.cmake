# SPDX-License-Identifier: Apache-2.0
# One interface target carries the warnings, the hardening and the sanitizers.
add_library(ql_flags INTERFACE)
target_compile_definitions(ql_flags INTERFACE _GNU_SOURCE)
target_compile_options(ql_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wcast-qual -Wwrite-strings
    -Wno-missing-field-initializers -fno-strict-aliasing -fno-common)
if(QL_WERROR)
    target_compile_options(ql_flags INTERFACE -Werror)
endif()
if(QL_SANITIZE)
    target_compile_options(ql_flags INTERFACE -fsanitize=${QL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(ql_flags INTERFACE -fsanitize=${QL_SANITIZE})
    target_compile_definitions(ql_flags INTERFACE QL_SANITIZED=1)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(ql_flags INTERFACE
        -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
        target_compile_options(ql_flags INTERFACE -fcf-protection=full)
    endif()
    target_link_options(ql_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
target_link_options(ql_flags INTERFACE -Wl,--as-needed)
include(CheckPIESupported)
check_pie_supported()
