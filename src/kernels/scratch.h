#pragma once
#include <cstdint>
#include <vector>

namespace planeloom {

/// The buffer's memory, grown to `size` elements where it is shorter: scratch that is allocated on
/// first use only.
template <class T>
T* at_least(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(static_cast<size_t>(size));
  return buffer.data();
}

}  // namespace planeloom
