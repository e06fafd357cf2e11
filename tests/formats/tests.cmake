# Helpers that the Python oracles drive, and the fuzz entries of the parsers.
add_executable(gguf_codec_tool ${CMAKE_CURRENT_SOURCE_DIR}/codecs/gguf_codec_tool.cc)
target_link_libraries(gguf_codec_tool PRIVATE planeloom_codecs)
add_executable(gguf_copy_tool ${CMAKE_CURRENT_SOURCE_DIR}/formats/gguf_copy_tool.cc)
target_link_libraries(gguf_copy_tool PRIVATE planeloom_formats)

if(PLANELOOM_PYTHON)
  add_test(NAME codecs.gguf_oracle COMMAND ${PLANELOOM_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/codecs/gguf_oracle.py
                                           $<TARGET_FILE:gguf_codec_tool>)
  add_test(NAME formats.gguf_files_oracle
           COMMAND ${PLANELOOM_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/formats/gguf_files_oracle.py
                   $<TARGET_FILE:gguf_copy_tool>)
endif()

planeloom_fuzz(gguf LIBS planeloom_formats)
planeloom_fuzz(safetensors LIBS planeloom_formats)
planeloom_fuzz(hf_config LIBS planeloom_formats)

include(${CMAKE_CURRENT_LIST_DIR}/pull_tests.cmake)
