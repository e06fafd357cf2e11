# Kills at random moments, on a tiny model with every method and on the real one.
set(KILL ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/kill_quantize.py $<TARGET_FILE:planeloom>)
if(PLANELOOM_TEST_MODELS)
  add_test(NAME kill.quantize.smollm2 COMMAND ${KILL} ${PLANELOOM_TEST_MODELS}/smollm2-135m-instruct.gguf rtn 20)
  set_tests_properties(kill.quantize.smollm2 PROPERTIES TIMEOUT 900)
endif()
