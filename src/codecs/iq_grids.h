// The points that the IQ types of one to three bits choose from, as the file format fixes them:
// which of the type's magnitudes stands in each column, in fields of two bits (eight columns) or
// three (four), the first column lowest. The sets are facts of GGUF, taken from the PyPI package
// `gguf` (gguf/quants.py), against which the codecs are tested.
#pragma once
#include <cstdint>

namespace planeloom {

extern const uint16_t kIq1Grid[2048];    // IQ1_S and IQ1_M: eight of -1, 0, 1.
extern const uint16_t kIq2XxsGrid[256];  // IQ2_XXS: eight of 8, 25, 43.
extern const uint16_t kIq2XsGrid[512];   // IQ2_XS: eight of 8, 25, 43.
extern const uint16_t kIq2SGrid[1024];   // IQ2_S: eight of 8, 25, 43.
extern const uint16_t kIq3XxsGrid[256];  // IQ3_XXS: four of 4, 12, 20, 28, 36, 44, 52, 62.
extern const uint16_t kIq3SGrid[512];    // IQ3_S: four of 1, 3, 5, 7, 9, 11, 13, 15.

}  // namespace planeloom
