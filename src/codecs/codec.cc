#include "codecs/codec.h"

#include <charconv>
#include <optional>

#include "codecs/gguf_codecs.h"
#include "codecs/planes.h"
#include "codecs/rotation.h"
#include "codecs/trellis.h"

namespace planeloom {
namespace {

constexpr DType kWeightTypes[] = {
    DType::kF32,     DType::kF16,   DType::kBF16,   DType::kQ4_0,    DType::kQ4_1,   DType::kQ5_0,
    DType::kQ5_1,    DType::kQ8_0,  DType::kQ2_K,   DType::kQ3_K,    DType::kQ4_K,   DType::kQ5_K,
    DType::kQ6_K,    DType::kIQ1_S, DType::kIQ1_M,  DType::kIQ2_XXS, DType::kIQ2_XS, DType::kIQ2_S,
    DType::kIQ3_XXS, DType::kIQ3_S, DType::kIQ4_NL, DType::kIQ4_XS,  DType::kTQ1_0,  DType::kTQ2_0};

/// Reads "<prefix><number>" off the front of text: 1 to 6 digits, no leading zero, so that a name
/// has one spelling.
std::optional<int> take_number(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const size_t digits = static_cast<size_t>(end - text.data());
  if (error != std::errc() || digits > 6 || text.front() < '1' || text.front() > '9')
    return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

Status check_span(size_t got, int64_t rows, int64_t row_bytes, std::string_view what,
                  std::string_view tensor) {
  int64_t want = 0;
  if (__builtin_mul_overflow(rows, row_bytes, &want) || got != static_cast<uint64_t>(want))
    return fail("[codec] tensor {}: {} bytes of {}, {} rows of {} bytes wanted", tensor, got, what,
                rows, row_bytes);
  return {};
}

}  // namespace

const Codec* gguf_codec(DType type) {
  for (auto* family : {float_codec, legacy_codec, kquant_codec, iq_codec, iq4_codec, ternary_codec})
    if (const Codec* codec = family(type)) return codec;
  return nullptr;
}

Result<const Codec*> codec_by_name(std::string_view name) {
  for (DType type : kWeightTypes)
    if (name == dtype_info(type).name) return gguf_codec(type);
  std::string_view rest = name;
  if (const auto planes = take_number(rest, "bitplane k=")) {
    if (const auto group = take_number(rest, " g=")) {
      if (rest.empty()) return bitplane_codec(*planes, *group);
      if (rest == " c=8") return bitplane_codec(*planes, *group, Coefficients::kByte);
    }
  } else if (const auto group = take_number(rest, "tritplane g=")) {
    if (rest.empty()) return tritplane_codec(*group);
    if (rest == " c=8") return tritplane_codec(*group, Coefficients::kByte);
    if (rest == " r=3:2") return tritplane_codec(*group, Coefficients::kTied);
  } else if (const auto bits = take_number(rest, "trellis k=")) {
    if (rest.empty()) return trellis_codec(*bits);
  }
  return fail(
      "[codec] unknown format \"{}\"; wanted a GGUF type, \"bitplane k=K g=G [c=8]\", "
      "\"tritplane g=G [c=8 | r=3:2]\" or \"trellis k=K\"",
      name.substr(0, 64));
}

Status check_matrix(const PackedMatrix& w, std::string_view tensor_name) {
  constexpr int64_t kLimit =
      int64_t{1} << 40;  // far above any real matrix, low enough that row sizes cannot overflow
  if (!w.codec) return fail("[codec] tensor {}: no format", tensor_name);
  if (w.rows <= 0 || w.cols <= 0 || w.rows > kLimit || w.cols > kLimit)
    return fail("[codec] tensor {}: shape {} x {} out of range", tensor_name, w.rows, w.cols);
  if (w.cols % w.codec->col_multiple() != 0)
    return fail("[codec] tensor {}: {} columns, {} needs a multiple of {}", tensor_name, w.cols,
                w.codec->name(), w.codec->col_multiple());
  const int64_t rows = stored_rows(*w.codec, w.rows);
  if (w.rotation && w.rotation->size() != w.cols)
    return fail("[codec] tensor {}: {} columns, its rotation has {}", tensor_name, w.cols,
                w.rotation->size());
  PL_CHECK(check_span(w.codes.size(), rows, w.codec->code_bytes(w.cols), "codes", tensor_name));
  return check_span(w.coef.size(), rows, w.codec->coef_bytes(w.cols), "coefficients", tensor_name);
}

}  // namespace planeloom
