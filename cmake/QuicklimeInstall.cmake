# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` adds to programs and plugins: the SDK, defaults, units and snippets.
install(DIRECTORY core/include/quicklime DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
