// The inner search of the trellis quantizer, one source compiled per ISA (trellis_search.inc).
//
// Columns of one sequence of a row, t = 0 ... n - 1, are to become levels v with least
//   ||(target - v) R||^2 = sum_t weight_t (x_t - v_t)^2,
//   x_t = target_t + sum_{i < t} (target_i - v_i) push_it,
// R upper triangular, weight_t = R_tt^2, push_it = R_it / R_tt. x depends on what was chosen
// before, so every survivor of the Viterbi search keeps an x of its own (per-survivor processing;
// Raheli, Polydoros and Tzou, 1995): a later column may still change the choice of an earlier one,
// which column-by-column feedback cannot.
#pragma once
#include <cstdint>
#include <vector>

#include "base/cpu.h"
#include "codecs/trellis.h"

namespace planeloom {

/// A window has its newest symbol lowest here. A survivor is what the next window keeps of the bits
/// before it: window() - K of them.
struct TrellisTable {
  explicit TrellisTable(int bits);

  int bits;
  int64_t survivors;         // 2^(window() - K)
  std::vector<float> value;  // (survivors, 2^K next symbols): levels
  float noise;               // mean squared error of a level that a Gaussian can expect
};

/// Columns of a row.
struct TrellisSegment {
  int64_t n;            // at most kTrellisColumns
  const float* target;  // (n), in levels
  const float* weight;  // (n)
  const float* push;    // (n, kTrellisColumns): row i, zero up to column i
  uint32_t survivor;    // that the columns before left
  uint32_t* window;     // (n) out
};

/// Buffers of one worker.
struct TrellisScratch {
  explicit TrellisScratch(const TrellisTable& table);

  struct alignas(64) CacheLine {
    float column[16];
  };
  std::vector<int32_t> alive;         // survivors that are not given up, and 16 places more
  std::vector<float> cost, error;     // (alive): above the best; of the last column
  std::vector<int32_t> parent;        // (alive): whom it follows
  std::vector<CacheLine> targets[2];  // (alive, kTrellisColumns): their columns as they see them
  std::vector<uint16_t> slot;         // (survivors): where it is in alive
  std::vector<int32_t> touched;       // survivors without their newest symbol that were reached
  std::vector<int32_t> best;          // (survivors): bits of the least cost so far
  std::vector<uint8_t> oldest;        // (kTrellisColumns, survivors): symbols that were dropped
};

/// The same on every ISA.
using TrellisSearch = void (*)(const TrellisTable&, const TrellisSegment&, TrellisScratch&);
TrellisSearch trellis_search(Isa isa, int bits);

}  // namespace planeloom
