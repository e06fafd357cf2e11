#include "inspect_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "formats/planes_pair.h"
#include "kernels/attention.h"
#include "models/session.h"

namespace planeloom {
namespace {

constexpr size_t kShownElements = 6, kShownText = 72, kJsonElements = 16;

TensorLine ordinary_line(const StoredTensor& t) {
  TensorLine line{
      t.name, dtype_info(t.type).name ? dtype_info(t.type).name : "?", {}, t.data.size()};
  for (int d = t.n_dims - 1; d >= 0; --d) line.shape.push_back(t.dims[static_cast<size_t>(d)]);
  return line;
}

/// Buffers of a pass of 512 tokens (models/session.h, kernels/linear.h), one row of logits.
uint64_t scratch_estimate(const Config& c, int64_t vocab) {
  const int64_t tokens = 512, widest = std::max({c.width, c.q_width(), c.ffn});
  const int64_t floats = 4 * c.width + 2 * c.q_width() + 2 * c.kv_width() + 2 * c.ffn + c.head_dim;
  const int64_t int8_form = widest + 4 * (widest / 4 + widest / 16);
  return static_cast<uint64_t>(tokens * (4 * floats + int8_form) + 4 * vocab);
}

template <class T>
std::string element_text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    return "\"" + printable(value, 24) + "\"";
  else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
    return fmt::format("{}", +value);
  else
    return fmt::format("{}", value);
}

template <class T>
std::string array_text(const std::vector<T>& values) {
  std::string out = "[";
  for (size_t i = 0; i < std::min(values.size(), kShownElements); ++i)
    out += (i ? ", " : "") + element_text<T>(values[i]);
  if (values.size() > kShownElements) out += fmt::format(", ... {} in all", values.size());
  return out + "]";
}

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

}  // namespace

int64_t TensorLine::weights() const {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  return count;
}

double TensorLine::bits_per_weight() const {
  return weights() > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights()) : 0;
}

std::string shape_text(const TensorLine& tensor) {
  std::string out;
  for (const int64_t d : tensor.shape) out += (out.empty() ? "" : " x ") + std::to_string(d);
  return out;
}

std::vector<TensorLine> tensor_lines(const ModelFile& file) {
  std::vector<TensorLine> lines;
  for (const StoredTensor& t : file.tensors()) {
    const std::string base(pair_name(file.metadata(), t.name));
    if (base == t.name) {
      lines.push_back(ordinary_line(t));
    } else if (const auto matrix = file.matrix(base); !matrix) {
      lines.push_back(ordinary_line(t));  // a malformed pair is shown as it is stored
    } else if (t.name == planes_name(base)) {
      lines.push_back({base,
                       std::string(matrix->codec->name()),
                       {matrix->rows, matrix->cols},
                       matrix->codes.size() + matrix->coef.size()});
    }
  }
  return lines;
}

Totals model_totals(std::shared_ptr<const ModelFile> file, const std::vector<TensorLine>& lines,
                    int64_t context) {
  Totals totals;
  totals.architecture =
      printable(file->metadata().string_or("general.architecture", "unknown"), 60);
  totals.file_bytes = file->file_bytes();
  for (const TensorLine& line : lines) {
    totals.parameters += line.weights();
    totals.weight_bytes += line.bytes;
  }
  if (totals.parameters > 0)
    totals.bits_per_weight_file =
        8.0 * static_cast<double>(totals.file_bytes) / static_cast<double>(totals.parameters);
  const auto model = load_model(std::move(file));
  if (!model) {
    totals.problem = model.error().message;
    return totals;
  }
  const Config& c = model->config;
  totals.bits_per_weight_linear = linear_size(*model).bits_per_weight();
  totals.trained_context = c.context;
  totals.context = context > 0 ? context : std::min<int64_t>(c.context, 4096);
  totals.cache_bytes = static_cast<uint64_t>(cache_bytes(c, totals.context, DType::kF16));
  totals.scratch_bytes = scratch_estimate(c, model->vocab());
  return totals;
}

std::string printable(std::string_view text, size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      out += "\\n";
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out.push_back(c);
  }
  // Not half a character at the cut.
  if (text.size() > limit) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0) out.pop_back();
    out += "...";
  }
  return out;
}

std::string describe(const MetaValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>)
          return printable(v, kShownText);
        else if constexpr (IsVector<T>::value)
          return array_text(v);
        else
          return element_text<T>(v);
      },
      value);
}

nlohmann::ordered_json meta_json(const MetaValue& value) {
  return std::visit(
      [](const auto& v) -> nlohmann::ordered_json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (IsVector<T>::value) {
          if (v.size() > kJsonElements) return {{"length", v.size()}};
        }
        return v;
      },
      value);
}

}  // namespace planeloom
