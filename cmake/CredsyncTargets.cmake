# Warnings and sanitizers as interface targets, and the two helpers every folder uses.

add_library(credsync_warnings INTERFACE)
target_include_directories(credsync_warnings INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(credsync_warnings INTERFACE
  CREDSYNC_VERSION="${PROJECT_VERSION}")
target_compile_options(credsync_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Wcast-qual -Woverloaded-virtual -Wimplicit-fallthrough
  -fstack-protector-strong -fno-omit-frame-pointer)
if(CREDSYNC_WERROR)
  target_compile_options(credsync_warnings INTERFACE -Werror)
endif()
if(CMAKE_UNITY_BUILD)
  # Several sources are one file to the compiler: it takes them for headers, and sees one's names in another's blocks.
  target_compile_options(credsync_warnings INTERFACE -Wno-subobject-linkage -Wno-shadow)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(credsync_warnings INTERFACE -Wno-string-conversion)  # CHECK(!"words") is meant
endif()

# What all of the product and its tests are built with.
add_library(credsync_options INTERFACE)
target_link_libraries(credsync_options INTERFACE credsync_warnings)
if(CREDSYNC_SANITIZE)
  target_compile_options(credsync_options INTERFACE -fsanitize=${CREDSYNC_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(credsync_options INTERFACE -fsanitize=${CREDSYNC_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(credsync_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(CREDSYNC_FUZZ)
  target_compile_options(credsync_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CREDSYNC_COVERAGE)
  target_compile_options(credsync_options INTERFACE --coverage)
  target_link_options(credsync_options INTERFACE --coverage)
endif()

# credsync_library(name SOURCES a.cc … [SWITCHED b.cc …] USES other_library … [PRIVATE_USES third_party …])
# One static library a folder. USES is the include graph: what headers may name.
# SWITCHED: sources with fail points in them (base/fail_point.h). They are part of the library as all others are, without
# the switches, and once more apart, with them, for credsync_with_switches.
function(credsync_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;SWITCHED;USES;PRIVATE_USES" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES} ${ARG_SWITCHED})
  if(CMAKE_UNITY_BUILD)
    # One member of the archive for what the switched objects replace: of another cut both would be linked.
    set_source_files_properties(${ARG_SOURCES} PROPERTIES UNITY_GROUP plain)
    set_source_files_properties(${ARG_SWITCHED} PROPERTIES UNITY_GROUP switched)
    set_target_properties(${name} PROPERTIES UNITY_BUILD_MODE GROUP)
  endif()
  target_link_libraries(${name} PUBLIC credsync_options ${ARG_USES} PRIVATE ${ARG_PRIVATE_USES})
  if(credsync_all_tests AND ARG_SWITCHED)
    add_library(${name}_switched OBJECT ${ARG_SWITCHED})
    target_link_libraries(${name}_switched PRIVATE credsync_options ${ARG_USES} ${ARG_PRIVATE_USES})
    target_compile_definitions(${name}_switched PRIVATE CREDSYNC_TEST_SWITCHES)
    set_target_properties(${name}_switched PROPERTIES UNITY_BUILD_MODE GROUP)
  endif()
endfunction()

# credsync_with_switches(program library …): a test's program that has the switches of these libraries. It links the
# libraries as usual; the objects named here come first, so that theirs are never taken.
function(credsync_with_switches program)
  target_compile_definitions(${program} PRIVATE CREDSYNC_TEST_SWITCHES)
  target_sources(${program} PRIVATE $<TARGET_OBJECTS:credsync_fail_points>)
  foreach(library ${ARGN})
    target_sources(${program} PRIVATE $<TARGET_OBJECTS:${library}_switched>)
  endforeach()
endfunction()

# credsync_switched_test(test library …): a test of units runs with the switches of these libraries, none of them set, so
# that it can be seen that it fails when one is (tests/mutations). Beside the packages there are no switches.
function(credsync_switched_test name)
  if(NOT credsync_all_tests)
    return()
  endif()
  target_sources(${name} PRIVATE $<TARGET_OBJECTS:credsync_fail_points>)
  foreach(library ${ARGN})
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:${library}_switched>)
  endforeach()
endfunction()

# credsync_test(name SOURCES a_test.cc … USES library … [LABEL unit] [TIMEOUT seconds])
# One GoogleTest program; every test in it is a ctest test of the tier LABEL. The target `units` is all of them.
function(credsync_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;USES" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  if(CREDSYNC_SANITIZE)
    math(EXPR ARG_TIMEOUT "4 * ${ARG_TIMEOUT}")  # it ends what hangs, and judges nothing
  endif()
  set(wanted TRUE)
  if(CREDSYNC_UNITS AND NOT name IN_LIST CREDSYNC_UNITS)
    set(wanted FALSE)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE credsync_options ${ARG_USES} GTest::gtest_main)
  if(NOT wanted)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    return()
  endif()
  if(NOT TARGET units)
    add_custom_target(units)
  endif()
  add_dependencies(units ${name})
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
endfunction()
