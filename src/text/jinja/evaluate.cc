#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/loop.h"

namespace planeloom::jinja {

/// Every failure gets the line of the innermost expression that it left.
Value Interpreter::eval(const Expr& e) {
  const Nesting nesting(rt_);
  rt_.step();
  try {
    return eval_kind(e);
  } catch (Raise& failure) {
    if (failure.line == 0) failure.line = e.line;
    throw;
  }
}

Value Interpreter::eval_kind(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kConst:
      return e.value;
    case ExprKind::kName:
    case ExprKind::kNamespaceRef:
      return name(e);
    case ExprKind::kTuple:
    case ExprKind::kList:
      return sequence(e);
    case ExprKind::kDict:
      return dict(e);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return logical(e);
    case ExprKind::kConcat:
      return concat(e);
    case ExprKind::kUnary:
      return unary(rt_, e.op, eval(*e.items[0]));
    case ExprKind::kBinary: {
      const Value left = eval(*e.items[0]);
      return binary(rt_, e.op, left, eval(*e.items[1]));
    }
    case ExprKind::kCompare:
      return comparison(e);
    case ExprKind::kConditional:
      if (truthy(rt_, eval(*e.items[0]))) return eval(*e.items[1]);
      if (e.items[2]) return eval(*e.items[2]);
      return rt_.undefined("the inline if-expression was false and has no else");
    case ExprKind::kAttribute:
      return get_attribute(rt_, eval(*e.items[0]), e.name);
    case ExprKind::kItem: {
      const Value container = eval(*e.items[0]);
      return get_item(rt_, container, eval(*e.items[1]));
    }
    case ExprKind::kSlice: {
      const Value container = eval(*e.items[0]);
      Value parts[3];
      for (size_t i = 0; i < 3; ++i)
        if (e.items[i + 1]) parts[i] = eval(*e.items[i + 1]);
      return slice(rt_, container, parts[0], parts[1], parts[2]);
    }
    case ExprKind::kCall:
      return call_expression(e, nullptr);
    case ExprKind::kFilter:
      return filter(e, nullptr);
    case ExprKind::kTest:
      return test(e);
  }
  return Value();
}

Value& Interpreter::variable(Slot slot) {
  Activation* a = locals_;
  for (int i = 0; i < slot.hops; ++i) a = a->outer;
  return a->values[static_cast<size_t>(slot.index)];
}

Value Interpreter::name(const Expr& e) {
  const Value& v = variable(e.slot);
  return v.is_missing() ? rt_.undefined_name(e.name) : v;
}

Value Interpreter::sequence(const Expr& e) {
  Items items(rt_);
  for (const ExprPtr& item : e.items) items.push(eval(*item));
  return e.kind == ExprKind::kList ? rt_.list(items.take()) : rt_.tuple(items.take());
}

Value Interpreter::dict(const Expr& e) {
  const Ref<Dict> d = rt_.dict();
  for (size_t i = 0; i < e.items.size(); i += 2) {
    const Value key = eval(*e.items[i]);
    d->set(rt_, key, eval(*e.items[i + 1]));
  }
  return Value(Kind::kDict, d);
}

Value Interpreter::logical(const Expr& e) {
  const bool stop = e.kind == ExprKind::kOr;
  for (size_t i = 0;; ++i) {
    Value v = eval(*e.items[i]);
    if (i + 1 == e.items.size() || truthy(rt_, v) == stop) return v;
  }
}

Value Interpreter::comparison(const Expr& e) {
  Value left = eval(*e.items[0]);
  for (size_t i = 0;; ++i) {
    Value right = eval(*e.items[i + 1]);
    const Op op = e.ops[i];
    const bool holds = op == Op::kIn      ? contains(rt_, right, left)
                       : op == Op::kNotIn ? !contains(rt_, right, left)
                                          : compare(rt_, op, left, right);
    if (!holds || i + 1 == e.ops.size()) return Value(holds);
    left = std::move(right);
  }
}

Value Interpreter::concat(const Expr& e) {
  Items parts(rt_);
  for (const ExprPtr& item : e.items) parts.push(eval(*item));
  Writer out(rt_);
  for (const Value& part : parts.take()) write_str(rt_, out, part);
  return rt_.string(out.take());
}

/// With a subject given, the filter of a filter block or of a block set.
Value Interpreter::filter(const Expr& e, const Value* subject) {
  const Filter f = find_filter(e.name);
  if (!f) raise(Fault::kTemplate, "no filter named '{}'", e.name);
  const Value input =
      e.items[0] ? (e.items[0]->kind == ExprKind::kFilter && subject ? filter(*e.items[0], subject)
                                                                     : eval(*e.items[0]))
                 : *subject;
  Args args = arguments(*e.arguments);
  return f(rt_, input, args);
}

Value Interpreter::test(const Expr& e) {
  const Test t = find_test(e.name);
  if (!t) raise(Fault::kTemplate, "no test named '{}'", e.name);
  const Value subject = eval(*e.items[0]);
  Args args = arguments(*e.arguments);
  return Value(t(rt_, subject, args));
}

Args Interpreter::arguments(const Arguments& a) {
  Args args;
  Items positional(rt_);
  for (const ExprPtr& e : a.positional) positional.push(eval(*e));
  if (a.spread) for_each(rt_, eval(*a.spread), [&](Value& v) { positional.push(v); });
  args.positional = positional.take();
  for (const auto& [key, e] : a.keywords) args.keywords.emplace_back(key, eval(*e));
  if (!a.spread_keywords) return args;
  const Value mapping = eval(*a.spread_keywords);
  if (!mapping.is(Kind::kDict))
    raise(Fault::kType, "argument after ** must be a mapping, not {}", type_name(mapping));
  for (const auto& [key, value] : mapping.as<Dict>().entries) {
    rt_.step(args.keywords.size() + 1);
    const std::string& name = need_string(key, "a keyword");
    for (const auto& known : args.keywords)
      if (known.first == name) raise(Fault::kType, "two values for keyword argument '{}'", name);
    args.keywords.emplace_back(name, value);
  }
  return args;
}

Value Interpreter::call_expression(const Expr& e, const Value* caller) {
  const Value callee = eval(*e.items[0]);
  Args args = arguments(*e.arguments);
  if (caller) {
    for (const auto& known : args.keywords)
      if (known.first == "caller") raise(Fault::kType, "two values for keyword argument 'caller'");
    args.keywords.emplace_back("caller", *caller);
  }
  return call(callee, args);
}

Value Interpreter::call(const Value& callee, Args& args) {
  switch (callee.kind()) {
    case Kind::kUndefined:
      raise_undefined(callee);
    case Kind::kMacro:
      return call_macro(callee.as<Macro>(), args);
    case Kind::kFunction:
      return callee.as<Function>().body(rt_, args);
    case Kind::kMethod: {
      const Method& m = callee.as<Method>();
      return m.body(rt_, m.self, args);
    }
    case Kind::kLoop: {
      const Bound bound(args, "loop", {"iterable"}, 1);
      const Loop& loop = callee.as<Loop>();
      if (!loop.recurse) raise(Fault::kType, "the loop must be marked 'recursive' to be called");
      return loop.recurse(bound[0], loop.depth0 + 1);
    }
    case Kind::kJoiner: {
      const Bound bound(args, "joiner", {}, 0);
      Joiner& j = callee.as<Joiner>();
      return rt_.string(std::exchange(j.used, true) ? j.separator : "");
    }
    default:
      raise(Fault::kType, "'{}' object is not callable", type_name(callee));
  }
}

/// jinja2's Macro.__call__: positional arguments, then keywords, then what the body asks for.
void Interpreter::bind_parameters(const Macro& m, Args& args, Activation& locals) {
  const auto& parameters = m.info->parameters;
  const auto set = [&](int slot, Value v) {
    locals.values[static_cast<size_t>(slot)] = std::move(v);
  };
  const auto pop = [&](std::string_view name) {
    const auto it = std::find_if(args.keywords.begin(), args.keywords.end(),
                                 [&](auto& k) { return k.first == name; });
    if (it == args.keywords.end()) return Value::missing();
    Value v = std::move(it->second);
    args.keywords.erase(it);
    return v;
  };
  const size_t given = std::min(args.positional.size(), parameters.size());
  bool found_caller = given == parameters.size() && m.info->explicit_caller;
  for (size_t i = 0; i < parameters.size(); ++i) {
    set(parameters[i].slot, i < given ? args.positional[i] : pop(parameters[i].name));
    if (i >= given && parameters[i].name == "caller") found_caller = true;
  }
  if (m.info->accesses_caller && !found_caller) {
    Value caller = pop("caller");
    if (caller.is_missing() || caller.is(Kind::kNone)) caller = rt_.undefined("no caller defined");
    // With an explicit caller parameter given by position, Python passes one argument too many.
    if (m.info->caller < 0) raise(Fault::kType, "macro got two values for 'caller'");
    set(m.info->caller, std::move(caller));
  }
  if (m.info->kwargs >= 0) {
    const Ref<Dict> rest = rt_.dict();
    for (auto& [key, value] : args.keywords) rest->set(rt_, rt_.string(key), value);
    set(m.info->kwargs, Value(Kind::kDict, rest));
  } else if (!args.keywords.empty()) {
    raise(Fault::kType, "macro '{}' takes no keyword argument '{}'", m.info->name,
          args.keywords[0].first);
  }
  std::vector<Value> extra(args.positional.begin() + static_cast<long>(given),
                           args.positional.end());
  if (m.info->varargs >= 0)
    set(m.info->varargs, rt_.tuple(std::move(extra)));
  else if (!extra.empty())
    raise(Fault::kType, "macro '{}' takes not more than {} argument(s)", m.info->name,
          parameters.size());
}

}  // namespace planeloom::jinja
