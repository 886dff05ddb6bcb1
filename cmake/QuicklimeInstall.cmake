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

# Commented sample files, printed by the programs themselves from their option tables.
foreach(program verifier registrar agent tenant ca)
    if(TARGET quicklime-${program})
        add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${program}.conf.sample
            COMMAND quicklime-${program} --sample-config > ${CMAKE_BINARY_DIR}/${program}.conf.sample
            DEPENDS quicklime-${program} VERBATIM)
        list(APPEND samples ${CMAKE_BINARY_DIR}/${program}.conf.sample)
        install(FILES ${CMAKE_BINARY_DIR}/${program}.conf.sample DESTINATION ${CMAKE_INSTALL_DATADIR}/quicklime)
    endif()
endforeach()
add_custom_target(sample_configs ALL DEPENDS ${samples})

# Units with the installed paths, users and folders.
file(GLOB units CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/share/systemd/*.service ${CMAKE_SOURCE_DIR}/share/systemd/*.mount
    ${CMAKE_SOURCE_DIR}/share/systemd/*.timer)
foreach(unit ${units})
    get_filename_component(name ${unit} NAME)
    configure_file(${unit} ${CMAKE_BINARY_DIR}/systemd/${name} @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/systemd/${name} DESTINATION lib/systemd/system)
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/share/sysusers.d/quicklime.conf DESTINATION lib/sysusers.d)
install(FILES ${CMAKE_SOURCE_DIR}/share/tmpfiles.d/quicklime.conf DESTINATION lib/tmpfiles.d)

foreach(section 1 8)
    file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.${section})
    if(pages)
        install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endif()
endforeach()
install(FILES README.md LICENSE SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
