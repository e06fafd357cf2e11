// The template language of Hugging Face chat templates: what jinja2 does under transformers'
// settings (ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls, its own
// tojson).
//
// Not there: template inheritance and inclusion (block, extends, include, import), autoescape, and
// the filters filesizeformat, pprint, random, striptags, urlencode, urlize, wordwrap, xmlattr.
// Integers end at 64 bits, where Python's do not.
#pragma once
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/limits.h"

namespace planeloom::jinja {

struct Program;

struct RenderOptions {
  Limits limits;
  /// What strftime_now takes for now; unset: the clock.
  std::optional<std::chrono::system_clock::time_point> now;
};

/// A parsed template. It may render from several threads at once.
class Template {
 public:
  /// Broken UTF-8 in `source` becomes U+FFFD. Errors name the line.
  static Result<Template> parse(std::string_view source, const Limits& limits = {});
  /// `context` is an object: the variables. Errors are what jinja2 would raise, and exceeded
  /// limits.
  Result<std::string> render(const nlohmann::ordered_json& context,
                             const RenderOptions& options = {}) const;

 private:
  std::shared_ptr<const Program> program_;
};

}  // namespace planeloom::jinja
