// Uniform grids, which bit-planes hold as c_p = 2^p step and a bias, and the search for the best
// clipped one.
#pragma once
#include <span>
#include <vector>

#include "quant/coefficients.h"
#include "quant/plane_rows.h"

namespace planeloom {

/// bias + i step as it is stored: c (planes + 1) becomes what a reader decodes, its bytes go to
/// `to` (may be null). The step is rounded first, so that the other planes are its multiples.
void round_grid(double step, double bias, int planes, const CoefficientForm& form, double* c,
                std::byte* to);

/// Where a grid may lie.
enum class GridZero {
  kFree,     // bias + i step
  kInteger,  // (i - zero) step, zero 0 ... 2^planes - 1: as GPTQ's format stores it
};

/// For each of 16 rows the grid of the least sum weight[t] (w[t] - nearest level)^2 over a group,
/// among ranges that shrink from min ... max towards 0 (with an integer zero they hold 0), the
/// widest on a tie. weight, w: (group); coef: (planes + 1), rounded as it is stored.
void search_grid(const MethodContext& context, const CoefficientForm& form, GridZero zero,
                 const lanes::Lanes* w, const float* weight, lanes::Lanes* coef);

/// Rows that go to grids of their own, group by group. Different rows may be written at the same
/// time.
class GridOutput {
 public:
  explicit GridOutput(const MethodContext& context);
  const CoefficientForm& form() const { return form_; }
  std::span<const float> weights(int64_t row, int64_t group) const;
  /// Rounds the grid bias + i step as it is stored, then the group's weights to its levels.
  void write(int64_t row, int64_t group, double step, double bias);
  /// After every group was written. rounds: how many each of some parts took, for the report.
  Result<QuantResult> encode(std::span<const int> rounds) const;

 private:
  const MethodContext& c_;
  const CoefficientForm form_;
  std::vector<uint8_t> codes_;   // (rows, cols)
  std::vector<std::byte> coef_;  // (rows, groups, bytes of form_)
};

}  // namespace planeloom
