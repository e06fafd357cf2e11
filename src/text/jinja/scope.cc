// jinja2 compiles a template to Python functions: the root, each macro and call block, each
// recursive loop, each loop filter. A scope (loop body, with, set block, ...) keeps its names as
// variables "l_<level>_<name>" of the function that it is in. A name found in an outer scope is
// read from there, unless this scope stores it too: then it starts as a copy. That is what is
// rebuilt here.
#include "text/jinja/scope.h"

#include <algorithm>
#include <map>
#include <set>

#include "text/jinja/builtins.h"
#include "text/jinja/limits.h"
#include "text/jinja/runtime.h"

namespace planeloom::jinja {
namespace {

constexpr size_t kMaxNameCopies =
    4'000'000;  // an if copies the names of its scope: bounds the time

struct Function {
  Function* outer = nullptr;
  FunctionInfo* info = nullptr;
  std::map<std::pair<int, std::string>, int> slots;  // by level and name

  int slot(int level, const std::string& name) {
    const auto [it, added] = slots.try_emplace({level, name}, info->slots);
    if (added) ++info->slots;
    return it->second;
  }
};

struct Scope {
  Scope(Scope* p, Function* f) : parent(p), function(f), level(p ? p->level + 1 : 0) {}

  enum class How { kParameter, kContext, kOuter, kUnbound };
  Scope* parent;
  Function* function;
  int level;
  std::map<std::string, How> names;
  std::set<std::string> stores;

  const Scope* find(const std::string& name) const {
    for (const Scope* s = this; s; s = s->parent)
      if (s->names.count(name)) return s;
    return nullptr;
  }
  bool in_parent(const std::string& name) const { return parent && parent->find(name); }
  void load(const std::string& name) {
    if (!find(name)) names[name] = How::kContext;
  }
  void store(const std::string& name) {
    stores.insert(name);
    if (!names.count(name)) names[name] = in_parent(name) ? How::kOuter : How::kUnbound;
  }
  void parameter(const std::string& name) {
    stores.insert(name);
    names[name] = How::kParameter;
  }
  /// A name that only some branches of an if store may also keep what it had before.
  void merge(const std::vector<Scope>& branches) {
    std::set<std::string> stored;
    for (const Scope& b : branches) stored.insert(b.stores.begin(), b.stores.end());
    for (const std::string& name : stores) stored.erase(name);
    for (const Scope& b : branches) {
      for (const auto& [name, how] : b.names) names[name] = how;
      stores.insert(b.stores.begin(), b.stores.end());
    }
    for (const std::string& name : stored)
      names[name] = in_parent(name) ? How::kOuter : How::kContext;
  }
};

template <class F>
void for_each_child(const Expr& e, F&& f) {
  for (const ExprPtr& item : e.items)
    if (item) f(*item);
  if (!e.arguments) return;
  for (const ExprPtr& item : e.arguments->positional) f(*item);
  for (const auto& [key, item] : e.arguments->keywords) f(*item);
  if (e.arguments->spread) f(*e.arguments->spread);
  if (e.arguments->spread_keywords) f(*e.arguments->spread_keywords);
}

/// Which names a scope loads and stores, nested scopes left out: jinja2's FrameSymbolVisitor.
class Survey {
 public:
  Survey(Scope& scope, size_t& work) : scope_(&scope), work_(work) {}

  void expression(const ExprPtr& e) {
    if (e) loads(*e);
  }
  void parameters(const Expr& e) {
    if (e.kind == ExprKind::kName) scope_->parameter(e.name);
    for (const ExprPtr& item : e.items) parameters(*item);
  }
  void block(const Block& body) {
    for (const auto& stmt : body) statement(*stmt);
  }

 private:
  void loads(const Expr& e) {
    if (e.kind == ExprKind::kName) scope_->load(e.name);
    for_each_child(e, [this](const Expr& child) { loads(child); });
  }
  void stores(const Expr& e) {
    if (e.kind == ExprKind::kName) scope_->store(e.name);
    if (e.kind == ExprKind::kNamespaceRef) scope_->load(e.name);
    for (const ExprPtr& item : e.items) stores(*item);
  }
  void statement(const Stmt& s) {
    switch (s.kind) {
      case StmtKind::kIf:
        return conditional(s);
      case StmtKind::kMacro:
        return scope_->store(s.macro->name);
      case StmtKind::kSet:
        expression(s.exprs[0]);
        return stores(*s.targets[0]);
      case StmtKind::kSetBlock:
        return stores(*s.targets[0]);
      case StmtKind::kFor:
      case StmtKind::kOutput:
      case StmtKind::kWith:
      case StmtKind::kCallBlock:
      case StmtKind::kFilterBlock:
        for (const ExprPtr& e : s.exprs) expression(e);
        return;
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        return;
    }
  }
  /// An elif is a branch of its own only in name: its test and body count as one branch together.
  void conditional(const Stmt& s) {
    expression(s.exprs[0]);
    Scope* const whole = scope_;
    work_ += whole->names.size() * (s.exprs.size() + 3);
    if (work_ > kMaxNameCopies)
      throw Raise{Fault::kTemplate, "too many names and conditions", s.line};
    std::vector<Scope> branches(3, *whole);
    scope_ = &branches[0];
    block(s.blocks[0]);
    scope_ = &branches[1];
    for (size_t i = 1; i < s.exprs.size(); ++i) {
      expression(s.exprs[i]);
      Scope* const elifs = scope_;
      Scope inner = *elifs;
      scope_ = &inner;
      block(s.blocks[i]);
      scope_ = elifs;
      elifs->merge({inner, *elifs, *elifs});
    }
    scope_ = &branches[2];
    block(s.otherwise);
    scope_ = whole;
    whole->merge(branches);
  }

  Scope* scope_;
  size_t& work_;
};

/// Which of some names a body reads without having stored them: jinja2's find_undeclared.
class Undeclared {
 public:
  Undeclared(const Block& body, std::set<std::string> names) : names_(std::move(names)) {
    block(body);
  }
  bool has(const std::string& name) const { return found_.count(name) > 0; }

 private:
  void visit(const Expr& e) {
    if (e.kind == ExprKind::kName && names_.count(e.name)) found_.insert(e.name);
    for_each_child(e, [this](const Expr& child) { visit(child); });
  }
  void visit(const ExprPtr& e) {
    if (e) visit(*e);
  }
  void stored(const Expr& e) {
    if (e.kind == ExprKind::kName) names_.erase(e.name);
    for (const ExprPtr& item : e.items) stored(*item);
  }
  void block(const Block& body) {
    for (const auto& stmt : body) visit(*stmt);
  }
  void visit(const Stmt& s) {
    const bool expressions_first = s.kind == StmtKind::kCallBlock;
    if (expressions_first) visit(s.exprs[0]);
    for (const ExprPtr& target : s.targets) stored(*target);
    if (s.macro) {
      for (const Parameter& p : s.macro->parameters) names_.erase(p.name);
      for (const Parameter& p : s.macro->parameters) visit(p.fallback);
    }
    if (s.kind == StmtKind::kFilterBlock) block(s.body);
    if (s.kind == StmtKind::kIf) {
      for (size_t i = 0; i < s.exprs.size(); ++i) visit(s.exprs[i]), block(s.blocks[i]);
    } else if (!expressions_first) {
      for (const ExprPtr& e : s.exprs) visit(e);
    }
    if (s.kind != StmtKind::kFilterBlock) block(s.body);
    block(s.otherwise);
    if (s.loop) visit(s.loop->test);
  }

  std::set<std::string> names_, found_;
};

class Resolver {
 public:
  void program(Program& p) {
    Function root{nullptr, &p.function, {}};
    Scope scope(nullptr, &root);
    Survey(scope, work_).block(p.body);
    p.loads = loads(scope);
    block(p.body, {&scope, &root, false, false});
  }

 private:
  /// Where code stands: `soft` inside an if or a conditional expression, where an unknown filter is
  /// an error only once it is reached; `in_loop` where break and continue make sense.
  struct Place {
    Scope* scope;
    Function* function;
    bool soft, in_loop;
    Place inner(Scope& s) const { return {&s, s.function, false, in_loop}; }
    Place softer() const { return {scope, function, true, in_loop}; }
  };

  [[noreturn]] void fail(std::string message, int line) {
    throw Raise{Fault::kTemplate, std::move(message), line};
  }

  Slot slot_of(const std::string& name, const Scope* found, Function* from) {
    Slot slot;
    for (Function* f = from; f != found->function; f = f->outer) ++slot.hops;
    if (slot.hops > 0) found->function->info->captured = true;
    slot.index = found->function->slot(found->level, name);
    return slot;
  }
  Slot slot_of(const std::string& name, const Place& at, int line) {
    const Scope* found = at.scope->find(name);
    if (!found) fail("'" + name + "' is unknown to this scope", line);
    return slot_of(name, found, at.function);
  }

  /// What happens to a scope's names when it is entered.
  std::vector<Load> loads(Scope& scope) {
    std::vector<Load> result;
    for (const auto& [name, how] : scope.names) {
      Load load{Load::kUnbound, scope.function->slot(scope.level, name), {}, {}};
      if (how == Scope::How::kParameter) continue;
      if (how == Scope::How::kContext) load.from = Load::kContext, load.name = name;
      if (how == Scope::How::kOuter) {
        load.from = Load::kOuter;
        load.outer = slot_of(name, scope.parent->find(name), scope.function);
      }
      result.push_back(std::move(load));
    }
    return result;
  }

  void expression(const ExprPtr& e, const Place& at) {
    if (e) expression(*e, at);
  }
  void expression(Expr& e, const Place& at) {
    if (e.kind == ExprKind::kName || e.kind == ExprKind::kNamespaceRef)
      e.slot = slot_of(e.name, at, e.line);
    const bool known = e.kind == ExprKind::kFilter ? find_filter(e.name) != nullptr
                       : e.kind == ExprKind::kTest ? find_test(e.name) != nullptr
                                                   : true;
    if (!known && !at.soft)
      fail("no " + std::string(e.kind == ExprKind::kFilter ? "filter" : "test") + " named '" +
               e.name + "'",
           e.line);
    const Place inside = e.kind == ExprKind::kConditional ? at.softer() : at;
    for_each_child(e, [&](const Expr& child) { expression(const_cast<Expr&>(child), inside); });
  }

  void block(Block& body, const Place& at) {
    for (const auto& stmt : body) statement(*stmt, at);
  }

  void statement(Stmt& s, const Place& at) {
    switch (s.kind) {
      case StmtKind::kOutput:
        for (const ExprPtr& e : s.exprs) expression(e, at);
        return;
      case StmtKind::kSet:
        expression(s.targets[0], at);
        return expression(s.exprs[0], at);
      case StmtKind::kIf:
        return conditional(s, at);
      case StmtKind::kFor:
        return loop(s, at);
      case StmtKind::kMacro:
        function(s, at);
        s.slot = slot_of(s.macro->name, at, s.line).index;
        return;
      case StmtKind::kCallBlock:
        function(s, at);
        return expression(s.exprs[0], at);
      case StmtKind::kSetBlock:
      case StmtKind::kFilterBlock:
      case StmtKind::kWith:
        return scoped(s, at);
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        if (!at.in_loop) fail("break or continue outside a loop", s.line);
        return;
    }
  }

  void conditional(Stmt& s, const Place& at) {
    for (size_t i = 0; i < s.exprs.size(); ++i) {
      expression(s.exprs[i], at.softer());
      block(s.blocks[i], at.softer());
    }
    block(s.otherwise, at.softer());
  }

  void scoped(Stmt& s, const Place& at) {
    Scope scope(at.scope, at.function);
    Survey survey(scope, work_);
    if (s.kind == StmtKind::kWith)
      for (const ExprPtr& target : s.targets) survey.parameters(*target);
    survey.block(s.body);
    if (s.kind == StmtKind::kFilterBlock) survey.expression(s.exprs[0]);
    s.loads = loads(scope);
    const Place inside = at.inner(scope);
    block(s.body, inside);
    if (s.kind == StmtKind::kSetBlock) expression(s.targets[0], at);
    if (s.kind == StmtKind::kWith) expression_list(s.targets, inside), expression_list(s.exprs, at);
    if (s.kind != StmtKind::kWith) expression(s.exprs[0], inside);
  }

  void expression_list(std::vector<ExprPtr>& list, const Place& at) {
    for (const ExprPtr& e : list) expression(e, at);
  }

  /// A macro or the body of a call block.
  void function(Stmt& s, const Place& at) {
    MacroInfo& m = *s.macro;
    Function f{at.function, &m.function, {}};
    at.function->info->captured = true;
    Scope scope(at.scope, &f);
    Survey survey(scope, work_);
    const auto survey_all = [&] {
      for (const Parameter& p : m.parameters) scope.parameter(p.name);
      for (const Parameter& p : m.parameters) survey.expression(p.fallback);
      survey.block(s.body);
    };
    survey_all();
    const auto declared = [&](const char* name) {
      return std::any_of(m.parameters.begin(), m.parameters.end(),
                         [&](const Parameter& p) { return p.name == name; });
    };
    const Undeclared undeclared(s.body, {"caller", "kwargs", "varargs"});
    m.explicit_caller = declared("caller");
    m.accesses_caller = undeclared.has("caller");
    for (const Parameter& p : m.parameters)
      if (m.accesses_caller && p.name == "caller" && !p.fallback)
        fail("the special \"caller\" argument must be omitted or be given a default", s.line);
    const auto special = [&](const char* name, bool wanted) {
      if (!wanted || declared(name)) return -1;
      scope.parameter(name);
      return f.slot(scope.level, name);
    };
    m.caller = special("caller", m.accesses_caller);
    m.kwargs = special("kwargs", undeclared.has("kwargs"));
    m.varargs = special("varargs", undeclared.has("varargs"));
    survey_all();
    m.loads = loads(scope);
    const Place inside{&scope, &f, false, false};
    for (Parameter& p : m.parameters) {
      p.slot = f.slot(scope.level, p.name);
      expression(p.fallback, inside);
    }
    block(s.body, inside);
  }

  static bool stores_loop(const Expr& e) {
    return (e.kind == ExprKind::kName && e.name == "loop") ||
           std::any_of(e.items.begin(), e.items.end(),
                       [](const ExprPtr& i) { return stores_loop(*i); });
  }
  static bool stores_loop(const Block& body) {
    return std::any_of(body.begin(), body.end(), [](const auto& s) { return stores_loop(*s); });
  }
  static bool stores_loop(const Stmt& s) {
    return (s.kind != StmtKind::kWith &&  // its targets are parameters, as a macro's are
            std::any_of(s.targets.begin(), s.targets.end(),
                        [](const ExprPtr& t) { return stores_loop(*t); })) ||
           std::any_of(s.blocks.begin(), s.blocks.end(),
                       [](const Block& b) { return stores_loop(b); }) ||
           stores_loop(s.body) || stores_loop(s.otherwise);
  }

  void loop(Stmt& s, const Place& at) {
    ForInfo& info = *s.loop;
    if (stores_loop(s)) fail("can't assign to the special loop variable", s.line);
    info.extended = info.recursive || Undeclared(s.body, {"loop"}).has("loop");
    Function own{at.function, &info.loop_function, {}};
    Function* const function = info.recursive ? &own : at.function;
    if (info.recursive) at.function->info->captured = true;

    Scope body(at.scope, function), otherwise(at.scope, function);
    if (info.extended) {
      body.parameter("loop");
      info.loop_slot = function->slot(body.level, "loop");
    }
    Survey survey(body, work_);
    survey.parameters(*s.targets[0]);
    survey.block(s.body);
    Survey(otherwise, work_).block(s.otherwise);
    if (info.test) loop_test(s, at);

    expression(s.exprs[0], at);
    info.body_loads = loads(body);
    Place inside{&body, function, false, true};
    expression(s.targets[0], inside);
    block(s.body, inside);
    info.else_loads = loads(otherwise);
    block(s.otherwise, {&otherwise, function, false, info.recursive ? false : at.in_loop});
  }

  void loop_test(Stmt& s, const Place& at) {
    ForInfo& info = *s.loop;
    Function f{at.function, &info.test_function, {}};
    at.function->info->captured = true;
    Scope scope(at.scope, &f);
    Survey survey(scope, work_);
    survey.parameters(*info.test_target);
    survey.expression(info.test);
    info.test_loads = loads(scope);
    const Place inside{&scope, &f, false, false};
    expression(info.test_target, inside);
    expression(info.test, inside);
  }

  size_t work_ = 0;
};

}  // namespace

void resolve(Program& program) { Resolver().program(program); }

}  // namespace planeloom::jinja
