// The methods of list, tuple, dict, range, cycler and the dict function; and what the sandbox
// hides.
#include <algorithm>
#include <array>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"

namespace planeloom::jinja {
namespace {

template <View::Which which>
Value view(Runtime& rt, const Value& self, Args& args) {
  const Bound bound(args, "a dict view", {}, 0);
  auto dict = std::static_pointer_cast<Dict>(self.object());
  return Value(Kind::kView, rt.make<View>(0, self.depth(), std::move(dict), which));
}

Value get(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "get", {"/key", "/default"}, 1);
  const Value* found = self.as<Dict>().find(rt, a[0]);
  return found ? *found : a.has(1) ? a[1] : Value();
}

/// A copy may share: templates cannot change the original.
Value copy(Runtime&, const Value& self, Args& args) {
  const Bound bound(args, "copy", {}, 0);
  return self;
}

Value fromkeys(Runtime& rt, const Value&, Args& args) {
  const Bound a(args, "fromkeys", {"/iterable", "/value"}, 1);
  const Ref<Dict> d = rt.dict();
  const Value value = a.has(1) ? a[1] : Value();
  for_each(rt, a[0], [&](const Value& key) { d->set(rt, key, value); });
  return Value(Kind::kDict, d);
}

Value count(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "count", {"/value"}, 1);
  int64_t n = 0;
  for_each(rt, self, [&](const Value& item) { n += same(item, a[0]) || equal(rt, item, a[0]); });
  return Value(n);
}

Value index(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "index", {"/value", "/start", "/stop"}, 1);
  const int64_t size = length(rt, self);
  const auto clamp = [&](int64_t i) { return i < 0 ? std::max<int64_t>(0, i + size) : i; };
  const int64_t from = clamp(a.has(1) ? need_int(a[1], "start") : 0);
  const int64_t to = std::min(size, clamp(a.has(2) ? need_int(a[2], "stop") : size));
  int64_t at = 0, found = -1;
  for_each(rt, self, [&](const Value& item) {
    if (found < 0 && at >= from && at < to && (same(item, a[0]) || equal(rt, item, a[0])))
      found = at;
    ++at;
  });
  if (found < 0) raise(Fault::kValue, "the value is not in the {}", type_name(self));
  return Value(found);
}

Value cycler_next(Runtime&, const Value& self, Args& args) {
  const Bound bound(args, "next", {}, 0);
  Cycler& c = self.as<Cycler>();
  const Value current = c.items[c.position];
  c.position = (c.position + 1) % c.items.size();
  return current;
}

Value cycler_reset(Runtime&, const Value& self, Args& args) {
  const Bound bound(args, "reset", {}, 0);
  self.as<Cycler>().position = 0;
  return Value();
}

constexpr MethodEntry kDict[] = {{"get", get},
                                 {"items", view<View::kItems>},
                                 {"keys", view<View::kKeys>},
                                 {"values", view<View::kValues>},
                                 {"copy", copy},
                                 {"fromkeys", fromkeys}};
constexpr MethodEntry kList[] = {{"copy", copy}, {"count", count}, {"index", index}};
constexpr MethodEntry kTuple[] = {{"count", count}, {"index", index}};
constexpr MethodEntry kCycler[] = {{"next", cycler_next}, {"reset", cycler_reset}};
constexpr MethodEntry kDictFunction[] = {{"fromkeys", fromkeys}};

template <size_t N>
const MethodEntry* among(const MethodEntry (&entries)[N], std::string_view name) {
  const auto it =
      std::find_if(entries, entries + N, [&](const MethodEntry& m) { return name == m.name; });
  return it == entries + N ? nullptr : it;
}

}  // namespace

const MethodEntry* find_container_method(const Value& v, std::string_view name) {
  switch (v.kind()) {
    case Kind::kDict:
      return among(kDict, name);
    case Kind::kList:
      return among(kList, name);
    case Kind::kTuple:
    case Kind::kRange:
      return among(kTuple, name);
    case Kind::kCycler:
      return among(kCycler, name);
    case Kind::kFunction:
      return v.as<Function>().name == std::string_view("dict") ? among(kDictFunction, name)
                                                               : nullptr;
    default:
      return nullptr;
  }
}

bool changes_value(const Value& v, std::string_view name) {
  static constexpr std::array<std::string_view, 5> kOfDict = {"clear", "pop", "popitem",
                                                              "setdefault", "update"};
  static constexpr std::array<std::string_view, 8> kOfList = {
      "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
  if (v.is(Kind::kDict)) return std::find(kOfDict.begin(), kOfDict.end(), name) != kOfDict.end();
  return v.is(Kind::kList) && std::find(kOfList.begin(), kOfList.end(), name) != kOfList.end();
}

}  // namespace planeloom::jinja
