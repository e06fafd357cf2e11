# Compile options that every target shares, and the libraries found once.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(tl-expected REQUIRED)
find_package(nlohmann_json REQUIRED)

add_library(planeloom_options INTERFACE)
target_compile_options(planeloom_options INTERFACE -Wall -Wextra -Wpedantic -Wno-unused-parameter -Wno-psabi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # false positives of GCC 12 inside libstdc++ (its bug 105651 and kin)
  target_compile_options(planeloom_options INTERFACE -Wno-restrict -Wno-array-bounds)
endif()
# One order of sums, the same bits on every ISA: the compiler must not fuse multiply-adds on its own.
target_compile_options(planeloom_options INTERFACE -ffp-contract=off)
target_include_directories(planeloom_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(planeloom_options INTERFACE fmt::fmt tl::expected nlohmann_json::nlohmann_json
                                                  Threads::Threads)
if(PLANELOOM_SANITIZE)
  target_compile_options(planeloom_options INTERFACE -fsanitize=${PLANELOOM_SANITIZE}
                                                     -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(planeloom_options INTERFACE -fsanitize=${PLANELOOM_SANITIZE})
endif()
if(PLANELOOM_FUZZ)
  target_compile_options(planeloom_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined
                                                     -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(planeloom_options INTERFACE -fsanitize=address,undefined)
endif()
