include(${CMAKE_CURRENT_LIST_DIR}/tokenizer_tests.cmake OPTIONAL)
include(${CMAKE_CURRENT_LIST_DIR}/jinja_tests.cmake OPTIONAL)
