#include "text/jinja/template.h"

#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"
#include "text/jinja/scope.h"
#include "text/unicode.h"

namespace planeloom::jinja {
namespace {

using Json = nlohmann::ordered_json;

Value value_of(Runtime& rt, const Json& json) {
  const Nesting nesting(rt);
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto n = json.get<uint64_t>();
      if (n > INT64_MAX) raise(Fault::kLimit, "integer {} beyond 64 bits", n);
      return Value(static_cast<int64_t>(n));
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return rt.string(sanitize_utf8(json.get_ref<const std::string&>()));
    case Json::value_t::array: {
      Items items(rt);
      for (const Json& item : json) items.push(value_of(rt, item));
      return rt.list(items.take());
    }
    case Json::value_t::object: {
      const Ref<Dict> d = rt.dict();
      for (const auto& [key, value] : json.items())
        d->set(rt, rt.string(sanitize_utf8(key)), value_of(rt, value));
      return Value(Kind::kDict, d);
    }
    default:
      return Value();
  }
}

tl::unexpected<Error> error_of(const Raise& failure) {
  if (failure.line > 0) return fail("[jinja] line {}: {}", failure.line, failure.message);
  return fail("[jinja] {}", failure.message);
}

}  // namespace

Result<Template> Template::parse(std::string_view source, const Limits& limits) {
  if (source.size() > limits.source_bytes)
    return fail("[jinja] a template of {} bytes, wanted at most {}", source.size(),
                limits.source_bytes);
  try {
    auto program = std::make_shared<Program>(jinja::parse(sanitize_utf8(source)));
    resolve(*program);
    Template t;
    t.program_ = std::move(program);
    return t;
  } catch (const Raise& failure) {
    return error_of(failure);
  }
}

Result<std::string> Template::render(const Json& context, const RenderOptions& options) const {
  if (!program_) return fail("[jinja] no template was parsed");
  if (!context.is_object())
    return fail("[jinja] the context is {}, wanted an object", context.type_name());
  Runtime rt(options.limits);
  rt.now = options.now;
  try {
    const Value variables = value_of(rt, context);
    return Interpreter(rt, std::static_pointer_cast<Dict>(variables.object())).run(*program_);
  } catch (const Raise& failure) {
    return error_of(failure);
  }
}

}  // namespace planeloom::jinja
