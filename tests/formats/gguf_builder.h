// A tiny builder of GGUF bytes, right or deliberately wrong: every number can be set.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace planeloom::test {

class Bytes {
 public:
  template <class T>
  Bytes& put(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Bytes& u32(uint32_t value) { return put(value); }
  Bytes& u64(uint64_t value) { return put(value); }
  Bytes& string(const std::string& text) {
    u64(text.size());
    text_ += text;
    return *this;
  }
  Bytes& raw(const std::string& text) {
    text_ += text;
    return *this;
  }
  Bytes& pad(size_t alignment) {
    while (text_.size() % alignment) text_ += '\0';
    return *this;
  }
  const std::string& text() const { return text_; }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(text_)); }

 private:
  std::string text_;
};

struct GgufTensor {
  std::string name = "t";
  std::vector<uint64_t> dims = {8};
  uint32_t type = 0;  // F32
  uint64_t offset = 0;
};

/// A GGUF file; the fields are written as they stand, so a test changes the one it wants wrong.
struct GgufBuilder {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> entries;  // encoded key-value pairs
  std::vector<GgufTensor> tensors;
  uint64_t alignment = 32;  // of the padding before the data
  size_t data_bytes = 0;
  int64_t tensor_count = -1, entry_count = -1;  // -1: as many as there are

  GgufBuilder& entry(const std::string& key, uint32_t type, const std::string& value) {
    entries.push_back(Bytes().string(key).u32(type).raw(value).text());
    return *this;
  }
  GgufBuilder& u32(const std::string& key, uint32_t value) {
    return entry(key, 4, Bytes().u32(value).text());
  }
  GgufBuilder& string(const std::string& key, const std::string& value) {
    return entry(key, 8, Bytes().string(value).text());
  }
  GgufBuilder& array(const std::string& key, uint32_t type, uint64_t count,
                     const std::string& elements) {
    return entry(key, 9, Bytes().u32(type).u64(count).raw(elements).text());
  }
  GgufBuilder& tensor(GgufTensor t) {
    tensors.push_back(std::move(t));
    return *this;
  }

  std::string build() const {
    Bytes out;
    out.raw(magic).u32(version);
    out.u64(tensor_count < 0 ? tensors.size() : static_cast<uint64_t>(tensor_count));
    out.u64(entry_count < 0 ? entries.size() : static_cast<uint64_t>(entry_count));
    for (const std::string& e : entries) out.raw(e);
    for (const GgufTensor& t : tensors) {
      out.string(t.name).u32(static_cast<uint32_t>(t.dims.size()));
      for (uint64_t dim : t.dims) out.u64(dim);
      out.u32(t.type).u64(t.offset);
    }
    if (alignment) out.pad(alignment);
    std::string data(data_bytes, '\0');
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 37 + 11);
    return out.raw(data).text();
  }
};

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace planeloom::test
