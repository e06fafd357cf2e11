# Logits of a real model for tools/studies/logits.sh.
add_executable(dump_logits ${CMAKE_CURRENT_SOURCE_DIR}/models/dump_logits.cc)
target_link_libraries(dump_logits PRIVATE planeloom_models)
