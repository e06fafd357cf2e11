// The functions that every template finds: jinja2's globals and what transformers adds.
#include <chrono>
#include <ctime>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"

namespace planeloom::jinja {
namespace {

constexpr int64_t kMaxRangeBound = int64_t{1} << 60;  // so that no sum below overflows

Value range(Runtime& rt, Args& args) {
  const Bound a(args, "range", {"/start", "/stop", "/step"}, 1);
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < 3; ++i)
    if (a.has(i)) bounds[i] = need_int(a[i], "a range bound");
  if (!a.has(1)) bounds[1] = std::exchange(bounds[0], 0);
  for (const int64_t b : bounds)
    if (b > kMaxRangeBound || b < -kMaxRangeBound)
      raise(Fault::kOverflow, "range bound {} too large", b);
  if (bounds[2] == 0) raise(Fault::kValue, "range() arg 3 must not be zero");
  const auto r = rt.make<Range>(0, -1, bounds[0], bounds[1], bounds[2]);
  if (r->size() > kMaxRange) raise(Fault::kOverflow, "range too big, above {}", kMaxRange);
  return Value(Kind::kRange, r);
}

Ref<Dict> build_dict(Runtime& rt, Args& args, std::string_view what) {
  if (args.positional.size() > 1) raise(Fault::kType, "{} expected at most 1 argument", what);
  const Ref<Dict> d = rt.dict();
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.as<Dict>().entries) d->set(rt, key, value);
    } else {
      for_each(rt, source, [&](const Value& pair) {
        const std::vector<Value> parts = to_vector(rt, pair);
        if (parts.size() != 2)
          raise(Fault::kValue, "a dict is built from pairs, got {} items", parts.size());
        d->set(rt, parts[0], parts[1]);
      });
    }
  }
  for (const auto& [key, value] : args.keywords) d->set(rt, rt.string(key), value);
  return d;
}

Value dict(Runtime& rt, Args& args) { return Value(Kind::kDict, build_dict(rt, args, "dict")); }

Value make_namespace(Runtime& rt, Args& args) {
  const auto space = rt.make<Namespace>(0, -1);
  space->attributes = build_dict(rt, args, "namespace");
  for (const auto& [key, value] : space->attributes->entries)
    if (key.is(Kind::kString) && key.text().substr(0, 1) == "_")
      raise(Fault::kSecurity, "a namespace stores no '{}'", key.text());
  rt.keep(space);
  return Value(Kind::kNamespace, space);
}

Value raise_exception(Runtime& rt, Args& args) {
  const Bound a(args, "raise_exception", {"message"}, 1);
  raise(Fault::kTemplate, "{}", str(rt, a[0]));
}

/// One directive of strftime, flags allowed, a width not: it could ask for any amount of text.
std::string time_part(const std::tm& time, const std::string& directive, int64_t microseconds) {
  if (directive.back() == 'f') return fmt::format("{:06}", microseconds);
  if (directive.back() == 'z' || directive.back() == 'Z')
    return "";  // Python's naive local time has no zone
  char buffer[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  return std::string(buffer, std::strftime(buffer, sizeof(buffer), directive.c_str(), &time));
#pragma GCC diagnostic pop
}

Value strftime_now(Runtime& rt, Args& args) {
  const Bound a(args, "strftime_now", {"format"}, 1);
  const std::string& format = need_string(a[0], "a time format");
  const auto now = rt.now.value_or(std::chrono::system_clock::now());
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto whole = std::chrono::floor<std::chrono::seconds>(now);
  const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(now - whole).count();
  std::tm local{};
  localtime_r(&seconds, &local);
  Writer out(rt);
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%' || at + 1 == format.size()) {
      out << std::string_view(format).substr(at, 1);
      continue;
    }
    std::string directive = "%";
    while (++at < format.size() &&
           std::string_view("-_0^#").find(format[at]) != std::string_view::npos)
      if (directive.size() < 8) directive += format[at];
    if (at == format.size()) break;
    const bool known =
        std::string_view("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYfzZ%").find(format[at]) !=
        std::string_view::npos;
    if (!known) raise(Fault::kValue, "unsupported time format '%{}'", format[at]);
    out << time_part(local, directive + format[at], micros);
  }
  return rt.string(out.take());
}

Value cycler(Runtime& rt, Args& args) {
  if (!args.keywords.empty()) raise(Fault::kType, "cycler takes no keyword arguments");
  if (args.positional.empty()) raise(Fault::kTemplate, "at least one item has to be provided");
  int below = 0;
  for (const Value& item : args.positional) below = std::max(below, item.depth());
  const auto c = rt.make<Cycler>(args.positional.size() * sizeof(Value), below);
  c->items = std::move(args.positional);
  return Value(Kind::kCycler, c);
}

Value joiner(Runtime& rt, Args& args) {
  const Bound a(args, "joiner", {"sep"}, 0);
  const auto j = rt.make<Joiner>(0, -1);
  j->separator = a.has(0) ? str(rt, a[0]) : ", ";
  rt.pay(*j, j->separator.size());
  return Value(Kind::kJoiner, j);
}

}  // namespace

Value find_global(Runtime& rt, std::string_view name) {
  static constexpr std::pair<const char*, Function::Body> kGlobals[] = {
      {"range", range},
      {"dict", dict},
      {"namespace", make_namespace},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now},
      {"cycler", cycler},
      {"joiner", joiner}};
  for (const auto& [known, body] : kGlobals)
    if (name == known) return Value(Kind::kFunction, rt.make<Function>(0, -1, known, body));
  return Value::missing();
}

}  // namespace planeloom::jinja
