#include "formats/safetensors.h"

#include <algorithm>
#include <utility>

#include "formats/bounded_json.h"
#include "formats/byte_reader.h"

namespace planeloom {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeader = uint64_t{32} << 20;
constexpr size_t kMaxName = 1024, kMaxRank = 16;

/// Bytes per element; 0 for a type that this reader does not know (its size is then not checked).
int64_t element_bytes(std::string_view dtype) {
  constexpr std::pair<std::string_view, int64_t> kTypes[] = {
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"U64", 8}, {"I32", 4},
      {"U32", 4}, {"I16", 2}, {"U16", 2}, {"I8", 1},   {"U8", 1},  {"BOOL", 1}};
  for (const auto& [name, bytes] : kTypes)
    if (name == dtype) return bytes;
  return 0;
}

bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 32 || c == 127; });
}

/// A JSON array of non-negative integers below 2^63.
bool read_sizes(const Json& json, size_t max_count, std::vector<int64_t>& out) {
  if (!json.is_array() || json.size() > max_count) return false;
  for (const Json& value : json) {
    if (!value.is_number_unsigned() || !std::in_range<int64_t>(value.get<uint64_t>())) return false;
    out.push_back(static_cast<int64_t>(value.get<uint64_t>()));
  }
  return true;
}

Status check_size(const SafeTensor& tensor) {
  int64_t elements = 1, bytes = 0;
  bool overflow = false;
  for (const int64_t dim : tensor.shape)
    overflow |= __builtin_mul_overflow(elements, dim, &elements);
  const int64_t each = element_bytes(tensor.dtype);
  overflow |= __builtin_mul_overflow(elements, each, &bytes);
  if (overflow) return fail("[safetensors] tensor {}: too many elements", tensor.name);
  if (each != 0 && static_cast<uint64_t>(bytes) != tensor.data.size())
    return fail("[safetensors] tensor {}: {} bytes of data, its shape and {} want {}", tensor.name,
                tensor.data.size(), tensor.dtype, bytes);
  return {};
}

Result<SafeTensor> read_entry(const std::string& name, const Json& entry,
                              std::span<const std::byte> data) {
  if (name.empty() || name.size() > kMaxName || !printable(name))
    return fail("[safetensors] a tensor name of {} bytes, 1 to {} printable ones wanted",
                name.size(), kMaxName);
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry.contains("data_offsets"))
    return fail("[safetensors] tensor {}: dtype, shape and data_offsets wanted", name);
  SafeTensor tensor;
  tensor.name = name;
  tensor.dtype = entry["dtype"].get<std::string>();
  if (tensor.dtype.size() > 32 || !printable(tensor.dtype))
    return fail("[safetensors] tensor {}: bad dtype", name);
  if (!read_sizes(entry["shape"], kMaxRank, tensor.shape))
    return fail("[safetensors] tensor {}: a shape of at most {} sizes wanted", name, kMaxRank);
  std::vector<int64_t> range;
  if (!read_sizes(entry["data_offsets"], 2, range) || range.size() != 2 || range[0] > range[1])
    return fail("[safetensors] tensor {}: data_offsets [begin, end] wanted", name);
  if (static_cast<uint64_t>(range[1]) > data.size())
    return fail("[safetensors] tensor {}: data end at {}, the file has {} bytes of data", name,
                range[1], data.size());
  tensor.data =
      data.subspan(static_cast<size_t>(range[0]), static_cast<size_t>(range[1] - range[0]));
  PL_CHECK(check_size(tensor));
  return tensor;
}

Status check_overlap(const std::vector<SafeTensor>& tensors) {
  std::vector<const SafeTensor*> order;
  for (const SafeTensor& tensor : tensors)
    if (!tensor.data.empty()) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const SafeTensor* a, const SafeTensor* b) {
    return a->data.data() < b->data.data();
  });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i]->data.data() < order[i - 1]->data.data() + order[i - 1]->data.size())
      return fail("[safetensors] tensors {} and {} overlap", order[i - 1]->name, order[i]->name);
  return {};
}

}  // namespace

Result<std::vector<SafeTensor>> parse_safetensors(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  uint64_t length = 0;
  if (!in.read(length))
    return fail("[safetensors] a file of {} bytes, at least 8 wanted", bytes.size());
  if (length > in.left() || length > kMaxHeader)
    return fail("[safetensors] a header of {} bytes in a file of {} (at most {} are read)", length,
                bytes.size(), kMaxHeader);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  const JsonLimits limits{kMaxHeader, uint64_t{1} << 21, 4};
  PL_TRY(const Json header, parse_bounded_json(text, "safetensors header", limits));
  if (!header.is_object()) return fail("[safetensors] the header is no JSON object");
  std::vector<SafeTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    PL_TRY(SafeTensor tensor, read_entry(name, entry, bytes.subspan(8 + length)));
    tensors.push_back(std::move(tensor));
  }
  PL_CHECK(check_overlap(tensors));
  return tensors;
}

}  // namespace planeloom
