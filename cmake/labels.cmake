# SPDX-License-Identifier: MIT
# Which tests are slow, and which a build leaves out: rows of tests/labels.txt, where the words are explained.
# tests/check_labels.py sees to it that every row names a test.

set(HAZE_LABELS ${PROJECT_SOURCE_DIR}/tests/labels.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${HAZE_LABELS})

# haze_tests_labelled(variable program label...): the tests of a program that have one of the labels, as --gtest_filter
# takes them, A:B:C.
function(haze_tests_labelled variable program)
  set(tests)
  file(STRINGS ${HAZE_LABELS} rows REGEX "^${program} ")
  foreach(row IN LISTS rows)
    string(REGEX REPLACE " *#.*" "" row "${row}")
    string(REGEX MATCHALL "[^ ]+" words "${row}")
    list(POP_FRONT words of test)
    foreach(label IN LISTS ARGN)
      if(label IN_LIST words)
        list(APPEND tests ${test})
        break()
      endif()
    endforeach()
  endforeach()
  list(JOIN tests ":" tests)
  set(${variable} "${tests}" PARENT_SCOPE)
endfunction()

# haze_discover(program prefix [CUDA] [SLOW label...] [WITHOUT label...] [PROPERTIES ...]): one ctest entry per test of the
# program, but for those labelled WITHOUT. It is `slow` if it has a label of SLOW, else `quick`; with CUDA, `slow-cuda` or
# `quick-cuda`: one word, because gtest_discover_tests passes no lists on, and `ctest -L quick` takes both.
function(haze_discover program prefix)
  cmake_parse_arguments(PARSE_ARGV 2 arg "CUDA" "" "SLOW;WITHOUT;PROPERTIES")
  haze_tests_labelled(slow ${program} ${arg_SLOW})
  haze_tests_labelled(without ${program} ${arg_WITHOUT})
  set(quick "${slow}")
  if(slow AND without)
    string(APPEND quick ":")
  endif()
  string(APPEND quick "${without}")
  foreach(speed IN ITEMS quick slow)
    set(filter)
    if(speed STREQUAL "quick" AND quick)
      set(filter TEST_FILTER "-${quick}")
    elseif(speed STREQUAL "slow")
      set(filter TEST_FILTER "${slow}-${without}")
    endif()
    if(speed STREQUAL "quick" OR slow)
      set(label ${speed})
      if(arg_CUDA)
        string(APPEND label "-cuda")
      endif()
      gtest_discover_tests(${program}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX ${prefix} ${filter}
                           PROPERTIES ${arg_PROPERTIES} LABELS ${label})
    endif()
  endforeach()
endfunction()
