# The pull tests start a web server and pip: any Python 3 with pip will do.
if(PLANELOOM_PYTHON)
  set(PULL_PYTHON ${PLANELOOM_PYTHON})
else()
  set(PULL_PYTHON ${Python3_EXECUTABLE})
endif()
target_compile_definitions(test_formats PRIVATE PLANELOOM_TEST_PYTHON="${PULL_PYTHON}")
