// The tests behind "is".
#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

void none(Args& args) { const Bound bound(args, "a test", {}, 0); }

template <Kind... kinds>
bool is_kind(Runtime&, const Value& v, Args& args) {
  none(args);
  return ((v.kind() == kinds) || ...);
}

/// value % n, which on a string is formatting: Python compares the outcome with a number all the
/// same.
bool remainder_is(Runtime& rt, const Value& v, const Value& n, int64_t wanted) {
  return equal(rt, binary(rt, Op::kMod, v, n), Value(wanted));
}
bool odd(Runtime& rt, const Value& v, Args& args) {
  return none(args), remainder_is(rt, v, Value(int64_t{2}), 1);
}
bool even(Runtime& rt, const Value& v, Args& args) {
  return none(args), remainder_is(rt, v, Value(int64_t{2}), 0);
}
bool divisible_by(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "divisibleby", {"num"}, 1);
  return remainder_is(rt, v, a[0], 0);
}

bool defined(Runtime&, const Value& v, Args& args) { return none(args), !v.is(Kind::kUndefined); }
bool is_true(Runtime&, const Value& v, Args& args) {
  return none(args), v.is(Kind::kBool) && v.integer();
}
bool is_false(Runtime&, const Value& v, Args& args) {
  return none(args), v.is(Kind::kBool) && !v.integer();
}

template <bool (*Wanted)(uint32_t), bool (*Unwanted)(uint32_t)>
bool cased(Runtime& rt, const Value& v, Args& args) {
  none(args);
  const std::string text = str(rt, v);
  rt.step_bytes(text.size() * 8);
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_code(text, at);
    if (Unwanted(c) || is_title(c)) return false;
    found = found || Wanted(c);
  }
  return found;
}

bool sequence(Runtime&, const Value& v, Args& args) {
  none(args);
  return has_length(v) && !v.is(Kind::kView) && !v.is(Kind::kLoop);
}
bool is_iterable(Runtime&, const Value& v, Args& args) { return none(args), iterable(v); }

bool callable(Runtime&, const Value& v, Args& args) {
  none(args);
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kMacro:
    case Kind::kLoop:
    case Kind::kFunction:
    case Kind::kMethod:
    case Kind::kJoiner:
      return true;
    default:
      return false;
  }
}

bool same_as(Runtime&, const Value& v, Args& args) {
  const Bound a(args, "sameas", {"other"}, 1);
  return same(v, a[0]);
}
bool escaped(Runtime&, const Value& v, Args& args) {
  return none(args), v.is(Kind::kString) && v.as<String>().markup;
}
bool in(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "in", {"seq"}, 1);
  return contains(rt, a[0], v);
}

template <Op op>
bool comparison(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "a comparison", {"/other"}, 1);
  return compare(rt, op, v, a[0]);
}

bool hashable_name(Runtime& rt, const Value& v) {
  hash(rt, v);
  return v.is(Kind::kString);
}
bool is_filter(Runtime& rt, const Value& v, Args& args) {
  return none(args), hashable_name(rt, v) && find_filter(v.text());
}
bool is_test(Runtime& rt, const Value& v, Args& args) {
  return none(args), hashable_name(rt, v) && find_test(v.text());
}

struct Entry {
  std::string_view name;
  Test test;
};

constexpr Entry kTests[] = {
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible_by},
    {"defined", defined},
    {"undefined", is_kind<Kind::kUndefined>},
    {"filter", is_filter},
    {"test", is_test},
    {"none", is_kind<Kind::kNone>},
    {"boolean", is_kind<Kind::kBool>},
    {"false", is_false},
    {"true", is_true},
    {"integer", is_kind<Kind::kInt>},
    {"float", is_kind<Kind::kFloat>},
    {"lower", cased<is_lower, is_upper>},
    {"upper", cased<is_upper, is_lower>},
    {"string", is_kind<Kind::kString>},
    {"mapping", is_kind<Kind::kDict>},
    {"number", is_kind<Kind::kBool, Kind::kInt, Kind::kFloat>},
    {"sequence", sequence},
    {"iterable", is_iterable},
    {"callable", callable},
    {"sameas", same_as},
    {"escaped", escaped},
    {"in", in},
    {"==", comparison<Op::kEq>},
    {"eq", comparison<Op::kEq>},
    {"equalto", comparison<Op::kEq>},
    {"!=", comparison<Op::kNe>},
    {"ne", comparison<Op::kNe>},
    {">", comparison<Op::kGt>},
    {"gt", comparison<Op::kGt>},
    {"greaterthan", comparison<Op::kGt>},
    {"ge", comparison<Op::kGe>},
    {">=", comparison<Op::kGe>},
    {"<", comparison<Op::kLt>},
    {"lt", comparison<Op::kLt>},
    {"lessthan", comparison<Op::kLt>},
    {"<=", comparison<Op::kLe>},
    {"le", comparison<Op::kLe>},
};

}  // namespace

Test find_test(std::string_view name) {
  const auto it = std::find_if(std::begin(kTests), std::end(kTests),
                               [&](const Entry& e) { return e.name == name; });
  return it == std::end(kTests) ? nullptr : it->test;
}

}  // namespace planeloom::jinja
