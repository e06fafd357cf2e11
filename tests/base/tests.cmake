# Drawings of tools/studies/speed_page.py.
add_executable(plot_tool ${CMAKE_CURRENT_SOURCE_DIR}/base/plot_tool.cc)
target_link_libraries(plot_tool PRIVATE planeloom_base)
