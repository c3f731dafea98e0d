# The functions of simdrnn.h: part of the Python module, and with the engine libsimdrnn.a, which
# `cmake --install` puts where find_package(simdrnn) finds it. Read by CMakeLists.txt at the top.
set(SIMDRNN_HEADERS ${CMAKE_CURRENT_SOURCE_DIR}/python/simdrnn/include)

add_library(c_api OBJECT
  csrc/model/model_stream.cpp
  csrc/files/json.cpp
  csrc/files/model_file.cpp
  csrc/files/tensors.cpp
  csrc/c_api/calls.cpp
  csrc/c_api/last_error.cpp
  csrc/c_api/models.cpp
  csrc/c_api/streams.cpp
  csrc/c_api/table.cpp)
target_include_directories(c_api PRIVATE csrc ${SIMDRNN_HEADERS})
target_compile_options(c_api PRIVATE ${SIMDRNN_OPTIMISE} ${SIMDRNN_NUMERICS} ${SIMDRNN_WARNINGS})

add_library(simdrnn STATIC $<TARGET_OBJECTS:engine> $<TARGET_OBJECTS:threads>
  ${SIMDRNN_ISA_OBJECTS} $<TARGET_OBJECTS:c_api>)
add_library(simdrnn::simdrnn ALIAS simdrnn)
set_target_properties(simdrnn PROPERTIES LINKER_LANGUAGE CXX)
target_include_directories(simdrnn INTERFACE
  $<BUILD_INTERFACE:${SIMDRNN_HEADERS}> $<INSTALL_INTERFACE:include>)
target_link_libraries(simdrnn PUBLIC Threads::Threads ${CMAKE_DL_LIBS})
if(SIMDRNN_OPENMP)
  target_link_libraries(simdrnn PUBLIC OpenMP::OpenMP_CXX)
endif()
# A plug-in that is unloaded would take away the code in which threads of a stream sleep.
set(SIMDRNN_STAYS "")
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(SIMDRNN_STAYS -Wl,-z,nodelete)
endif()
target_link_options(simdrnn INTERFACE ${SIMDRNN_STAYS})

# Component c, which wheels leave out: they have the headers beside their modules.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(SIMDRNN_CMAKE_PLACE ${CMAKE_INSTALL_LIBDIR}/cmake/simdrnn)
install(TARGETS simdrnn EXPORT simdrnnTargets COMPONENT c
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT c)
install(FILES ${SIMDRNN_HEADERS}/simdrnn/simdrnn.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/simdrnn COMPONENT c)
install(EXPORT simdrnnTargets NAMESPACE simdrnn:: DESTINATION ${SIMDRNN_CMAKE_PLACE} COMPONENT c)
configure_package_config_file(csrc/c_api/simdrnnConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/simdrnnConfig.cmake INSTALL_DESTINATION ${SIMDRNN_CMAKE_PLACE})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/simdrnnConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/simdrnnConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/simdrnnConfigVersion.cmake
  DESTINATION ${SIMDRNN_CMAKE_PLACE} COMPONENT c)

# The same for who builds without CMake. The library is static: all that it needs is in Libs.
set(SIMDRNN_PC_PLACE ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH SIMDRNN_PC_PREFIX /p/${SIMDRNN_PC_PLACE} /p)
string(REGEX REPLACE "/$" "" SIMDRNN_PC_PREFIX "${SIMDRNN_PC_PREFIX}")
set(SIMDRNN_PC_LIBS ${SIMDRNN_STAYS} -lstdc++ -lm -pthread)
if(APPLE)
  set(SIMDRNN_PC_LIBS -lc++)
endif()
foreach(library ${CMAKE_DL_LIBS})
  list(APPEND SIMDRNN_PC_LIBS -l${library})
endforeach()
if(SIMDRNN_OPENMP)
  list(APPEND SIMDRNN_PC_LIBS ${OpenMP_CXX_FLAGS})
endif()
list(JOIN SIMDRNN_PC_LIBS " " SIMDRNN_PC_LIBS)
configure_file(csrc/c_api/simdrnn.pc.in ${CMAKE_CURRENT_BINARY_DIR}/simdrnn.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/simdrnn.pc DESTINATION ${SIMDRNN_PC_PLACE} COMPONENT c)
