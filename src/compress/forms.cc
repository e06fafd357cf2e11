#include "compress/forms.h"

#include <charconv>
#include <cmath>

#include "codecs/planes.h"
#include "codecs/trellis.h"

namespace planeloom {
namespace {

/// Takes a number off the front of `text`; 0 when there is none.
int take_number(std::string_view& text) {
  int n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc()) return 0;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return n;
}

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

Result<const Codec*> codec_of(const Form& form, int64_t cols) {
  const QuantOptions& o = form.quant;
  const int group = fitting_group(o.group, cols);
  if (group == 0)
    return fail("[quantize] form {}: {} columns are no multiple of 32, 64, 96, 128, 192 or 256",
                form.name, cols);
  if (o.method == "trellis") return trellis_codec(o.bits);
  return o.method == "ptqtp" ? tritplane_codec(group, o.coefficients)
                             : bitplane_codec(o.bits, group, o.coefficients);
}

}  // namespace

Result<Form> parse_form(std::string_view name) {
  Form form{std::string(name), {}};
  QuantOptions& o = form.quant;
  std::string_view rest = name;
  bool known = true;
  if (take_word(rest, "trellis")) {
    o.method = "trellis";
    o.bits = take_number(rest);
  } else if (take_word(rest, "bitplane")) {
    o.method = "bpdq";
    o.coefficients = Coefficients::kByte;
    o.refine = 3;
    o.bits = take_number(rest);
    o.group = take_word(rest, "g") ? take_number(rest) : 0;
  } else if (take_word(rest, "tritplane")) {
    o.method = "ptqtp";
    o.coefficients = Coefficients::kTied;
    o.refine = 2;
    o.group = 192;
  } else {
    known = false;
  }
  // One name for every form: no zeros before a number.
  const bool padded =
      name.find("s0") != name.npos || name.find("e0") != name.npos || name.find("g0") != name.npos;
  if (!known || padded || !rest.empty() || !check_options(o))
    return fail(
        "[quantize] form {}: wanted trellis1 to trellis4, bitplane1g64 to bitplane4g64 (groups of "
        "32, 64, 96, 128, 192 or 256) or tritplane",
        name);
  return form;
}

Result<std::vector<Form>> parse_forms(std::span<const std::string> names) {
  std::vector<Form> forms;
  for (const std::string& name : names) {
    PL_TRY(Form form, parse_form(name));
    for (const Form& other : forms)
      if (other.name == name) return fail("[quantize] form {} is named twice", name);
    forms.push_back(std::move(form));
  }
  if (forms.empty()) return fail("[quantize] no form to choose from");
  return forms;
}

Result<int64_t> stored_bytes(const Form& form, int64_t rows, int64_t cols) {
  PL_TRY(const Codec* codec, codec_of(form, cols));
  return std::llround(bits_per_weight(*codec, rows, cols) * static_cast<double>(rows * cols) / 8);
}

}  // namespace planeloom
