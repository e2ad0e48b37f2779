# SPDX-License-Identifier: MIT
# The presets fuzz and tsan, of clang. Of haze they have what reads foreign bytes, and no kernel.
#   fuzz   a program of libFuzzer's for each target of tests/fuzz, which scripts/fuzz runs
#   tsan   threads_test under ThreadSanitizer, for the threads that read data sets. They are OpenMP's, whose barriers
#          ThreadSanitizer cannot see: clang's run time tells it of them (libarcher.so, which it loads by itself); g++'s does
#          not, and its programs would be reported for races that are none.

file(GLOB readers CONFIGURE_DEPENDS engine/files/*.cpp apps/data/*.cpp apps/image/*.cpp)
foreach(file IN ITEMS json_writer memory paths)
  list(APPEND readers apps/${file}.cpp)
endforeach()
add_library(haze_readers STATIC EXCLUDE_FROM_ALL ${readers})
target_link_libraries(haze_readers PUBLIC haze_flags nlohmann_json::nlohmann_json ZLIB::ZLIB PNG::PNG JPEG::JPEG)

if(HAZE_SANITIZE STREQUAL "thread")
  enable_testing()
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(threads_test tests/fuzz/threads_test.cpp tests/support/paths.cpp)
  target_compile_definitions(threads_test PRIVATE HAZE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" HAZE_PROGRAM="")
  target_link_libraries(threads_test PRIVATE haze_readers GTest::gmock GTest::gtest_main)
  gtest_discover_tests(threads_test DISCOVERY_MODE PRE_TEST TEST_PREFIX fuzz. PROPERTIES TIMEOUT 600 LABELS slow)
  return()
endif()

file(GLOB texts CONFIGURE_DEPENDS apps/config/*.cpp)
list(APPEND texts apps/commands/bench_compare.cpp apps/console.cpp apps/standard_output.cpp apps/suggest.cpp)
target_sources(haze_readers PRIVATE ${texts})
target_compile_options(haze_readers PRIVATE -fsanitize=fuzzer-no-link)  # says which branches an input takes
file(GLOB targets RELATIVE ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus CONFIGURE_DEPENDS tests/fuzz/corpus/*)
file(GLOB shared CONFIGURE_DEPENDS tests/fuzz/*.cpp)
list(FILTER shared EXCLUDE REGEX "/(corpus_test|threads_test|large_inputs)\\.cpp$")
foreach(target IN LISTS targets)
  list(FILTER shared EXCLUDE REGEX "/${target}\\.cpp$")
endforeach()
add_library(haze_fuzz STATIC EXCLUDE_FROM_ALL ${shared} tests/fuzz/libfuzzer/main.cpp)
target_link_libraries(haze_fuzz PUBLIC haze_readers)
add_custom_target(fuzz)
foreach(target IN LISTS targets)
  add_executable(fuzz_${target} EXCLUDE_FROM_ALL tests/fuzz/${target}.cpp)
  target_link_libraries(fuzz_${target} PRIVATE haze_fuzz)
  target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzz fuzz_${target})
endforeach()
