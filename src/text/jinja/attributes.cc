// x.name, x[key] and x[a:b:c], as jinja2's sandboxed environment reads them.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/loop.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

Value bind(Runtime& rt, const Value& v, const MethodEntry& m) {
  return Value(Kind::kMethod, rt.make<Method>(0, v.depth(), v, m.name, m.body));
}

Value number_attribute(Runtime& rt, const Value& v, std::string_view name) {
  const bool real = v.is(Kind::kFloat);
  const Value zero = real ? Value(0.0) : Value(int64_t{0});
  if (name == "real") return real ? v : Value(v.integer());
  if (name == "imag") return zero;
  if (!real && name == "numerator") return Value(v.integer());
  if (!real && name == "denominator") return Value(int64_t{1});
  static constexpr MethodEntry kIsInteger = {"is_integer", [](Runtime&, const Value& self, Args&) {
                                               const double d = self.real();
                                               return Value(std::isfinite(d) && d == std::floor(d));
                                             }};
  return real && name == "is_integer" ? bind(rt, v, kIsInteger) : Value::missing();
}

Value macro_attribute(Runtime& rt, const Macro& m, std::string_view name) {
  if (name == "name") return m.info->name.empty() ? Value() : rt.string(m.info->name);
  if (name == "catch_kwargs") return Value(m.info->kwargs >= 0);
  if (name == "catch_varargs") return Value(m.info->varargs >= 0);
  if (name == "caller") return Value(m.info->accesses_caller);
  if (name != "arguments") return Value::missing();
  Items names(rt);
  for (const Parameter& p : m.info->parameters) names.push(rt.string(p.name));
  return rt.tuple(names.take());
}

Value group_attribute(const Value& v, std::string_view name) {
  if (!v.as<Sequence>().group) return Value::missing();
  return name == "grouper" ? v.items()[0] : name == "list" ? v.items()[1] : Value::missing();
}

/// Python's getattr on what templates may see; kMissing for AttributeError.
Value plain_attribute(Runtime& rt, const Value& v, std::string_view name) {
  switch (v.kind()) {
    case Kind::kString:
      if (const MethodEntry* m = find_string_method(name)) return bind(rt, v, *m);
      return Value::missing();
    case Kind::kTuple:
      if (const Value part = group_attribute(v, name); !part.is_missing()) return part;
      [[fallthrough]];
    case Kind::kList:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kCycler:
    case Kind::kFunction:
      if (v.is(Kind::kRange)) {
        const Range& r = v.as<Range>();
        if (name == "start" || name == "stop" || name == "step")
          return Value(name == "start" ? r.start : name == "stop" ? r.stop : r.step);
      }
      if (v.is(Kind::kCycler) && name == "current")
        return v.as<Cycler>().items[v.as<Cycler>().position];
      if (v.is(Kind::kCycler) && name == "items") return rt.tuple(v.as<Cycler>().items);
      if (const MethodEntry* m = find_container_method(v, name)) return bind(rt, v, *m);
      return Value::missing();
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return number_attribute(rt, v, name);
    case Kind::kLoop:
      return v.as<Loop>().attribute(rt, v, name);
    case Kind::kMacro:
      return macro_attribute(rt, v.as<Macro>(), name);
    case Kind::kNamespace: {
      const Value* found = v.as<Namespace>().attributes->find(rt, name);
      return found ? *found : Value::missing();
    }
    case Kind::kJoiner:
      if (name == "sep") return rt.string(v.as<Joiner>().separator);
      return name == "used" ? Value(v.as<Joiner>().used) : Value::missing();
    default:
      return Value::missing();
  }
}

/// Attributes that Python objects have and the sandbox hides.
bool hidden(const Value& v, std::string_view name) {
  static constexpr std::array<std::string_view, 16> kEverywhere = {
      "__class__",  "__doc__",          "__init__",    "__new__",
      "__repr__",   "__str__",          "__eq__",      "__hash__",
      "__dir__",    "__getattribute__", "__setattr__", "__delattr__",
      "__reduce__", "__sizeof__",       "__format__",  "__ne__"};
  if (changes_value(v, name)) return true;
  return std::find(kEverywhere.begin(), kEverywhere.end(), name) != kEverywhere.end() &&
         !v.is(Kind::kNamespace);
}

Value no_attribute(Runtime& rt, const Value& v, std::string_view name) {
  return rt.undefined(fmt::format("'{} object' has no attribute '{}'", type_name(v), name));
}

/// kMissing: there is no such attribute at all.
Value safe_attribute(Runtime& rt, const Value& v, std::string_view name) {
  Value found = plain_attribute(rt, v, name);
  const bool is_hidden = found.is_missing() ? hidden(v, name) : !name.empty() && name[0] == '_';
  if (!is_hidden) return found;
  return rt.undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name(v)));
}

/// obj[key]; kMissing for TypeError and LookupError.
Value plain_item(Runtime& rt, const Value& v, const Value& key) {
  const auto position = [&](int64_t size) {
    const int64_t i = key.integer() < 0 ? key.integer() + size : key.integer();
    return key.is_int() && i >= 0 && i < size ? i : -1;
  };
  switch (v.kind()) {
    case Kind::kDict:
      try {
        const Value* found = v.as<Dict>().find(rt, key);
        return found ? *found : Value::missing();
      } catch (const Raise& e) {
        if (e.fault != Fault::kType) throw;
        return Value::missing();  // an unhashable key
      }
    case Kind::kList:
    case Kind::kTuple: {
      const int64_t i = position(static_cast<int64_t>(v.items().size()));
      return i < 0 ? Value::missing() : v.items()[static_cast<size_t>(i)];
    }
    case Kind::kString: {
      const String& s = v.as<String>();
      const int64_t i = position(s.chars);
      if (i < 0) return Value::missing();
      if (!s.ascii()) rt.step_bytes(s.text.size());
      return rt.string(std::string(codes(s, i, i + 1)), s.markup);
    }
    case Kind::kRange: {
      const Range& r = v.as<Range>();
      const int64_t i = position(r.size());
      return i < 0 ? Value::missing() : Value(r.start + i * r.step);
    }
    default:
      return Value::missing();
  }
}

/// Python's slice.indices: the bounds of `size` items, clamped for the direction.
struct Bounds {
  int64_t start, stop, step;
};
Bounds bounds(int64_t size, const Value& start, const Value& stop, const Value& step) {
  Bounds b{0, 0, index_or(step, 1)};
  if (b.step == 0) raise(Fault::kValue, "slice step cannot be zero");
  b.step = std::max(b.step, -std::numeric_limits<int64_t>::max());
  const int64_t low = b.step < 0 ? -1 : 0, high = b.step < 0 ? size - 1 : size;
  const auto clamp = [&](const Value& v, int64_t fallback) {
    int64_t i = index_or(v, fallback);
    if (v.is(Kind::kNone) || v.is_missing()) return fallback;
    if (i < 0) i = i < -size ? -1 - size : i;  // below: no overflow when adding
    return std::clamp(i < 0 ? i + size : i, low, high);
  };
  b.start = clamp(start, b.step < 0 ? high : low);
  b.stop = clamp(stop, b.step < 0 ? low : high);
  return b;
}

}  // namespace

Value get_attribute(Runtime& rt, const Value& v, std::string_view name) {
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  Value found = safe_attribute(rt, v, name);
  if (!found.is_missing()) return found;
  if (v.is(Kind::kDict)) found = plain_item(rt, v, rt.string(std::string(name)));
  return found.is_missing() ? no_attribute(rt, v, name) : found;
}

Value attribute_only(Runtime& rt, const Value& v, std::string_view name) {
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  Value found = safe_attribute(rt, v, name);
  return found.is_missing() ? no_attribute(rt, v, name) : found;
}

Value get_item(Runtime& rt, const Value& v, const Value& key) {
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  Value found = plain_item(rt, v, key);
  if (found.is_missing() && key.is(Kind::kString)) found = safe_attribute(rt, v, key.text());
  if (!found.is_missing()) return found;
  if (key.is(Kind::kString)) return no_attribute(rt, v, key.text());
  return rt.undefined(fmt::format("'{}' object has no such element", type_name(v)));
}

Value slice(Runtime& rt, const Value& v, const Value& start, const Value& stop, const Value& step) {
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  if (!v.is(Kind::kString) && !v.is(Kind::kList) && !v.is(Kind::kTuple) && !v.is(Kind::kRange))
    raise(Fault::kType, "'{}' object cannot be sliced", type_name(v));
  const int64_t size = length(rt, v);
  const Bounds b = bounds(size, start, stop, step);
  if (v.is(Kind::kString)) {
    const String& s = v.as<String>();
    rt.step_bytes(s.text.size());
    if (b.step == 1)
      return rt.string(std::string(codes(s, b.start, std::max(b.start, b.stop))), s.markup);
    std::vector<std::string_view> characters;
    rt.reserve(s.text.size() * sizeof(characters[0]));
    for (size_t at = 0; at < s.text.size();) {
      const size_t begin = at;
      next_code(s.text, at);
      characters.push_back(std::string_view(s.text).substr(begin, at - begin));
    }
    std::string out;
    const int64_t count = Range(b.start, b.stop, b.step).size();
    for (int64_t n = 0; n < count; ++n)
      out += characters[static_cast<size_t>(b.start + n * b.step)];
    rt.release(s.text.size() * sizeof(characters[0]));
    return rt.string(std::move(out), s.markup);
  }
  if (v.is(Kind::kRange)) {
    const Range& r = v.as<Range>();
    // Products stay small: a range has at most kMaxRange items, and steps are clamped by the count.
    const int64_t limit = size + 1, step_by = std::clamp(b.step, -limit, limit);
    return Value(Kind::kRange, rt.make<Range>(0, -1, r.start + b.start * r.step,
                                              r.start + b.stop * r.step, r.step * step_by));
  }
  Items out(rt);
  const int64_t count = Range(b.start, b.stop, b.step).size();
  for (int64_t n = 0; n < count; ++n)
    out.push(v.items()[static_cast<size_t>(b.start + n * b.step)]);
  return v.is(Kind::kList) ? rt.list(out.take()) : rt.tuple(out.take());
}

}  // namespace planeloom::jinja
