# The command line: unit tests of what the subcommands share, transcripts, and a terminal session.
find_package(CLI11 REQUIRED)
set(APPS ${CMAKE_SOURCE_DIR}/apps/planeloom)
set(APPS_TESTS ${CMAKE_CURRENT_SOURCE_DIR}/apps)

add_executable(test_apps ${APPS_TESTS}/common_test.cc ${APPS_TESTS}/inspect_test.cc ${APPS}/common.cc
                         ${APPS}/inspect_model.cc)
target_include_directories(test_apps PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${APPS})
target_link_libraries(test_apps PRIVATE planeloom_models CLI11::CLI11 GTest::gtest GTest::gtest_main rapidcheck)
gtest_discover_tests(test_apps TEST_PREFIX "apps." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)

add_executable(make_tiny ${APPS_TESTS}/make_tiny.cc)
target_include_directories(make_tiny PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(make_tiny PRIVATE planeloom_models GTest::gtest)

set(CLI_CASES ${Python3_EXECUTABLE} ${APPS_TESTS}/cli_cases.py $<TARGET_FILE:planeloom> $<TARGET_FILE:make_tiny>)
file(GLOB CASES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cases/cli/*.case)
foreach(CASE ${CASES})
  get_filename_component(NAME ${CASE} NAME_WE)
  add_test(NAME cli.${NAME} COMMAND ${CLI_CASES} ${CASE})
endforeach()
add_test(NAME cli.chat_on_a_terminal COMMAND ${Python3_EXECUTABLE} ${APPS_TESTS}/chat_pty.py
                                             $<TARGET_FILE:planeloom> $<TARGET_FILE:make_tiny>)

# Cases on real models, in a folder with smollm2-135m-instruct.gguf and gemma-3-270m.gguf.
if(PLANELOOM_TEST_MODELS)
  file(GLOB CASES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cases/cli/models/*.case)
  foreach(CASE ${CASES})
    get_filename_component(NAME ${CASE} NAME_WE)
    add_test(NAME cli.models.${NAME} COMMAND ${CLI_CASES} ${CASE} --models ${PLANELOOM_TEST_MODELS})
  endforeach()
endif()
