// Parsing, after the GGUF specification (ggml's docs/gguf.md). Everything read here is hostile
// until checked.
#include <algorithm>
#include <bit>
#include <set>

#include "formats/byte_reader.h"
#include "formats/gguf.h"
#include "formats/gguf_types.h"

namespace planeloom {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

constexpr uint64_t kMaxName = 255;   // ggml allows 63
constexpr uint64_t kMaxKey = 65535;  // the specification's limit
constexpr uint64_t kMaxTensors = 1 << 20;
constexpr uint64_t kMinEntry = 8 + 1 + 4 + 1;  // a key of one byte, its type, one byte of value
constexpr uint64_t kMinTensor = 8 + 1 + 4 + 8 + 4 + 8;  // a name of one byte, one dimension
constexpr int64_t kMaxDim = int64_t{1} << 40;

bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 32 || c == 127; });
}

class Parser {
 public:
  explicit Parser(std::span<const std::byte> bytes) : bytes_(bytes), in_(bytes) {}

  Result<GgufContents> run() {
    PL_CHECK(header());
    for (uint64_t i = 0; i < entry_count_; ++i) PL_CHECK(entry(i));
    PL_CHECK(alignment());
    out_.tensors.reserve(tensor_count_);
    offsets_.reserve(tensor_count_);
    for (uint64_t i = 0; i < tensor_count_; ++i) PL_CHECK(tensor_info(i));
    PL_CHECK(place_data());
    PL_CHECK(check_overlap());
    return std::move(out_);
  }

 private:
  Status header() {
    uint32_t magic = 0;
    if (!in_.read(magic) || magic != kGgufMagic)
      return fail("[gguf] no GGUF magic in the first 4 bytes");
    if (!in_.read(out_.version)) return truncated("the version");
    if (out_.version != 0 && (out_.version & 0xffff) == 0)
      return fail("[gguf] a big-endian file; only little endian is read");
    if (out_.version != 2 && out_.version != 3)
      return fail("[gguf] version {}; versions 2 and 3 are read", out_.version);
    if (!in_.read(tensor_count_) || !in_.read(entry_count_)) return truncated("the counts");
    if (entry_count_ > in_.left() / kMinEntry)
      return fail("[gguf] {} metadata entries cannot fit in {} bytes", entry_count_, bytes_.size());
    if (tensor_count_ > kMaxTensors || tensor_count_ > in_.left() / kMinTensor)
      return fail("[gguf] {} tensors cannot fit in {} bytes (at most {} are read)", tensor_count_,
                  bytes_.size(), kMaxTensors);
    return {};
  }

  Status truncated(std::string_view what) const {
    return fail("[gguf] the file ends inside {} (at byte {} of {})", what, in_.position(),
                bytes_.size());
  }

  Status entry(uint64_t index) {
    std::string_view key;
    uint32_t type = 0;
    if (!in_.read_string(key)) return truncated(fmt::format("the key of metadata entry {}", index));
    if (key.empty() || key.size() > kMaxKey || !printable(key))
      return fail("[gguf] metadata entry {}: a key of {} bytes, 1 to {} printable ones wanted",
                  index, key.size(), kMaxKey);
    if (out_.metadata.has(key)) return fail("[gguf] metadata key {} occurs twice", key);
    if (!in_.read(type)) return truncated(fmt::format("the type of metadata key {}", key));
    MetaValue value;
    if (type == kGgufArray) {
      PL_CHECK(array(key, value));
    } else {
      PL_CHECK(scalar(key, type, value));
    }
    out_.metadata.set(std::string(key), std::move(value));
    return {};
  }

  template <class T>
  Status read_scalar(std::string_view key, MetaValue& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      std::string_view text;
      if (!in_.read_string(text)) return truncated(fmt::format("metadata key {}", key));
      value = std::string(text);
    } else if constexpr (std::is_same_v<T, bool>) {
      uint8_t flag = 0;
      if (!in_.read(flag)) return truncated(fmt::format("metadata key {}", key));
      if (flag > 1)
        return fail("[gguf] metadata key {}: a boolean of {}, 0 or 1 wanted", key, flag);
      value = flag == 1;
    } else {
      T number{};
      if (!in_.read(number)) return truncated(fmt::format("metadata key {}", key));
      value = number;
    }
    return {};
  }

  Status scalar(std::string_view key, uint32_t type, MetaValue& value) {
    Status status = fail("[gguf] metadata key {}: unknown value type {}", key, type);
    for_gguf_type(type, [&]<class T>(GgufTag<T>) { status = read_scalar<T>(key, value); });
    return status;
  }

  template <class T>
  Status read_array(std::string_view key, uint64_t count, MetaValue& value) {
    constexpr uint64_t kLeast = std::is_same_v<T, std::string> ? 8 : sizeof(T);
    if (count > in_.left() / kLeast)
      return fail("[gguf] metadata key {}: an array of {} elements in a file of {} bytes", key,
                  count, bytes_.size());
    std::vector<T> elements;
    if constexpr (std::is_same_v<T, std::string>) {
      elements.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        std::string_view text;
        if (!in_.read_string(text))
          return truncated(fmt::format("string {} of metadata key {}", i, key));
        elements.emplace_back(text);
      }
    } else if constexpr (std::is_same_v<T, bool>) {
      elements.resize(count);
      for (uint64_t i = 0; i < count; ++i) {
        uint8_t flag = 0;
        if (!in_.read(flag) || flag > 1)
          return fail("[gguf] metadata key {}: element {} is no boolean", key, i);
        elements[i] = flag == 1;
      }
    } else {
      elements.resize(count);
      if (!in_.read(elements.data(), count)) return truncated(fmt::format("metadata key {}", key));
    }
    value = std::move(elements);
    return {};
  }

  Status array(std::string_view key, MetaValue& value) {
    uint32_t type = 0;
    uint64_t count = 0;
    if (!in_.read(type) || !in_.read(count)) return truncated(fmt::format("metadata key {}", key));
    if (type == kGgufArray)
      return fail("[gguf] metadata key {}: arrays of arrays are not read", key);
    Status status = fail("[gguf] metadata key {}: unknown element type {}", key, type);
    for_gguf_type(type, [&]<class T>(GgufTag<T>) { status = read_array<T>(key, count, value); });
    return status;
  }

  Status alignment() {
    if (!out_.metadata.has("general.alignment")) return {};
    PL_TRY(const int64_t value, out_.metadata.integer("general.alignment"));
    if (value < 8 || value > 65536 || !std::has_single_bit(static_cast<uint64_t>(value)))
      return fail("[gguf] general.alignment is {}, a power of two from 8 to 65536 wanted", value);
    out_.alignment = static_cast<uint64_t>(value);
    return {};
  }

  Status tensor_info(uint64_t index) {
    StoredTensor tensor;
    std::string_view name;
    uint32_t n_dims = 0, type = 0;
    uint64_t offset = 0;
    if (!in_.read_string(name)) return truncated(fmt::format("the name of tensor {}", index));
    if (name.empty() || name.size() > kMaxName || !printable(name))
      return fail("[gguf] tensor {}: a name of {} bytes, 1 to {} printable ones wanted", index,
                  name.size(), kMaxName);
    tensor.name = name;
    if (!names_.insert(name).second) return fail("[gguf] tensor {} occurs twice", name);
    if (!in_.read(n_dims)) return truncated(fmt::format("tensor {}", name));
    if (n_dims < 1 || n_dims > 4)
      return fail("[gguf] tensor {}: {} dimensions, 1 to 4 wanted", name, n_dims);
    tensor.n_dims = static_cast<int>(n_dims);
    for (uint32_t d = 0; d < n_dims; ++d) {
      uint64_t size = 0;
      if (!in_.read(size)) return truncated(fmt::format("tensor {}", name));
      if (size < 1 || size > static_cast<uint64_t>(kMaxDim))
        return fail("[gguf] tensor {}: dimension {} is {}, 1 to {} wanted", name, d, size, kMaxDim);
      tensor.dims[d] = static_cast<int64_t>(size);
    }
    if (!in_.read(type) || !in_.read(offset)) return truncated(fmt::format("tensor {}", name));
    tensor.type = static_cast<DType>(type);
    PL_TRY(const uint64_t size, gguf_tensor_bytes(name, tensor.type, {tensor.dims.data(), n_dims}));
    if (offset % out_.alignment != 0)
      return fail("[gguf] tensor {}: offset {} is not a multiple of the alignment {}", name, offset,
                  out_.alignment);
    offsets_.push_back({offset, size, out_.tensors.size()});
    out_.tensors.push_back(std::move(tensor));
    return {};
  }

  /// The data begin at the next aligned byte; each tensor must end inside the file.
  Status place_data() {
    out_.data_offset = (in_.position() + out_.alignment - 1) / out_.alignment * out_.alignment;
    const uint64_t data_size =
        bytes_.size() > out_.data_offset ? bytes_.size() - out_.data_offset : 0;
    for (const Place& place : offsets_) {
      StoredTensor& tensor = out_.tensors[place.tensor];
      if (place.size > data_size || place.offset > data_size - place.size)
        return fail("[gguf] tensor {}: {} bytes at offset {} reach beyond the {} bytes of data",
                    tensor.name, place.size, place.offset, data_size);
      tensor.data = bytes_.subspan(out_.data_offset + place.offset, place.size);
    }
    return {};
  }

  Status check_overlap() {
    std::sort(offsets_.begin(), offsets_.end(),
              [](const Place& a, const Place& b) { return a.offset < b.offset; });
    for (size_t i = 1; i < offsets_.size(); ++i)
      if (offsets_[i].offset - offsets_[i - 1].offset < offsets_[i - 1].size)
        return fail("[gguf] tensors {} and {} overlap", out_.tensors[offsets_[i - 1].tensor].name,
                    out_.tensors[offsets_[i].tensor].name);
    return {};
  }

  struct Place {
    uint64_t offset, size;
    size_t tensor;
  };
  std::span<const std::byte> bytes_;
  ByteReader in_;
  GgufContents out_;
  uint64_t tensor_count_ = 0, entry_count_ = 0;
  std::vector<Place> offsets_;
  std::set<std::string_view> names_;
};

}  // namespace

Result<uint64_t> gguf_tensor_bytes(std::string_view name, DType type,
                                   std::span<const int64_t> dims) {
  const DTypeInfo info = dtype_info(type);
  if (!info.name)
    return fail("[gguf] tensor {}: element type {} is not read", name, static_cast<uint32_t>(type));
  if (dims.empty() || dims.size() > 4)
    return fail("[gguf] tensor {}: {} dimensions, 1 to 4 wanted", name, dims.size());
  int64_t elements = 1;
  for (const int64_t dim : dims) {
    if (dim < 1) return fail("[gguf] tensor {}: a dimension of {}", name, dim);
    if (__builtin_mul_overflow(elements, dim, &elements))
      return fail("[gguf] tensor {}: too many elements", name);
  }
  if (dims[0] % info.block != 0)
    return fail("[gguf] tensor {}: rows of {} values, {} needs a multiple of {}", name, dims[0],
                info.name, info.block);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / info.block, int64_t{info.bytes}, &bytes))
    return fail("[gguf] tensor {}: too many elements", name);
  return static_cast<uint64_t>(bytes);
}

Result<GgufContents> parse_gguf(std::span<const std::byte> bytes) { return Parser(bytes).run(); }

}  // namespace planeloom
