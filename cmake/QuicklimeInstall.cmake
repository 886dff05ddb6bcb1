# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` adds to programs and plugins: the SDK, defaults, units and snippets.
install(DIRECTORY core/include/quicklime DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT sdk)

# The SDK: headers above, what finds them (pkg-config, CMake), and templates to begin with.
include(CMakePackageConfigHelpers)
set(QL_PLUGIN_DIR ${CMAKE_INSTALL_LIBDIR}/quicklime/plugins)
file(RELATIVE_PATH QL_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(${CMAKE_CURRENT_LIST_DIR}/quicklime.pc.in ${CMAKE_BINARY_DIR}/quicklime.pc @ONLY)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/QuicklimeConfig.cmake.in ${CMAKE_BINARY_DIR}/QuicklimeConfig.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Quicklime
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR QL_PLUGIN_DIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/QuicklimeConfigVersion.cmake COMPATIBILITY AnyNewerVersion)
install(FILES ${CMAKE_BINARY_DIR}/quicklime.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT sdk)
install(FILES ${CMAKE_BINARY_DIR}/QuicklimeConfig.cmake ${CMAKE_BINARY_DIR}/QuicklimeConfigVersion.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Quicklime COMPONENT sdk)
install(DIRECTORY templates/c templates/lua DESTINATION ${CMAKE_INSTALL_DATADIR}/quicklime/templates COMPONENT sdk)
