// Filters over iterables.
#include <algorithm>
#include <functional>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

/// A generator that does its work one item at a time, on demand, as jinja2's do.
struct Mapped final : Iterator {
  using Step = std::function<bool(Runtime&, Value& item)>;  // changes the item; false drops it
  Mapped(Value v, std::function<Step()> p) : source(std::move(v)), prepare(std::move(p)) {}
  bool next(Runtime& rt, Value& out) override {
    const Nesting nesting(rt);
    if (!step) {
      if (!truthy(rt, source)) return false;
      step = prepare();
      items = iterate(rt, source);
    }
    while (items->next(rt, out))
      if (step(rt, out)) return true;
    return false;
  }
  Value source;
  std::function<Step()> prepare;
  Step step;
  Ref<Iterator> items;
};

/// A generator whose items are all computed when the first is asked for.
struct Deferred final : Iterator {
  using Compute = std::function<void(Runtime&, Items&)>;
  explicit Deferred(Compute c) : compute(std::move(c)) {}
  bool next(Runtime& rt, Value& out) override {
    const Nesting nesting(rt);
    if (!items) {
      Items computed(rt);
      compute(rt, computed);
      items = iterate(rt, iterator_over(rt, computed.take()));
    }
    return items->next(rt, out);
  }
  Compute compute;
  Ref<Iterator> items;
};

int depth_of(const Value& v, const Args& args) {
  int depth = v.depth();
  for (const Value& a : args.positional) depth = std::max(depth, a.depth());
  for (const auto& [key, a] : args.keywords) depth = std::max(depth, a.depth());
  return depth;
}

Value deferred(Runtime& rt, int depth, Deferred::Compute compute) {
  return Value(Kind::kIterator, rt.make<Deferred>(0, depth, std::move(compute)));
}

/// make_attrgetter: a dotted path, whole numbers in it being indices.
class Getter {
 public:
  Getter(Runtime& rt, const Value& attribute, bool lowercase = false, Value fallback = Value())
      : rt_(rt), lowercase_(lowercase), fallback_(std::move(fallback)) {
    if (attribute.is_missing() || attribute.is(Kind::kNone)) return;
    if (!attribute.is(Kind::kString)) {
      parts_.push_back(attribute);
      return;
    }
    const std::string& path = attribute.text();
    for (size_t at = 0; at <= path.size();) {
      const size_t end = std::min(path.find('.', at), path.size());
      const std::string part = path.substr(at, end - at);
      const bool number =
          !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
      int64_t index = 0;
      parts_.push_back(number && parse_int(part, 10, index) ? Value(index) : rt.string(part));
      at = end + 1;
    }
  }
  Value operator()(Value item) const {
    for (const Value& part : parts_) {
      item = get_item(rt_, item, part);
      if (item.is(Kind::kUndefined) && !fallback_.is(Kind::kNone)) item = fallback_;
    }
    if (!lowercase_ || !item.is(Kind::kString)) return item;
    rt_.step_bytes(item.text().size() * 8);
    return rt_.string(lower(item.text()));
  }

 private:
  Runtime& rt_;
  bool lowercase_;
  Value fallback_;
  std::vector<Value> parts_;
};

bool flag(Runtime& rt, const Bound& a, size_t i) { return a.has(i) && truthy(rt, a[i]); }

/// Stable, by key; `reverse` keeps equal items in order too.
template <class Key>
std::vector<Value> sorted(Runtime& rt, const std::vector<Value>& items, bool reverse, Key&& key) {
  const Reservation paid(rt, items.size() * 3 * sizeof(Value));
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) keyed.emplace_back(key(item), item);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? less(rt, b.first, a.first) : less(rt, a.first, b.first);
  });
  Items out(rt);
  for (auto& [k, item] : keyed) out.push(std::move(item));
  return out.take();
}

Value fallback_filter(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "default", {"default_value", "boolean"}, 0);
  const bool absent = v.is(Kind::kUndefined) || (flag(rt, a, 1) && !truthy(rt, v));
  return !absent ? v : a.has(0) ? a[0] : rt.string("");
}

Value join(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "join", {"d", "attribute"}, 0);
  const std::string separator = a.has(0) ? str(rt, a[0]) : "";
  const Getter get(rt, a[1]);
  Writer out(rt);
  bool first = true;
  for_each(rt, v, [&](const Value& item) {
    if (!first) out << separator;
    first = false;
    write_str(rt, out, get(item));
  });
  return rt.string(out.take());
}

Value first(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "first", {}, 0);
  Value item;
  return iterate(rt, v)->next(rt, item) ? item : rt.undefined("no first item, sequence was empty");
}

Value last(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "last", {}, 0);
  Value item;
  return iterate(rt, reversed(rt, v))->next(rt, item)
             ? item
             : rt.undefined("no last item, sequence was empty");
}

Value list(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "list", {}, 0);
  return rt.list(to_vector(rt, v));
}

Value items(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "items", {}, 0);
  return deferred(rt, v.depth() + 1, [v](Runtime& r, Items& out) {
    if (v.is(Kind::kUndefined)) return;
    if (!v.is(Kind::kDict)) raise(Fault::kType, "can only get item pairs from a mapping");
    for (const auto& [key, value] : v.as<Dict>().entries) out.push(r.tuple({key, value}));
  });
}

Value reverse(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "reverse", {}, 0);
  if (v.is(Kind::kString)) return slice(rt, v, Value(), Value(), Value(int64_t{-1}));
  if (!iterable(v)) raise(Fault::kTemplate, "argument must be iterable");
  if (!v.is(Kind::kIterator) && !v.is(Kind::kLoop)) return reversed(rt, v);
  std::vector<Value> all = to_vector(rt, v);
  std::reverse(all.begin(), all.end());
  return rt.list(std::move(all));
}

Value dictsort(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "dictsort", {"case_sensitive", "by", "reverse"}, 0);
  const std::string by = a.has(1) ? str(rt, a[1]) : "key";
  if (by != "key" && by != "value")
    raise(Fault::kTemplate, "you can only sort by either \"key\" or \"value\"");
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  if (!v.is(Kind::kDict)) raise(Fault::kType, "'{}' object has no attribute 'items'", type_name(v));
  Items pairs(rt);
  for (const auto& [key, value] : v.as<Dict>().entries) pairs.push(rt.tuple({key, value}));
  const Getter prepared(rt, Value(int64_t{by == "key" ? 0 : 1}), !flag(rt, a, 0));
  return rt.list(sorted(rt, pairs.take(), flag(rt, a, 2), prepared));
}

Value sort(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "sort", {"reverse", "case_sensitive", "attribute"}, 0);
  std::vector<Getter> getters;
  const bool lowercase = !flag(rt, a, 1);
  if (a.has(2) && a[2].is(Kind::kString)) {
    const std::string& paths = a[2].text();
    for (size_t at = 0; at <= paths.size();) {
      const size_t end = std::min(paths.find(',', at), paths.size());
      getters.emplace_back(rt, rt.string(paths.substr(at, end - at)), lowercase);
      at = end + 1;
    }
  } else {
    getters.emplace_back(rt, a[2], lowercase);
  }
  const auto key = [&](const Value& item) {
    Items parts(rt);
    for (const Getter& get : getters) parts.push(get(item));
    return rt.list(parts.take());
  };
  return rt.list(sorted(rt, to_vector(rt, v), flag(rt, a, 0), key));
}

Value unique(Runtime& rt, const Value& v, Args& args) {
  const int depth = depth_of(v, args);
  const Bound a(args, "unique", {"case_sensitive", "attribute"}, 0);
  const bool lowercase = !flag(rt, a, 0);
  return deferred(rt, depth, [v, lowercase, attribute = a[1]](Runtime& r, Items& out) {
    const Getter get(r, attribute, lowercase);
    const Ref<Dict> seen = r.dict();
    for_each(r, v, [&](const Value& item) {
      const Value key = get(item);
      if (seen->find(r, key)) return;
      seen->set(r, key, Value());
      out.push(item);
    });
  });
}

template <Op better>
Value extreme(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "min or max", {"case_sensitive", "attribute"}, 0);
  const Getter get(rt, a[1], !flag(rt, a, 0));
  Value best = Value::missing(), best_key;
  for_each(rt, v, [&](const Value& item) {
    Value key = get(item);
    if (!best.is_missing() && !compare(rt, better, key, best_key)) return;
    best = item;
    best_key = std::move(key);
  });
  return best.is_missing() ? rt.undefined("no aggregated item, sequence was empty") : best;
}

Value sum(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "sum", {"attribute", "start"}, 0);
  const Getter get(rt, a[0]);
  Value total = a.has(1) ? a[1] : Value(int64_t{0});
  if (total.is(Kind::kString)) raise(Fault::kType, "sum() can't sum strings");
  for_each(rt, v, [&](const Value& item) { total = binary(rt, Op::kAdd, total, get(item)); });
  return total;
}

Value batch(Runtime& rt, const Value& v, Args& args) {
  const int depth = depth_of(v, args) + 1;
  const Bound a(args, "batch", {"linecount", "fill_with"}, 1);
  const Value& count = a[0];
  const Value fill = a.has(1) ? a[1] : Value();
  return deferred(rt, depth, [v, count, fill](Runtime& r, Items& out) {
    std::unique_ptr<Items> line = std::make_unique<Items>(r);
    for_each(r, v, [&](const Value& item) {
      if (equal(r, Value(static_cast<int64_t>(line->size())), count)) {
        out.push(r.list(line->take()));
        line = std::make_unique<Items>(r);
      }
      line->push(item);
    });
    if (line->size() == 0) return;
    if (!fill.is(Kind::kNone))
      for (int64_t n = static_cast<int64_t>(line->size()), wanted = need_int(count, "linecount");
           n < wanted; ++n)
        line->push(fill);
    out.push(r.list(line->take()));
  });
}

Value slices(Runtime& rt, const Value& v, Args& args) {
  const int depth = depth_of(v, args) + 1;
  const Bound a(args, "slice", {"slices", "fill_with"}, 1);
  const Value& count = a[0];
  const Value fill = a.has(1) ? a[1] : Value();
  return deferred(rt, depth, [v, count, fill](Runtime& r, Items& out) {
    const std::vector<Value> all = to_vector(r, v);
    const int64_t parts = need_int(count, "slices"), size = static_cast<int64_t>(all.size());
    if (parts == 0) raise(Fault::kTemplate, "division by zero");
    for (int64_t n = 0, at = 0; n < parts; ++n) {
      Items part(r);
      const bool extra = n < size % parts;
      for (int64_t i = 0; i < size / parts + extra; ++i) part.push(all[static_cast<size_t>(at++)]);
      if (!fill.is(Kind::kNone) && !extra) part.push(fill);
      out.push(r.list(part.take()));
    }
  });
}

Value groupby(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "groupby", {"attribute", "default", "case_sensitive"}, 1);
  const Value fallback = a.has(1) ? a[1] : Value();
  const Getter get(rt, a[0], !flag(rt, a, 2), fallback), shown(rt, a[0], false, fallback);
  const std::vector<Value> all = sorted(rt, to_vector(rt, v), false, get);
  Items groups(rt);
  for (size_t i = 0; i < all.size();) {
    const Value key = get(all[i]), label = shown(all[i]);
    Items members(rt);
    for (; i < all.size() && (members.size() == 0 || equal(rt, get(all[i]), key)); ++i)
      members.push(all[i]);
    Value group = rt.tuple({label, rt.list(members.take())});
    group.as<Sequence>().group = true;
    groups.push(std::move(group));
  }
  return rt.list(groups.take());
}

Value map(Runtime& rt, const Value& v, Args& args) {
  const int depth = depth_of(v, args);
  auto prepare = [&rt, args]() mutable -> Mapped::Step {
    const auto attribute = std::find_if(args.keywords.begin(), args.keywords.end(),
                                        [](const auto& k) { return k.first == "attribute"; });
    if (args.positional.empty() && attribute != args.keywords.end()) {
      const Bound a(args, "map", {"attribute", "default"}, 1);
      return [get = Getter(rt, a[0], false, a.has(1) ? a[1] : Value())](Runtime&, Value& item) {
        return item = get(item), true;
      };
    }
    if (args.positional.empty()) raise(Fault::kTemplate, "map requires a filter argument");
    const std::string name = str(rt, args.positional[0]);
    const Filter filter = find_filter(name);
    if (!filter) raise(Fault::kTemplate, "no filter named '{}'", name);
    args.positional.erase(args.positional.begin());
    return [filter, args](Runtime& r, Value& item) {
      Args copy = args;
      item = filter(r, item, copy);
      return true;
    };
  };
  return Value(Kind::kIterator, rt.make<Mapped>(0, depth, v, std::move(prepare)));
}

template <bool keep, bool by_attribute>
Value select(Runtime& rt, const Value& v, Args& args) {
  const int depth = depth_of(v, args);
  auto prepare = [&rt, args]() mutable -> Mapped::Step {
    Value attribute = Value::missing();
    if (by_attribute) {
      if (args.positional.empty()) raise(Fault::kTemplate, "missing parameter for attribute name");
      attribute = args.positional[0];
      args.positional.erase(args.positional.begin());
    }
    const Getter get(rt, attribute);
    if (args.positional.empty())
      return [get](Runtime& r, Value& item) { return truthy(r, get(item)) == keep; };
    const std::string name = str(rt, args.positional[0]);
    const Test test = find_test(name);
    args.positional.erase(args.positional.begin());
    return [get, name, test, args](Runtime& r, Value& item) {
      const Value subject = get(item);
      if (!test) raise(Fault::kTemplate, "no test named '{}'", name);
      Args copy = args;
      return test(r, subject, copy) == keep;
    };
  };
  return Value(Kind::kIterator, rt.make<Mapped>(0, depth, v, std::move(prepare)));
}

Value attribute_filter(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "attr", {"name"}, 1);
  return attribute_only(rt, v, need_string(a[0], "attribute name"));
}

struct Entry {
  std::string_view name;
  Filter filter;
};

constexpr Entry kFilters[] = {
    {"default", fallback_filter},
    {"d", fallback_filter},
    {"join", join},
    {"first", first},
    {"last", last},
    {"list", list},
    {"items", items},
    {"reverse", reverse},
    {"dictsort", dictsort},
    {"sort", sort},
    {"unique", unique},
    {"min", extreme<Op::kLt>},
    {"max", extreme<Op::kGt>},
    {"sum", sum},
    {"batch", batch},
    {"slice", slices},
    {"groupby", groupby},
    {"map", map},
    {"select", select<true, false>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<false, true>},
    {"attr", attribute_filter},
};

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  const auto it = std::find_if(std::begin(kFilters), std::end(kFilters),
                               [&](const Entry& e) { return e.name == name; });
  return it == std::end(kFilters) ? nullptr : it->filter;
}

}  // namespace planeloom::jinja
