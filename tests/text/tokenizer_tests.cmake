add_executable(tokenizer_driver ${CMAKE_CURRENT_LIST_DIR}/tokenizer_driver.cc)
target_link_libraries(tokenizer_driver PRIVATE planeloom_text)

if(PLANELOOM_PYTHON)
  set(ORACLE ${PLANELOOM_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/tokenizer_oracle.py $<TARGET_FILE:tokenizer_driver>)
  add_test(NAME oracle.tokenizer.split COMMAND ${ORACLE} split)
  if(PLANELOOM_TEST_MODELS)
    add_test(NAME oracle.tokenizer.smollm2 COMMAND ${ORACLE} smollm ${PLANELOOM_TEST_MODELS}/smollm2-135m-instruct.gguf)
    add_test(NAME oracle.tokenizer.gemma3 COMMAND ${ORACLE} gemma ${PLANELOOM_TEST_MODELS}/gemma-3-270m.gguf)
  endif()
endif()

planeloom_fuzz(tokenizer_json LIBS planeloom_text)
