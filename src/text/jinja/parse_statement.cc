#include <algorithm>

#include "text/jinja/parser.h"
#include "text/jinja/runtime.h"
#include "text/jinja/token_stream.h"

namespace planeloom::jinja {
namespace {

using StmtPtr = std::unique_ptr<Stmt>;

/// Statements: one function per tag. Each is entered on the tag's name and leaves the closing "%}".
class StatementParser {
 public:
  explicit StatementParser(std::string_view source) : s_(tokenize(source)), e_(s_) {}

  Program program() {
    Program p;
    p.body = block({});
    return p;
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  StmtPtr make(StmtKind kind) {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->line = s_.line();
    return stmt;
  }

  /// Text, prints and statements up to a tag in `ends`, whose name becomes current; without ends,
  /// to the end of the template.
  Block block(Ends ends) {
    const ParseNesting nesting(s_, depth_, kMaxStatementDepth);
    Block body;
    StmtPtr output;
    const auto flush = [&] {
      if (output) body.push_back(std::move(output));
      output.reset();
    };
    const auto add = [&](ExprPtr e) {
      if (!output) output = make(StmtKind::kOutput);
      output->exprs.push_back(std::move(e));
    };
    while (!s_.is(Tok::kEnd)) {
      if (s_.is(Tok::kData)) {
        ExprPtr e = e_.make(ExprKind::kConst, s_.line());
        e->value = Value(Kind::kString, std::make_shared<String>(s_.next().text, false));
        add(std::move(e));
      } else if (s_.is(Tok::kVariableBegin)) {
        s_.next();
        add(e_.tuple({}));
        s_.expect(Tok::kVariableEnd, "end of print statement");
      } else {
        flush();
        s_.expect(Tok::kBlockBegin, "begin of statement block");
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return s_.is_name(end); }))
          return body;
        body.push_back(statement());
        s_.expect(Tok::kBlockEnd, "end of statement block");
      }
    }
    flush();
    if (ends.size() > 0)
      s_.fail("unexpected end of template, looking for '" + std::string(*ends.begin()) + "'");
    return body;
  }

  /// The rest of an opening tag, then its body.
  Block body(Ends ends) {
    s_.skip_op(":");
    s_.expect(Tok::kBlockEnd, "end of statement block");
    return block(ends);
  }
  Block closed_body(std::string_view end) {
    Block b = body({end});
    s_.next();
    return b;
  }

  StmtPtr statement() {
    if (!s_.is(Tok::kName)) s_.fail("tag name expected");
    const std::string& tag = s_.current().text;
    if (tag == "if") return conditional();
    if (tag == "for") return loop();
    if (tag == "set") return assignment();
    if (tag == "macro") return macro();
    if (tag == "call") return call_block();
    if (tag == "filter") return filter_block();
    if (tag == "with") return with();
    if (tag == "print") return print();
    if (tag == "generation") return generation();
    if (tag == "break") return simple(StmtKind::kBreak);
    if (tag == "continue") return simple(StmtKind::kContinue);
    s_.fail("unknown or unsupported tag '" + tag + "'");
  }

  StmtPtr simple(StmtKind kind) {
    StmtPtr stmt = make(kind);
    s_.next();
    return stmt;
  }

  StmtPtr conditional() {
    StmtPtr stmt = make(StmtKind::kIf);
    do {
      s_.next();  // if, elif
      stmt->exprs.push_back(e_.tuple({.with_condition = false}));
      stmt->blocks.push_back(body({"elif", "else", "endif"}));
    } while (s_.is_name("elif"));
    if (s_.next().text == "else") stmt->otherwise = closed_body("endif");
    return stmt;
  }

  StmtPtr loop() {
    StmtPtr stmt = make(StmtKind::kFor);
    stmt->loop = std::make_unique<ForInfo>();
    s_.next();
    stmt->targets.push_back(e_.target("in"));
    s_.expect_name("in");
    stmt->exprs.push_back(e_.tuple({.with_condition = false, .end_name = "recursive"}));
    if (s_.skip_name("if")) {
      stmt->loop->test = e_.expression();
      stmt->loop->test_target = copy_target(*stmt->targets[0]);
    }
    stmt->loop->recursive = s_.skip_name("recursive");
    stmt->body = body({"endfor", "else"});
    if (s_.next().text == "else") stmt->otherwise = closed_body("endfor");
    return stmt;
  }

  ExprPtr copy_target(const Expr& e) {
    std::vector<ExprPtr> items;
    for (const ExprPtr& item : e.items) items.push_back(copy_target(*item));
    ExprPtr copy = e_.make(e.kind, e.line, std::move(items));
    copy->name = e.name;
    return copy;
  }

  StmtPtr assignment() {
    StmtPtr stmt = make(StmtKind::kSet);
    s_.next();
    stmt->targets.push_back(e_.target({}, true));
    if (s_.skip_op("=")) {
      stmt->exprs.push_back(e_.tuple({}));
      return stmt;
    }
    stmt->kind = StmtKind::kSetBlock;
    stmt->exprs.push_back(e_.filters(nullptr));
    stmt->body = closed_body("endset");
    return stmt;
  }

  StmtPtr with() {
    StmtPtr stmt = make(StmtKind::kWith);
    s_.next();
    while (!s_.is(Tok::kBlockEnd)) {
      if (!stmt->targets.empty()) s_.expect_op(",");
      stmt->targets.push_back(e_.target());
      s_.expect_op("=");
      stmt->exprs.push_back(e_.expression());
    }
    stmt->body = closed_body("endwith");
    return stmt;
  }

  void signature(MacroInfo& macro) {
    s_.expect_op("(");
    bool fallback = false;
    while (!s_.is_op(")")) {
      if (!macro.parameters.empty()) s_.expect_op(",");
      Parameter p;
      p.line = s_.line();
      p.name = e_.target_name();
      if (s_.skip_op("="))
        p.fallback = e_.expression(), fallback = true;
      else if (fallback)
        s_.fail("non-default argument follows default argument");
      for (const Parameter& known : macro.parameters)
        if (known.name == p.name) s_.fail("duplicate argument '" + p.name + "'");
      macro.parameters.push_back(std::move(p));
    }
    s_.expect_op(")");
  }

  StmtPtr macro() {
    StmtPtr stmt = make(StmtKind::kMacro);
    s_.next();
    stmt->macro = std::make_unique<MacroInfo>();
    stmt->macro->name = e_.target_name();
    signature(*stmt->macro);
    stmt->body = closed_body("endmacro");
    return stmt;
  }

  StmtPtr call_block() {
    StmtPtr stmt = make(StmtKind::kCallBlock);
    s_.next();
    stmt->macro = std::make_unique<MacroInfo>();
    if (s_.is_op("(")) signature(*stmt->macro);
    stmt->exprs.push_back(e_.expression());
    if (stmt->exprs[0]->kind != ExprKind::kCall) s_.fail("expected call", stmt->line);
    stmt->body = closed_body("endcall");
    return stmt;
  }

  /// transformers' tag around what the assistant says: a call block whose callee returns caller().
  StmtPtr generation() {
    StmtPtr stmt = make(StmtKind::kCallBlock);
    s_.next();
    stmt->macro = std::make_unique<MacroInfo>();
    stmt->exprs.push_back(nullptr);
    stmt->body = closed_body("endgeneration");
    return stmt;
  }

  StmtPtr filter_block() {
    StmtPtr stmt = make(StmtKind::kFilterBlock);
    s_.next();
    stmt->exprs.push_back(e_.filters(nullptr, true));
    stmt->body = closed_body("endfilter");
    return stmt;
  }

  StmtPtr print() {
    StmtPtr stmt = make(StmtKind::kOutput);
    s_.next();
    while (!s_.is(Tok::kBlockEnd)) {
      if (!stmt->exprs.empty()) s_.expect_op(",");
      stmt->exprs.push_back(e_.expression());
    }
    return stmt;
  }

  TokenStream s_;
  ExpressionParser e_;
  int depth_ = 0;
};

}  // namespace

Program parse(std::string_view source) { return StatementParser(source).program(); }

}  // namespace planeloom::jinja
