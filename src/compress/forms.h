// What a linear may be stored as, where every one has its own.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/quantizer.h"

namespace planeloom {

/// A codec and the method that makes it, on rotated inputs.
struct Form {
  std::string name;
  QuantOptions quant;
};

/// "trellis2" (1 to 4 bits), "bitplane2g64" (1 to 4 planes, scales of bytes; a group as of
/// --group), "tritplane" (tied scales, groups of 192). The planes are refined in the whole Hessian.
Result<Form> parse_form(std::string_view name);
Result<std::vector<Form>> parse_forms(std::span<const std::string> names);

/// What every linear may be unless other forms are named.
inline const std::vector<std::string> kDefaultForms{"trellis1", "trellis2", "trellis3", "trellis4"};

/// Bytes of a matrix in a form, every scale counted. An error for widths that it cannot have.
Result<int64_t> stored_bytes(const Form& form, int64_t rows, int64_t cols);

}  // namespace planeloom
