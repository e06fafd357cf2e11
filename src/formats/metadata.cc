#include "formats/metadata.h"

#include <limits>
#include <type_traits>
#include <utility>

namespace planeloom {
namespace {

template <class T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <class T>
std::optional<int64_t> as_integer(T value) {
  if (!std::in_range<int64_t>(value)) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace

const MetaValue* Metadata::find(std::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

void Metadata::set(std::string key, MetaValue value) {
  const auto [it, fresh] = index_.try_emplace(key, entries_.size());
  if (fresh) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    entries_[it->second].second = std::move(value);
  }
}

Result<int64_t> Metadata::integer(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return fail("[metadata] key {} is absent, an integer wanted", key);
  return std::visit(
      [&](const auto& v) -> Result<int64_t> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (kIsInteger<T>) {
          if (const auto i = as_integer(v)) return *i;
          return fail("[metadata] key {} = {} does not fit in 64 signed bits", key, v);
        } else {
          return fail("[metadata] key {} is not an integer", key);
        }
      },
      *value);
}

Result<double> Metadata::number(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return fail("[metadata] key {} is absent, a number wanted", key);
  return std::visit(
      [&](const auto& v) -> Result<double> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (kIsInteger<T> || std::is_floating_point_v<T>) {
          return static_cast<double>(v);
        } else {
          return fail("[metadata] key {} is not a number", key);
        }
      },
      *value);
}

Result<std::string> Metadata::string(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return fail("[metadata] key {} is absent, a string wanted", key);
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return fail("[metadata] key {} is not a string", key);
}

int64_t Metadata::integer_or(std::string_view key, int64_t otherwise) const {
  return integer(key).value_or(otherwise);
}

double Metadata::number_or(std::string_view key, double otherwise) const {
  return number(key).value_or(otherwise);
}

bool Metadata::boolean_or(std::string_view key, bool otherwise) const {
  const MetaValue* value = find(key);
  const bool* flag = value ? std::get_if<bool>(value) : nullptr;
  return flag ? *flag : otherwise;
}

std::string Metadata::string_or(std::string_view key, std::string_view otherwise) const {
  const MetaValue* value = find(key);
  const auto* text = value ? std::get_if<std::string>(value) : nullptr;
  return std::string(text ? std::string_view(*text) : otherwise);
}

const std::vector<std::string>* Metadata::strings(std::string_view key) const {
  const MetaValue* value = find(key);
  return value ? std::get_if<std::vector<std::string>>(value) : nullptr;
}

const std::vector<float>* Metadata::floats(std::string_view key) const {
  const MetaValue* value = find(key);
  return value ? std::get_if<std::vector<float>>(value) : nullptr;
}

std::optional<std::vector<int64_t>> Metadata::integers(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return std::nullopt;
  return std::visit(
      [](const auto& v) -> std::optional<std::vector<int64_t>> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (requires { typename T::value_type; }) {
          if constexpr (std::is_integral_v<typename T::value_type> &&
                        !std::is_same_v<T, std::string>) {
            std::vector<int64_t> out;
            out.reserve(v.size());
            for (const auto element : v) {
              if constexpr (std::is_same_v<typename T::value_type, uint64_t>)
                if (!std::in_range<int64_t>(element)) return std::nullopt;
              out.push_back(static_cast<int64_t>(element));
            }
            return out;
          }
        }
        return std::nullopt;
      },
      *value);
}

}  // namespace planeloom
