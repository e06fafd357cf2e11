// Arithmetic, truth, length and iteration.
#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja/loop.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

[[noreturn]] void overflow() { raise(Fault::kLimit, "integer beyond 64 bits"); }

[[noreturn]] void no_operator(Op op, const Value& a, const Value& b) {
  const char* const symbol = op == Op::kAdd        ? "+"
                             : op == Op::kSub      ? "-"
                             : op == Op::kMul      ? "*"
                             : op == Op::kDiv      ? "/"
                             : op == Op::kFloorDiv ? "//"
                             : op == Op::kMod      ? "%"
                                                   : "**";
  raise(Fault::kType, "no operator '{}' between '{}' and '{}'", symbol, type_name(a), type_name(b));
}

void need_nonzero(bool zero) {
  if (zero) raise(Fault::kTemplate, "division by zero");
}

int64_t floor_div(int64_t a, int64_t b) {
  need_nonzero(b == 0);
  if (a == kMin && b == -1) overflow();
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}

int64_t floor_mod(int64_t a, int64_t b) {
  need_nonzero(b == 0);
  if (b == -1) return 0;
  const int64_t r = a % b;
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}

/// CPython's float_divmod.
double float_mod(double a, double b) {
  need_nonzero(b == 0);
  const double r = std::fmod(a, b);
  if (r == 0) return std::copysign(0.0, b);
  return (r < 0) != (b < 0) ? r + b : r;
}

double float_floor_div(double a, double b) {
  need_nonzero(b == 0);
  const double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
  if (div == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(div);
  return div - whole > 0.5 ? whole + 1 : whole;
}

Value int_power(Runtime& rt, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    need_nonzero(base == 0);
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  if (base == 0 || base == 1) return Value(exponent == 0 ? int64_t{1} : base);
  if (base == -1) return Value(exponent % 2 ? int64_t{-1} : int64_t{1});
  for (int64_t i = 0; i < exponent; ++i) {
    rt.step();
    if (__builtin_mul_overflow(result, base, &result)) overflow();
  }
  return Value(result);
}

Value float_power(double a, double b) {
  if (a == 0 && b < 0) need_nonzero(true);
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
    raise(Fault::kType, "a complex number: negative base with a fractional exponent");
  const double r = std::pow(a, b);
  if (std::isinf(r) && std::isfinite(a) && std::isfinite(b))
    raise(Fault::kOverflow, "float power too large");
  return Value(r);
}

Value arithmetic(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (a.is_int() && b.is_int() && op != Op::kDiv) {
    const int64_t x = a.integer(), y = b.integer();
    int64_t r = 0;
    switch (op) {
      case Op::kAdd:
        if (__builtin_add_overflow(x, y, &r)) overflow();
        return Value(r);
      case Op::kSub:
        if (__builtin_sub_overflow(x, y, &r)) overflow();
        return Value(r);
      case Op::kMul:
        if (__builtin_mul_overflow(x, y, &r)) overflow();
        return Value(r);
      case Op::kFloorDiv:
        return Value(floor_div(x, y));
      case Op::kMod:
        return Value(floor_mod(x, y));
      default:
        return int_power(rt, x, y);
    }
  }
  const double x = a.real(), y = b.real();
  switch (op) {
    case Op::kAdd:
      return Value(x + y);
    case Op::kSub:
      return Value(x - y);
    case Op::kMul:
      return Value(x * y);
    case Op::kDiv:
      need_nonzero(y == 0);
      return Value(x / y);
    case Op::kFloorDiv:
      return Value(float_floor_div(x, y));
    case Op::kMod:
      return Value(float_mod(x, y));
    default:
      return float_power(x, y);
  }
}

Value repeat(Runtime& rt, const Value& v, int64_t times) {
  if (v.is(Kind::kString)) {
    const String& s = v.as<String>();
    Writer out(rt);
    if (!s.text.empty() && times > 0) out.fill(static_cast<size_t>(times), s.text);
    return rt.string(out.take(), s.markup);
  }
  Items out(rt);
  for (int64_t i = 0; i < times && !v.items().empty(); ++i)
    for (const Value& item : v.items()) out.push(item);
  return v.is(Kind::kList) ? rt.list(out.take()) : rt.tuple(out.take());
}

Value add(Runtime& rt, const Value& a, const Value& b) {
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    const String& x = a.as<String>();
    const String& y = b.as<String>();
    const bool markup = x.markup || y.markup;
    Writer out(rt);
    out << (markup && !x.markup ? escape_html(x.text) : x.text);
    out << (markup && !y.markup ? escape_html(y.text) : y.text);
    return rt.string(out.take(), markup);
  }
  if (a.kind() == b.kind() && (a.is(Kind::kList) || a.is(Kind::kTuple))) {
    Items out(rt);
    for (const Value& item : a.items()) out.push(item);
    for (const Value& item : b.items()) out.push(item);
    return a.is(Kind::kList) ? rt.list(out.take()) : rt.tuple(out.take());
  }
  no_operator(Op::kAdd, a, b);
}

/// Iterators over the built-in containers; the container stays alive with them.
struct ContainerIterator final : Iterator {
  explicit ContainerIterator(Value v) : source(std::move(v)) {}
  bool next(Runtime& rt, Value& out) override {
    rt.step();
    switch (source.kind()) {
      case Kind::kString:
        return next_code_point(rt, out);
      case Kind::kList:
      case Kind::kTuple:
        if (at >= source.items().size()) return false;
        out = source.items()[at++];
        return true;
      case Kind::kRange: {
        const Range& r = source.as<Range>();
        if (static_cast<int64_t>(at) >= r.size()) return false;
        out = Value(r.start + static_cast<int64_t>(at++) * r.step);
        return true;
      }
      case Kind::kDict:
        return next_entry(rt, source.as<Dict>(), View::kKeys, out);
      case Kind::kView:
        return next_entry(rt, *source.as<View>().dict, source.as<View>().which, out);
      default:
        return false;
    }
  }
  bool next_code_point(Runtime& rt, Value& out) {
    const std::string& text = source.text();
    if (at >= text.size()) return false;
    const size_t start = at;
    next_code(text, at);
    out = rt.string(text.substr(start, at - start));
    return true;
  }
  bool next_entry(Runtime& rt, const Dict& d, View::Which which, Value& out) {
    if (at >= d.entries.size()) return false;
    const auto& [key, value] = d.entries[at++];
    out = which == View::kKeys ? key : which == View::kValues ? value : rt.tuple({key, value});
    return true;
  }
  Value source;
  size_t at = 0;
};

struct VectorIterator final : Iterator {
  explicit VectorIterator(std::vector<Value> i) : items(std::move(i)) {}
  bool next(Runtime& rt, Value& out) override {
    rt.step();
    if (at >= items.size()) return false;
    out = items[at++];
    return true;
  }
  std::vector<Value> items;
  size_t at = 0;
};

}  // namespace

int64_t Range::size() const {
  // In unsigned arithmetic: the bounds may be the ends of the 64-bit range.
  const auto span = [](int64_t low, int64_t high) {
    return static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  };
  if (step > 0)
    return start < stop
               ? static_cast<int64_t>((span(start, stop) - 1) / static_cast<uint64_t>(step) + 1)
               : 0;
  return start > stop
             ? static_cast<int64_t>((span(stop, start) - 1) / (0 - static_cast<uint64_t>(step)) + 1)
             : 0;
}

std::string_view type_name(const Value& v) {
  switch (v.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return v.as<String>().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView: {
      const auto which = v.as<View>().which;
      return which == View::kKeys     ? "dict_keys"
             : which == View::kValues ? "dict_values"
                                      : "dict_items";
    }
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kMacro:
      return "Macro";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kFunction:
      return "function";
    case Kind::kMethod:
      return "builtin_function_or_method";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

void raise_undefined(const Value& v) {
  raise(Fault::kUndefined, "{}", v.object() ? v.text() : std::string("undefined value"));
}

bool truthy(Runtime& rt, const Value& v) {
  switch (v.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return v.integer() != 0;
    case Kind::kFloat:
      return v.real() != 0;
    case Kind::kString:
      return !v.text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
      return length(rt, v) > 0;
    default:
      return true;
  }
}

Value binary(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (op == Op::kMod && a.is(Kind::kString)) return format_percent(rt, a, b);
  if (a.is(Kind::kUndefined)) raise_undefined(a);
  if (b.is(Kind::kUndefined)) raise_undefined(b);
  if (a.is_number() && b.is_number()) return arithmetic(rt, op, a, b);
  const auto repeatable = [](const Value& v) {
    return v.is(Kind::kString) || v.is(Kind::kList) || v.is(Kind::kTuple);
  };
  if (op == Op::kMul && repeatable(a) && b.is_int()) return repeat(rt, a, b.integer());
  if (op == Op::kMul && a.is_int() && repeatable(b)) return repeat(rt, b, a.integer());
  if (op == Op::kAdd) return add(rt, a, b);
  no_operator(op, a, b);
}

Value unary(Runtime& rt, Op op, const Value& v) {
  if (op == Op::kNot) return Value(!truthy(rt, v));
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  if (v.is(Kind::kFloat)) return op == Op::kNegate ? Value(-v.real()) : v;
  if (!v.is_int()) raise(Fault::kType, "bad operand type for unary operator: '{}'", type_name(v));
  if (op == Op::kPlus) return Value(v.integer());
  if (v.integer() == kMin) overflow();
  return Value(-v.integer());
}

Value absolute(const Value& v) {
  if (v.is(Kind::kFloat)) return Value(std::fabs(v.real()));
  if (!v.is_int()) raise(Fault::kType, "bad operand type for abs(): '{}'", type_name(v));
  if (v.integer() == kMin) overflow();
  return Value(std::abs(v.integer()));
}

bool has_length(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kLoop:
    case Kind::kRange:
      return true;
    default:
      return false;
  }
}

int64_t length(Runtime& rt, const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return v.as<String>().chars;
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(v.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(v.as<Dict>().entries.size());
    case Kind::kView:
      return static_cast<int64_t>(v.as<View>().dict->entries.size());
    case Kind::kRange:
      return v.as<Range>().size();
    case Kind::kLoop:
      return v.as<Loop>().count(rt);
    default:
      raise(Fault::kType, "object of type '{}' has no len()", type_name(v));
  }
}

bool iterable(const Value& v) { return has_length(v) || v.is(Kind::kIterator); }

Ref<Iterator> iterate(Runtime& rt, const Value& v) {
  if (v.is(Kind::kIterator)) return std::static_pointer_cast<Iterator>(v.object());
  if (v.is(Kind::kLoop)) return v.as<Loop>().steps(rt, v);
  if (!iterable(v)) raise(Fault::kType, "'{}' object is not iterable", type_name(v));
  return rt.make<ContainerIterator>(0, v.depth(), v);
}

std::vector<Value> to_vector(Runtime& rt, const Value& v) {
  Items items(rt);
  for_each(rt, v, [&](Value& item) { items.push(item); });
  return items.take();
}

Value iterator_over(Runtime& rt, std::vector<Value> items) {
  int below = 0;
  for (const Value& item : items) below = std::max(below, item.depth());
  const size_t bytes = items.size() * sizeof(Value);
  return Value(Kind::kIterator, rt.make<VectorIterator>(bytes, below, std::move(items)));
}

Value reversed(Runtime& rt, const Value& v) {
  if (!iterable(v) || v.is(Kind::kIterator) || v.is(Kind::kLoop))
    raise(Fault::kType, "'{}' object is not reversible", type_name(v));
  std::vector<Value> items = to_vector(rt, v);
  std::reverse(items.begin(), items.end());
  return iterator_over(rt, std::move(items));
}

const std::string& need_string(const Value& v, std::string_view what) {
  if (!v.is(Kind::kString)) raise(Fault::kType, "{} must be str, not {}", what, type_name(v));
  return v.text();
}

int64_t need_int(const Value& v, std::string_view what) {
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  if (!v.is_int()) raise(Fault::kType, "{} must be int, not {}", what, type_name(v));
  return v.integer();
}

int64_t index_or(const Value& v, int64_t fallback) {
  return v.is(Kind::kNone) || v.is_missing() ? fallback : need_int(v, "an index");
}

}  // namespace planeloom::jinja
