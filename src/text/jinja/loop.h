// The `loop` variable.
#pragma once
#include <functional>
#include <optional>

#include "text/jinja/operators.h"

namespace planeloom::jinja {

/// jinja2's LoopContext: it looks one item ahead only when asked to.
struct Loop : Object {
  bool next(Runtime& rt, Value& out);
  Value peek(Runtime& rt);
  int64_t count(Runtime& rt);  // loop.length; reads a generator to its end
  Value attribute(Runtime& rt, const Value& self, std::string_view name);
  /// Iterating over the loop object itself goes on with its iteration.
  Ref<Iterator> steps(Runtime& rt, const Value& self);
  void clear() override;

  Value iterable;
  Ref<Iterator> source;
  int64_t index0 = -1, depth0 = 0;
  std::optional<int64_t> counted;
  Value after = Value::missing(), current = Value::missing(), before = Value::missing();
  Value changed = Value::missing();
  std::function<Value(const Value& iterable, int64_t depth)> recurse;  // of recursive loops
};

}  // namespace planeloom::jinja
