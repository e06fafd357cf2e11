#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/loop.h"

namespace planeloom::jinja {
namespace {

/// Sets a variable for as long as this lives, failures included.
template <class T>
class Swapped {
 public:
  Swapped(T& place, T value) : place_(place), old_(std::exchange(place, value)) {}
  ~Swapped() { place_ = old_; }
  Swapped(const Swapped&) = delete;
  Swapped& operator=(const Swapped&) = delete;

 private:
  T& place_;
  T old_;
};

}  // namespace

/// The items of a loop that pass its test; the test runs when an item is asked for, as in jinja2.
struct FilteredLoop final : Iterator {
  FilteredLoop(Interpreter& i, const Stmt& s, Value v, Ref<Activation> a)
      : interpreter(i), stmt(s), items(std::move(v)), locals(std::move(a)) {}
  bool next(Runtime& rt, Value& out) override {
    const Nesting nesting(rt);
    const Swapped<Activation*> here(interpreter.locals_, locals.get());
    if (!source) {
      source = iterate(rt, items);
      interpreter.enter(stmt.loop->test_loads);
    }
    for (Value item; source->next(rt, item);) {
      interpreter.assign(*stmt.loop->test_target, item);
      if (!truthy(rt, interpreter.eval(*stmt.loop->test))) continue;
      out = interpreter.eval(*stmt.loop->test_target);  // a tuple target comes out as a new tuple
      return true;
    }
    return false;
  }
  Interpreter& interpreter;
  const Stmt& stmt;
  Value items;
  Ref<Activation> locals;
  Ref<Iterator> source;
};

template <class F>
std::string Interpreter::captured(F&& body) {
  Writer text(rt_);
  const Swapped<Writer*> here(out_, &text);
  body();
  return text.take();
}

std::string Interpreter::run(const Program& program) {
  const Ref<Activation> root = activate(program.function, nullptr);
  const Swapped<Activation*> here(locals_, root.get());
  return captured([&] {
    enter(program.loads);
    block(program.body);
  });
}

Ref<Activation> Interpreter::activate(const FunctionInfo& info, Activation* outer) {
  auto a =
      rt_.make<Activation>(static_cast<size_t>(info.slots) * sizeof(Value), -1, info.slots, outer);
  if (info.captured) rt_.keep(a);
  return a;
}

Value Interpreter::lookup(const std::string& name) {
  if (const Value* v = context_->find(rt_, name)) return *v;
  return find_global(rt_, name);
}

void Interpreter::enter(const std::vector<Load>& loads) {
  for (const Load& load : loads) {
    Value v = Value::missing();
    if (load.from == Load::kContext) v = lookup(load.name);
    if (load.from == Load::kOuter) v = variable(load.outer);
    locals_->values[static_cast<size_t>(load.index)] = std::move(v);
  }
}

Interpreter::Flow Interpreter::block(const Block& body) {
  for (const auto& stmt : body) {
    try {
      if (const Flow flow = statement(*stmt); flow != Flow::kNormal) return flow;
    } catch (Raise& failure) {
      if (failure.line == 0) failure.line = stmt->line;
      throw;
    }
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::statement(const Stmt& s) {
  const Nesting nesting(rt_);
  rt_.step();
  switch (s.kind) {
    case StmtKind::kOutput:
      output(s);
      break;
    case StmtKind::kIf:
      for (size_t i = 0; i < s.exprs.size(); ++i)
        if (truthy(rt_, eval(*s.exprs[i]))) return block(s.blocks[i]);
      return block(s.otherwise);
    case StmtKind::kFor:
      return loop(s);
    case StmtKind::kSet:
      check_namespaces(*s.targets[0]);
      assign(*s.targets[0], eval(*s.exprs[0]));
      break;
    case StmtKind::kSetBlock:
      return set_block(s);
    case StmtKind::kFilterBlock:
      return filter_block(s);
    case StmtKind::kWith:
      return with(s);
    case StmtKind::kMacro:
      define_macro(s);
      break;
    case StmtKind::kCallBlock:
      call_block(s);
      break;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

void Interpreter::output(const Stmt& s) {
  for (const ExprPtr& e : s.exprs) write_str(rt_, *out_, eval(*e));
}

/// What call and filter blocks produce must be text; jinja2 joins it without str().
void Interpreter::emit_string(const Value& v) { *out_ << need_string(v, "the result of a block"); }

void Interpreter::check_namespaces(const Expr& target) {
  if (target.kind == ExprKind::kNamespaceRef && !variable(target.slot).is(Kind::kNamespace))
    raise(Fault::kTemplate, "cannot assign attribute on non-namespace object");
  for (const ExprPtr& item : target.items) check_namespaces(*item);
}

void Interpreter::assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::kName) {
    variable(target.slot) = value;
  } else if (target.kind == ExprKind::kNamespaceRef) {
    const Value space = variable(target.slot);
    if (!space.is(Kind::kNamespace))
      raise(Fault::kTemplate, "cannot assign attribute on non-namespace object");
    if (target.attribute[0] == '_')
      raise(Fault::kSecurity, "a namespace stores no '{}'", target.attribute);
    space.as<Namespace>().attributes->set(rt_, rt_.string(target.attribute), value);
  } else {
    std::vector<Value> parts = to_vector(rt_, value);
    if (parts.size() != target.items.size())
      raise(Fault::kValue, "cannot unpack {} values into {}", parts.size(), target.items.size());
    for (size_t i = 0; i < parts.size(); ++i) assign(*target.items[i], parts[i]);
  }
}

Interpreter::Flow Interpreter::loop(const Stmt& s) {
  Value items = eval(*s.exprs[0]);
  if (!s.loop->recursive) return iterate_loop(s, items, Value::missing(), 0);
  *out_ << recursive_loop(s, locals_, items, 0).text();
  return Flow::kNormal;
}

Value Interpreter::recursive_loop(const Stmt& s, Activation* outer, const Value& items,
                                  int64_t depth) {
  const Nesting nesting(rt_);
  const Ref<Activation> locals = activate(s.loop->loop_function, outer);
  const Swapped<Activation*> here(locals_, locals.get());
  return rt_.string(captured([&] { iterate_loop(s, items, Value(), depth); }));
}

/// `recursion` is missing for an ordinary loop.
Interpreter::Flow Interpreter::iterate_loop(const Stmt& s, const Value& given,
                                            const Value& recursion, int64_t depth) {
  const ForInfo& info = *s.loop;
  Activation* const outer = recursion.is_missing() ? locals_ : locals_->outer;
  Value items = given;
  if (info.test) {
    Ref<Activation> test_locals = activate(info.test_function, outer);
    if (!iterable(items)) raise(Fault::kType, "'{}' object is not iterable", type_name(items));
    items = Value(Kind::kIterator, rt_.make<FilteredLoop>(0, items.depth(), *this, s, items,
                                                          std::move(test_locals)));
  }
  Ref<Iterator> source = iterate(rt_, items);
  Ref<Loop> state;
  if (info.extended) {
    state = rt_.make<Loop>(0, items.depth());
    state->iterable = items;
    state->source = source;
    state->depth0 = depth;
    if (!recursion.is_missing())
      state->recurse = [this, &s, outer](const Value& inner, int64_t d) {
        return recursive_loop(s, outer, inner, d);
      };
    variable({0, info.loop_slot}) = Value(Kind::kLoop, state);
  }
  bool completed = false;  // one body ran to its end: without that, the else runs
  Value item;
  while (state ? state->next(rt_, item) : source->next(rt_, item))
    if (loop_body(s, item, completed) == Flow::kBreak) break;
  if (state) {
    variable({0, info.loop_slot}) = Value::missing();
    if (state.use_count() > 1) rt_.keep(state);  // it went somewhere, perhaps into a cycle
  }
  if (completed || s.otherwise.empty()) return Flow::kNormal;
  enter(info.else_loads);
  return block(s.otherwise);
}

Interpreter::Flow Interpreter::loop_body(const Stmt& s, const Value& item, bool& completed) {
  rt_.step();
  assign(*s.targets[0], item);
  enter(s.loop->body_loads);
  const Flow flow = block(s.body);
  if (flow == Flow::kNormal) completed = true;
  return flow;
}

Interpreter::Flow Interpreter::set_block(const Stmt& s) {
  enter(s.loads);
  Flow flow = Flow::kNormal;
  const Value text = rt_.string(captured([&] { flow = block(s.body); }));
  if (flow != Flow::kNormal) return flow;  // the text is lost with the loop's iteration
  assign(*s.targets[0], s.exprs[0] ? filter(*s.exprs[0], &text) : text);
  return flow;
}

Interpreter::Flow Interpreter::filter_block(const Stmt& s) {
  enter(s.loads);
  Flow flow = Flow::kNormal;
  const Value text = rt_.string(captured([&] { flow = block(s.body); }));
  if (flow != Flow::kNormal) return flow;
  emit_string(filter(*s.exprs[0], &text));
  return flow;
}

Interpreter::Flow Interpreter::with(const Stmt& s) {
  enter(s.loads);
  for (size_t i = 0; i < s.targets.size(); ++i) assign(*s.targets[i], eval(*s.exprs[i]));
  return block(s.body);
}

void Interpreter::define_macro(const Stmt& s) {
  variable({0, s.slot}) =
      Value(Kind::kMacro, rt_.make<Macro>(0, 0, s.macro.get(), &s.body, locals_));
}

void Interpreter::call_block(const Stmt& s) {
  const Value caller(Kind::kMacro, rt_.make<Macro>(0, 0, s.macro.get(), &s.body, locals_));
  if (s.exprs[0]) return emit_string(call_expression(*s.exprs[0], &caller));
  Args none;
  emit_string(call(caller, none));
}

Value Interpreter::call_macro(const Macro& m, Args& args) {
  const Nesting nesting(rt_);
  const Ref<Activation> locals = activate(m.info->function, m.closure);
  bind_parameters(m, args, *locals);
  const Swapped<Activation*> here(locals_, locals.get());
  return rt_.string(captured([&] {
    enter(m.info->loads);
    for (const Parameter& p : m.info->parameters) {
      Value& v = variable({0, p.slot});
      if (!v.is_missing()) continue;
      Value fallback = p.fallback
                           ? eval(*p.fallback)
                           : rt_.undefined(fmt::format("parameter '{}' was not provided", p.name));
      variable({0, p.slot}) = std::move(fallback);
    }
    block(*m.body);
  }));
}

}  // namespace planeloom::jinja
