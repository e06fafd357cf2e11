#include "compress/sampled_divergence.h"

#include <algorithm>
#include <cmath>

#include "kernels/softcap.h"

namespace planeloom {
namespace {

constexpr int64_t kRows = 16;  // of the head that are decoded at a time

/// Where row i's first step begins, as a share of one: spread evenly, so that not all rows lean the
/// same way (multiples of the golden ratio).
double first_step(size_t row) {
  const double x = 0.6180339887498949 * static_cast<double>(row + 1);
  return x - std::floor(x);
}

}  // namespace

bool SampledDivergence::add(std::span<const float> logits, const Kernels& kernels) {
  std::vector<float> p(logits.begin(), logits.end());
  float top = 0;
  const double sum =
      static_cast<double>(kernels.exp_sum(p.data(), static_cast<int64_t>(p.size()), &top));
  const size_t begin = tokens_.size();
  double rest = 0, step = first_step(ends_.size()) * kShare, certain = 0;
  size_t drawn = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double share = static_cast<double>(p[i]) / sum;
    const bool likely = share >= kShare;
    if (likely) {
      certain += share;
    } else {
      rest += share;
      if (!(rest > step)) continue;
      step += kShare;
      ++drawn;
    }
    tokens_.push_back({static_cast<int32_t>(i), logits[i], likely ? static_cast<float>(share) : 0});
  }
  // A rest of less than a step may have none to stand for it: it is left out then.
  const double all = drawn > 0 ? certain + rest : certain;
  for (size_t i = begin; i < tokens_.size(); ++i) {
    Token& token = tokens_[i];
    const double weight =
        token.weight > 0 ? static_cast<double>(token.weight) : rest / static_cast<double>(drawn);
    token.weight = static_cast<float>(weight / all);
  }
  ends_.push_back(tokens_.size());
  return std::isfinite(sum) && all > 0;
}

double SampledDivergence::operator()(int64_t row, std::span<const float> input,
                                     const Kernels& kernels, std::vector<float>& scratch) const {
  const PackedMatrix& head = model_.head;
  const auto r = static_cast<size_t>(row);
  const std::span<const Token> tokens(tokens_.data() + (r == 0 ? 0 : ends_[r - 1]),
                                      tokens_.data() + ends_[r]);
  scratch.resize(static_cast<size_t>((kRows + 1) * head.cols) + tokens.size());
  float* weights = scratch.data();
  const float* x = input.data();
  if (head.rotation) {
    kernels.rotate(*head.rotation, x, weights + kRows * head.cols);
    x = weights + kRows * head.cols;
  }
  float* d = weights + (kRows + 1) * head.cols;  // how far the logits have moved: (tokens)
  float most = -INFINITY;
  for (size_t begin = 0; begin < tokens.size(); begin += kRows) {
    const auto some = tokens.subspan(begin, std::min<size_t>(kRows, tokens.size() - begin));
    for (size_t i = 0; i < some.size(); ++i)
      head.codec->decode_row(head, some[i].id, weights + static_cast<int64_t>(i) * head.cols);
    float logits[kRows];
    kernels.dot_f32(weights, head.cols, static_cast<int64_t>(some.size()), x, head.cols, 1,
                    head.cols, logits, kRows);
    softcap(model_.config.final_softcap, logits, static_cast<int64_t>(some.size()));
    for (size_t i = 0; i < some.size(); ++i) {
      d[begin + i] = logits[i] - some[i].logit;
      most = std::max(most, d[begin + i]);
    }
  }
  double grown = 0, change = 0;  // E_p[exp(d - most)], E_p[d - most]
  for (size_t i = 0; i < tokens.size(); ++i) {
    const double x = static_cast<double>(d[i]) - static_cast<double>(most);
    const auto weight = static_cast<double>(tokens[i].weight);
    grown += weight * std::exp(x);
    change += weight * x;
  }
  return std::log(grown) - change;
}

}  // namespace planeloom
