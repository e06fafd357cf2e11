// Runs a resolved program: a walk over the tree.
#pragma once
#include <memory>
#include <string>

#include "text/jinja/ast.h"
#include "text/jinja/operators.h"

namespace planeloom::jinja {

/// The variables of one running function (see scope.cc).
struct Activation : Object {
  Activation(int slots, Activation* o)
      : outer(o), values(static_cast<size_t>(slots), Value::missing()) {}
  void clear() override { values.clear(); }
  Activation* outer;  // kept by the runtime whenever something may outlive it
  std::vector<Value> values;
};

struct Macro : Object {
  Macro(const MacroInfo* i, const Block* b, Activation* c) : info(i), body(b), closure(c) {}
  const MacroInfo* info;
  const Block* body;
  Activation* closure;
};

class Interpreter {
 public:
  Interpreter(Runtime& rt, Ref<Dict> context) : rt_(rt), context_(std::move(context)) {}
  std::string run(const Program& program);

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  friend struct FilteredLoop;

  // statements (execute.cc)
  Flow block(const Block& body);
  Flow statement(const Stmt& s);
  void output(const Stmt& s);
  Flow loop(const Stmt& s);
  Flow iterate_loop(const Stmt& s, const Value& items, const Value& recursion, int64_t depth);
  Flow loop_body(const Stmt& s, const Value& item, bool& completed);
  Value recursive_loop(const Stmt& s, Activation* outer, const Value& items, int64_t depth);
  Flow set_block(const Stmt& s);
  Flow filter_block(const Stmt& s);
  Flow with(const Stmt& s);
  void call_block(const Stmt& s);
  void define_macro(const Stmt& s);
  void assign(const Expr& target, const Value& value);
  void check_namespaces(const Expr& target);
  void enter(const std::vector<Load>& loads);
  void emit_string(const Value& v);
  Value lookup(const std::string& name);
  Value& variable(Slot slot);
  Ref<Activation> activate(const FunctionInfo& info, Activation* outer);

  // expressions (evaluate.cc)
  Value eval(const Expr& e);
  Value eval_kind(const Expr& e);
  Value name(const Expr& e);
  Value logical(const Expr& e);
  Value comparison(const Expr& e);
  Value concat(const Expr& e);
  Value sequence(const Expr& e);
  Value dict(const Expr& e);
  Value filter(const Expr& e, const Value* subject);
  Value test(const Expr& e);
  Value call_expression(const Expr& e, const Value* caller);
  Args arguments(const Arguments& a);
  Value call(const Value& callee, Args& args);
  Value call_macro(const Macro& m, Args& args);
  void bind_parameters(const Macro& m, Args& args, Activation& locals);

  /// Runs body with output going to a text of its own.
  template <class F>
  std::string captured(F&& body);

  Runtime& rt_;
  Ref<Dict> context_;
  Activation* locals_ = nullptr;
  Writer* out_ = nullptr;
};

}  // namespace planeloom::jinja
