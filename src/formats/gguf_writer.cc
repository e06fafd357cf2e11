#include <limits>
#include <set>

#include "formats/gguf.h"
#include "formats/gguf_types.h"

namespace planeloom {
namespace {

constexpr size_t kMaxName = 63;  // ggml keeps names in 64 bytes

uint64_t align(uint64_t offset) {
  return (offset + GgufWriter::kAlignment - 1) / GgufWriter::kAlignment * GgufWriter::kAlignment;
}

/// The front of the file, built in memory: metadata are small beside the tensors.
class Front {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void put(const std::string& text) {
    put<uint64_t>(text.size());
    bytes_ += text;
  }

  void put_value(const MetaValue& value) {
    std::visit(
        [&]<class T>(const T& v) {
          if constexpr (std::is_same_v<T, bool>) {
            put(gguf_type_of<T>());
            put(uint8_t{v});
          } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
            put(gguf_type_of<T>());
            put(v);
          } else {
            put_array(v);
          }
        },
        value);
  }

  std::string_view bytes() const { return bytes_; }

 private:
  template <class T>
  void put_array(const std::vector<T>& elements) {
    put(kGgufArray);
    put(gguf_type_of<T>());
    put<uint64_t>(elements.size());
    for (const auto& element : elements) {
      if constexpr (std::is_same_v<T, bool>) {
        put(uint8_t{element});
      } else {
        put(element);
      }
    }
  }

  std::string bytes_;
};

bool kept(const std::string& key) {
  return key != "general.alignment" && !key.starts_with("split.");
}

Status check_specs(const std::vector<TensorSpec>& specs) {
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    if (spec.name.empty() || spec.name.size() > kMaxName)
      return fail("[gguf] tensor name \"{}\" has {} bytes, 1 to {} wanted", spec.name,
                  spec.name.size(), kMaxName);
    if (!names.insert(spec.name).second) return fail("[gguf] tensor {} occurs twice", spec.name);
    PL_TRY(const uint64_t bytes, gguf_tensor_bytes(spec.name, spec.type, spec.dims));
    if (bytes > std::numeric_limits<uint64_t>::max() / 4 - offset)
      return fail("[gguf] the tensors are too large");
    offset = align(offset + bytes);
  }
  return {};
}

void put_front(Front& front, const Metadata& metadata, const std::vector<TensorSpec>& specs) {
  uint64_t entries = 1;
  for (const auto& [key, value] : metadata.entries()) entries += kept(key);
  front.put(kGgufMagic);
  front.put(uint32_t{3});
  front.put<uint64_t>(specs.size());
  front.put(entries);
  for (const auto& [key, value] : metadata.entries()) {
    if (!kept(key)) continue;
    front.put(key);
    front.put_value(value);
  }
  front.put(std::string("general.alignment"));
  front.put_value(static_cast<uint32_t>(GgufWriter::kAlignment));
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    front.put(spec.name);
    front.put(static_cast<uint32_t>(spec.dims.size()));
    for (const int64_t dim : spec.dims) front.put(static_cast<uint64_t>(dim));
    front.put(static_cast<uint32_t>(spec.type));
    front.put(offset);
    offset = align(offset + spec.bytes());
  }
}

}  // namespace

uint64_t TensorSpec::bytes() const { return gguf_tensor_bytes(name, type, dims).value_or(0); }

Result<GgufWriter> GgufWriter::create(const std::filesystem::path& path, const Metadata& metadata,
                                      std::vector<TensorSpec> tensors) {
  PL_CHECK(check_specs(tensors));
  Front front;
  put_front(front, metadata, tensors);
  PL_TRY(AtomicFile file, AtomicFile::create(path));
  GgufWriter writer(std::move(file), std::move(tensors));
  PL_CHECK(writer.file_.write(front.bytes()));
  PL_CHECK(writer.pad());
  return writer;
}

Result<uint64_t> GgufWriter::size_of(const Metadata& metadata,
                                     const std::vector<TensorSpec>& tensors) {
  PL_CHECK(check_specs(tensors));
  Front front;
  put_front(front, metadata, tensors);
  uint64_t size = align(front.bytes().size());
  for (const TensorSpec& t : tensors) size += align(t.bytes());
  return size;
}

Status GgufWriter::pad() {
  static constexpr std::byte kZeros[kAlignment] = {};
  return file_.write(std::span(kZeros, align(file_.offset()) - file_.offset()));
}

Status GgufWriter::write(std::span<const std::byte> piece) {
  if (next_ == specs_.size()) return fail("[gguf] {} bytes after the last tensor", piece.size());
  const uint64_t wanted = specs_[next_].bytes();
  if (piece.size() > wanted - written_)
    return fail("[gguf] tensor {}: {} bytes given, {} wanted", next(), written_ + piece.size(),
                wanted);
  PL_CHECK(file_.write(piece));
  written_ += piece.size();
  if (written_ < wanted) return {};
  ++next_;
  written_ = 0;
  return pad();
}

Status GgufWriter::write_tensor(std::span<const std::byte> data) {
  if (next_ < specs_.size() && (written_ != 0 || data.size() != specs_[next_].bytes()))
    return fail("[gguf] tensor {}: {} bytes given after {}, {} wanted", next(), data.size(),
                written_, specs_[next_].bytes());
  return write(data);
}

Status GgufWriter::commit() {
  if (next_ < specs_.size()) return fail("[gguf] commit before tensor {} is written", next());
  return file_.commit();
}

}  // namespace planeloom
