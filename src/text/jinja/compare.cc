// Equality, order, hashing, membership, and the dict that rests on them.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "text/jinja/operators.h"

namespace planeloom::jinja {
namespace {

constexpr size_t kSmallDict = 8;  // below this a scan is as fast as a table

/// Sign of int64 - double, exact; 2 when unordered.
int compare_int_float(int64_t i, double d) {
  if (std::isnan(d)) return 2;
  if (d >= 0x1p63) return -1;
  if (d < -0x1p63) return 1;
  const auto whole = static_cast<int64_t>(d);
  if (i != whole) return i < whole ? -1 : 1;
  const double fraction = d - static_cast<double>(whole);
  return fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
}

/// Sign of a - b for numbers; 2 when unordered.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_int() && b.is_int()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  if (a.is_int()) return compare_int_float(a.integer(), b.real());
  if (b.is_int()) {
    const int c = compare_int_float(b.integer(), a.real());
    return c == 2 ? 2 : -c;
  }
  if (std::isnan(a.real()) || std::isnan(b.real())) return 2;
  return a.real() < b.real() ? -1 : a.real() > b.real();
}

bool equal_dicts(Runtime& rt, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    rt.step();
    const Value* other = b.find(rt, key);
    if (!other || !(same(value, *other) || equal(rt, value, *other))) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  if (a.size() != b.size()) return false;
  if (a.size() == 0) return true;
  return a.start == b.start && (a.size() == 1 || a.step == b.step);
}

bool range_contains(const Range& r, int64_t v) {
  if (r.step > 0 ? v < r.start || v >= r.stop : v > r.start || v <= r.stop) return false;
  return (v - r.start) % r.step == 0;
}

}  // namespace

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.object() || b.object()) return a.object() == b.object();
  if (a.is(Kind::kFloat)) return a.real() == b.real();
  return a.integer() == b.integer();
}

bool equal(Runtime& rt, const Value& a, const Value& b) {
  rt.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      rt.step_bytes(std::min(a.text().size(), b.text().size()));
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple: {
      const auto& x = a.items();
      const auto& y = b.items();
      return x.size() == y.size() &&
             std::equal(x.begin(), x.end(), y.begin(),
                        [&](auto& p, auto& q) { return same(p, q) || equal(rt, p, q); });
    }
    case Kind::kDict:
      return equal_dicts(rt, a.as<Dict>(), b.as<Dict>());
    case Kind::kRange:
      return equal_ranges(a.as<Range>(), b.as<Range>());
    case Kind::kMethod:
      return a.as<Method>().body == b.as<Method>().body &&
             same(a.as<Method>().self, b.as<Method>().self);
    case Kind::kFunction:
      return a.as<Function>().body == b.as<Function>().body;
    case Kind::kView: {
      const View& x = a.as<View>();
      const View& y = b.as<View>();
      if (x.which == View::kValues || x.which != y.which) return &x == &y;
      if (x.which == View::kItems) return equal_dicts(rt, *x.dict, *y.dict);
      return x.dict->entries.size() == y.dict->entries.size() &&
             std::all_of(x.dict->entries.begin(), x.dict->entries.end(),
                         [&](auto& entry) { return y.dict->find(rt, entry.first) != nullptr; });
    }
    default:
      return a.object() == b.object();
  }
}

bool less(Runtime& rt, const Value& a, const Value& b) { return compare(rt, Op::kLt, a, b); }

bool compare(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (op == Op::kEq) return equal(rt, a, b);
  if (op == Op::kNe) return !equal(rt, a, b);
  rt.step();
  const auto ordered = [op](int sign) {
    return op == Op::kLt   ? sign < 0
           : op == Op::kLe ? sign <= 0
           : op == Op::kGt ? sign > 0
                           : sign >= 0;
  };
  if (a.is(Kind::kUndefined)) raise_undefined(a);
  if (b.is(Kind::kUndefined)) raise_undefined(b);
  if (a.is_number() && b.is_number()) {
    const int sign = compare_numbers(a, b);
    return sign != 2 && ordered(sign);
  }
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    rt.step_bytes(std::min(a.text().size(), b.text().size()));
    return ordered(a.text().compare(b.text()));  // UTF-8 keeps the order of code points
  }
  if (a.kind() == b.kind() && (a.is(Kind::kList) || a.is(Kind::kTuple))) {
    const auto& x = a.items();
    const auto& y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (!same(x[i], y[i]) && !equal(rt, x[i], y[i])) return compare(rt, op, x[i], y[i]);
    return ordered(x.size() < y.size() ? -1 : x.size() > y.size());
  }
  raise(Fault::kType, "no order between '{}' and '{}'", type_name(a), type_name(b));
}

size_t hash(Runtime& rt, const Value& v) {
  rt.step();
  switch (v.kind()) {
    case Kind::kString:
      rt.step_bytes(v.text().size());
      return std::hash<std::string>{}(v.text());
    case Kind::kBool:
    case Kind::kInt:
      return std::hash<int64_t>{}(v.integer());
    case Kind::kFloat: {
      const double d = v.real();  // equal to an int: hashes as that int
      if (d >= -0x1p63 && d < 0x1p63 && d == std::trunc(d))
        return std::hash<int64_t>{}(static_cast<int64_t>(d));
      return std::hash<double>{}(d);
    }
    case Kind::kTuple: {
      size_t h = 0x345678;
      for (const Value& item : v.items()) h = h * 1000003 ^ hash(rt, item);
      return h;
    }
    case Kind::kList:
    case Kind::kDict:
      raise(Fault::kType, "unhashable type: '{}'", type_name(v));
    case Kind::kView: {
      if (v.as<View>().which != View::kValues)
        raise(Fault::kType, "unhashable type: '{}'", type_name(v));
      return std::hash<const void*>{}(v.object().get());
    }
    case Kind::kRange: {
      const Range& r = v.as<Range>();
      return std::hash<int64_t>{}(r.size()) ^ (r.size() ? std::hash<int64_t>{}(r.start) * 31 : 0);
    }
    case Kind::kNone:
      return 0x4e6f6e65;
    case Kind::kUndefined:
      return 0x556e6465;
    case Kind::kMethod:
      return std::hash<const void*>{}(v.as<Method>().name);
    case Kind::kFunction:
      return std::hash<const void*>{}(v.as<Function>().name);
    default:
      return std::hash<const void*>{}(v.object().get());
  }
}

bool contains(Runtime& rt, const Value& container, const Value& item) {
  const auto among = [&](const std::vector<Value>& items) {
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& v) { return same(v, item) || equal(rt, v, item); });
  };
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is(Kind::kString))
        raise(Fault::kType, "'in <string>' requires a string on its left, not '{}'",
              type_name(item));
      rt.step_search(container.text(), item.text());
      return container.text().find(item.text()) != std::string::npos;
    case Kind::kList:
    case Kind::kTuple:
      return among(container.items());
    case Kind::kDict:
      return container.as<Dict>().find(rt, item) != nullptr;
    case Kind::kView: {
      const View& view = container.as<View>();
      if (view.which == View::kKeys) return view.dict->find(rt, item) != nullptr;
      if (view.which == View::kItems) {
        if (!item.is(Kind::kTuple) || item.items().size() != 2) return false;
        const Value* found = view.dict->find(rt, item.items()[0]);
        return found && (same(*found, item.items()[1]) || equal(rt, *found, item.items()[1]));
      }
      break;
    }
    case Kind::kRange:
      if (item.is_int()) return range_contains(container.as<Range>(), item.integer());
      break;
    default:
      break;
  }
  if (!iterable(container)) raise(Fault::kType, "'{}' is not iterable", type_name(container));
  const Ref<Iterator> it = iterate(rt, container);
  for (Value v; it->next(rt, v);)
    if (same(v, item) || equal(rt, v, item)) return true;
  return false;
}

int64_t Dict::index_of(Runtime& rt, const Value& key, size_t hash) const {
  if (table.empty()) {
    for (size_t i = 0; i < entries.size(); ++i)
      if (hashes[i] == hash && (same(entries[i].first, key) || equal(rt, entries[i].first, key)))
        return static_cast<int64_t>(i);
    return -1;
  }
  for (size_t at = hash % table.size(); table[at] != 0; at = at + 1 < table.size() ? at + 1 : 0) {
    rt.step();
    const size_t i = table[at] - 1;
    if (hashes[i] == hash && (same(entries[i].first, key) || equal(rt, entries[i].first, key)))
      return static_cast<int64_t>(i);
  }
  return -1;
}

const Value* Dict::find(Runtime& rt, const Value& key) const {
  const int64_t i = index_of(rt, key, hash(rt, key));
  return i < 0 ? nullptr : &entries[static_cast<size_t>(i)].second;
}

const Value* Dict::find(Runtime& rt, std::string_view key) const {
  return find(rt, rt.string(std::string(key)));
}

void Dict::rebuild(Runtime& rt) {
  table.assign(std::max<size_t>(32, entries.size() * 4 + 1), 0);
  for (size_t i = 0; i < entries.size(); ++i) {
    size_t at = hashes[i] % table.size();
    for (; table[at] != 0; at = at + 1 < table.size() ? at + 1 : 0) rt.step();
    table[at] = static_cast<uint32_t>(i + 1);
  }
}

void Dict::set(Runtime& rt, const Value& key, Value value) {
  const int below = std::max(key.depth(), value.depth());
  if (below >= kMaxValueDepth) raise(Fault::kLimit, "values nested deeper than {}", kMaxValueDepth);
  depth = std::max(depth, below + 1);
  const size_t h = hash(rt, key);
  const int64_t i = index_of(rt, key, h);
  if (i >= 0) {
    entries[static_cast<size_t>(i)].second = std::move(value);
    return;
  }
  if (entries.size() >= std::numeric_limits<uint32_t>::max() - 1)
    raise(Fault::kLimit, "dict too large");
  rt.pay(*this, 2 * sizeof(Value) + sizeof(size_t) + 4 * sizeof(uint32_t));
  entries.emplace_back(key, std::move(value));
  hashes.push_back(h);
  if (entries.size() <= kSmallDict) return;
  if (entries.size() * 2 > table.size()) return rebuild(rt);
  size_t at = h % table.size();
  while (table[at] != 0) at = at + 1 < table.size() ? at + 1 : 0;
  table[at] = static_cast<uint32_t>(entries.size());
}

}  // namespace planeloom::jinja
