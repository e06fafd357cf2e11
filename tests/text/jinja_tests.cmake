# The Jinja interpreter against Python's jinja2.
add_executable(jinja_driver ${CMAKE_CURRENT_LIST_DIR}/jinja_driver.cc)
target_link_libraries(jinja_driver PRIVATE planeloom_text)

if(PLANELOOM_PYTHON)
  set(ORACLE ${PLANELOOM_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/jinja_oracle.py $<TARGET_FILE:jinja_driver>)
  add_test(NAME oracle.jinja.cases COMMAND ${ORACLE} cases ${CMAKE_SOURCE_DIR}/tests/cases/jinja)
  add_test(NAME oracle.jinja.random COMMAND ${ORACLE} random 1 6000)
  # A folder that tools/fetch_templates.py has filled.
  if(PLANELOOM_TEST_TEMPLATES)
    add_test(NAME oracle.jinja.templates COMMAND ${ORACLE} templates ${PLANELOOM_TEST_TEMPLATES})
  endif()
endif()

planeloom_fuzz(jinja LIBS planeloom_text)
