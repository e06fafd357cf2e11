// The figures behind `planeloom inspect`.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model_file.h"

namespace planeloom {

/// One weight as users know it: an ordinary tensor, or a Planeloom pair under its own name.
struct TensorLine {
  std::string name, codec;
  std::vector<int64_t> shape;  // rows first
  uint64_t bytes = 0;

  int64_t weights() const;
  double bits_per_weight() const;
};
std::string shape_text(const TensorLine& tensor);
std::vector<TensorLine> tensor_lines(const ModelFile& file);

struct Totals {
  std::string architecture;
  int64_t parameters = 0;
  uint64_t file_bytes = 0;
  double bits_per_weight_file = 0;
  std::string problem;  // why Planeloom cannot run it; what follows is then unknown
  double bits_per_weight_linear = 0;
  int64_t trained_context = 0, context = 0;
  uint64_t weight_bytes = 0, cache_bytes = 0, scratch_bytes = 0;

  uint64_t memory_bytes() const { return weight_bytes + cache_bytes + scratch_bytes; }
};
Totals model_totals(std::shared_ptr<const ModelFile> file, const std::vector<TensorLine>& lines,
                    int64_t context);

/// A value on one line: long arrays and strings abbreviated, control characters escaped.
std::string describe(const MetaValue& value);
/// The same for scripts: a string whole, an array of more than 16 elements as {"length": n}.
nlohmann::ordered_json meta_json(const MetaValue& value);
/// At most `limit` bytes of the text, control characters escaped.
std::string printable(std::string_view text, size_t limit);

}  // namespace planeloom
