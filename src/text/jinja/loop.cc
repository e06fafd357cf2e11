#include "text/jinja/loop.h"

namespace planeloom::jinja {
namespace {

struct LoopSteps final : Iterator {
  explicit LoopSteps(Value l) : loop(std::move(l)) {}
  bool next(Runtime& rt, Value& out) override {
    Value item;
    if (!loop.as<Loop>().next(rt, item)) return false;
    out = rt.tuple({item, loop});
    return true;
  }
  Value loop;
};

Value next_in_cycle(Runtime&, const Value& self, Args& args) {
  if (!args.keywords.empty()) raise(Fault::kType, "cycle takes no keyword arguments");
  if (args.positional.empty()) raise(Fault::kType, "no items for cycling given");
  const int64_t n = static_cast<int64_t>(args.positional.size());
  const int64_t i = self.as<Loop>().index0 % n;
  return args.positional[static_cast<size_t>(i < 0 ? i + n : i)];
}

Value has_changed(Runtime& rt, const Value& self, Args& args) {
  if (!args.keywords.empty()) raise(Fault::kType, "changed takes no keyword arguments");
  Loop& loop = self.as<Loop>();
  Value now = rt.tuple(std::move(args.positional));
  if (!loop.changed.is_missing() && equal(rt, loop.changed, now)) return Value(false);
  loop.changed = std::move(now);
  return Value(true);
}

}  // namespace

bool Loop::next(Runtime& rt, Value& out) {
  if (!after.is_missing())
    out = std::exchange(after, Value::missing());
  else if (!source->next(rt, out))
    return false;
  ++index0;
  before = std::exchange(current, out);
  return true;
}

Value Loop::peek(Runtime& rt) {
  if (after.is_missing() && !source->next(rt, after)) after = Value::missing();
  return after;
}

int64_t Loop::count(Runtime& rt) {
  if (counted) return *counted;
  if (has_length(iterable)) return *(counted = jinja::length(rt, iterable));
  std::vector<Value> rest;
  {
    Items items(rt);
    for (Value v; source->next(rt, v);) items.push(v);
    rest = items.take();
  }
  counted = static_cast<int64_t>(rest.size()) + index0 + 1 + (after.is_missing() ? 0 : 1);
  source = iterate(rt, iterator_over(rt, std::move(rest)));
  return *counted;
}

Ref<Iterator> Loop::steps(Runtime& rt, const Value& self) {
  return rt.make<LoopSteps>(0, self.depth(), self);
}

Value Loop::attribute(Runtime& rt, const Value& self, std::string_view name) {
  if (name == "index") return Value(index0 + 1);
  if (name == "index0") return Value(index0);
  if (name == "first") return Value(index0 == 0);
  if (name == "last") return Value(peek(rt).is_missing());
  if (name == "length") return Value(count(rt));
  if (name == "revindex") return Value(count(rt) - index0);
  if (name == "revindex0") return Value(count(rt) - index0 - 1);
  if (name == "depth") return Value(depth0 + 1);
  if (name == "depth0") return Value(depth0);
  if (name == "previtem") {
    if (index0 == 0) return rt.undefined("there is no previous item");
    return before.is_missing() ? Value() : before;
  }
  if (name == "nextitem") {
    Value next = peek(rt);
    return next.is_missing() ? rt.undefined("there is no next item") : next;
  }
  if (name == "cycle")
    return Value(Kind::kMethod, rt.make<Method>(0, self.depth(), self, "cycle", next_in_cycle));
  if (name == "changed")
    return Value(Kind::kMethod, rt.make<Method>(0, self.depth(), self, "changed", has_changed));
  return Value::missing();
}

void Loop::clear() {
  iterable = after = current = before = changed = Value();
  source.reset();
  recurse = nullptr;
}

}  // namespace planeloom::jinja
