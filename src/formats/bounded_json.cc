#include "formats/bounded_json.h"

#include <set>
#include <string>
#include <vector>

namespace planeloom {
namespace {

using Json = nlohmann::json;

/// Walks the text once without building anything but the open objects' keys.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  explicit Checker(const JsonLimits& limits) : limits_(limits) {}
  const std::string& complaint() const { return complaint_; }

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    return keys_.back().insert(name).second ||
           complain("key \"" + name.substr(0, 64) + "\" occurs twice");
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return complain("malformed at byte " + std::to_string(position));
  }

 private:
  bool value() { return ++values_ <= limits_.max_values || complain("too many values"); }
  bool open() {
    keys_.emplace_back();
    return (keys_.size() <= static_cast<size_t>(limits_.max_depth) ||
            complain("nested too deeply")) &&
           value();
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  bool complain(std::string what) {
    complaint_ = std::move(what);
    return false;
  }

  const JsonLimits& limits_;
  uint64_t values_ = 0;
  std::vector<std::set<std::string>> keys_;
  std::string complaint_;
};

}  // namespace

Result<Json> parse_bounded_json(std::string_view text, std::string_view what,
                                const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    return fail("[json] {}: {} bytes, at most {} are read", what, text.size(), limits.max_bytes);
  Checker checker(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &checker))
    return fail("[json] {}: {}", what, checker.complaint());
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return fail("[json] {}: malformed", what);
  return json;
}

}  // namespace planeloom
