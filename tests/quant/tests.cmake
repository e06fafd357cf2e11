# RapidCheck for the property tests of the codecs, Eigen for the slow references of the quantizers.
find_package(rapidcheck REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
if(TARGET test_codecs)
  target_link_libraries(test_codecs PRIVATE rapidcheck)
endif()
if(TARGET test_quant)
  target_link_libraries(test_quant PRIVATE rapidcheck Eigen3::Eigen)
endif()
