#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"
#include "text/jinja/limits.h"

namespace planeloom::jinja {

/// The tokens with a cursor, and what both halves of the parser need: expectations and nesting.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Token& next() {
    const Token& t = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return t;
  }
  int line() const { return current().line; }
  bool is(Tok type) const { return current().type == type; }
  bool is_op(std::string_view op) const { return current().is(Tok::kOperator, op); }
  bool is_name(std::string_view name) const { return current().is(Tok::kName, name); }
  bool skip_op(std::string_view op) { return is_op(op) && (next(), true); }
  bool skip_name(std::string_view name) { return is_name(name) && (next(), true); }
  void expect_op(std::string_view op) {
    if (!skip_op(op)) expected(op);
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) expected(name);
  }
  std::string expect_identifier() {
    if (!is(Tok::kName)) expected("name");
    return next().text;
  }
  void expect(Tok type, std::string_view what) {
    if (!is(type)) expected(what);
    next();
  }
  [[noreturn]] void fail(std::string message, int line) const {
    throw Raise{Fault::kTemplate, std::move(message), line};
  }
  [[noreturn]] void fail(std::string message) const { fail(std::move(message), line()); }
  std::string describe() const {
    switch (current().type) {
      case Tok::kEnd:
        return "end of template";
      case Tok::kData:
        return "template text";
      case Tok::kBlockEnd:
        return "end of statement block";
      case Tok::kVariableEnd:
        return "end of print statement";
      case Tok::kInteger:
      case Tok::kFloat:
        return "number";
      case Tok::kString:
        return "string";
      default:
        return current().text;
    }
  }

 private:
  [[noreturn]] void expected(std::string_view what) const {
    fail("expected '" + std::string(what) + "', got '" + describe() + "'");
  }
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

/// One level of parser recursion while it lives.
class ParseNesting {
 public:
  ParseNesting(const TokenStream& stream, int& depth, int limit) : depth_(depth) {
    if (depth_ >= limit) stream.fail("nested too deeply");
    ++depth_;
  }
  ~ParseNesting() { --depth_; }
  ParseNesting(const ParseNesting&) = delete;
  ParseNesting& operator=(const ParseNesting&) = delete;

 private:
  int& depth_;
};

/// Expressions, in jinja2's precedence: condition, or, and, not, comparison, + -, ~, * / // %, **,
/// unary.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : s_(stream) {}
  ExprPtr expression(bool with_condition = true) {
    return with_condition ? condition() : disjunction();
  }
  struct TupleRules {
    bool with_condition = true;
    std::string_view end_name = {};  // a name that also ends the tuple: "in", "recursive"
    bool parenthesized = false;      // "()" is a tuple
    bool targets = false;            // names only; namespace_refs: also ns.attribute
    bool namespace_refs = false;
  };
  ExprPtr tuple(const TupleRules& rules);
  /// What a for, set or with assigns to.
  ExprPtr target(std::string_view end_name = {}, bool namespace_refs = false);
  std::string target_name();
  /// A chain of "| filter" on `node`; inside filter blocks the first comes without "|".
  ExprPtr filters(ExprPtr node, bool start_inline = false);
  ExprPtr make(ExprKind kind, int line, std::vector<ExprPtr> items = {});

 private:
  ExprPtr condition();
  ExprPtr disjunction();
  ExprPtr conjunction();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary(bool namespace_refs = false);
  ExprPtr name(bool namespace_refs);
  ExprPtr strings();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr node);
  ExprPtr filter_expression(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr subscribed(ExprPtr node);
  ExprPtr call(ExprPtr node);
  ExprPtr test(ExprPtr node);
  std::unique_ptr<Arguments> arguments();
  ExprPtr binary(Op op, int line, ExprPtr left, ExprPtr right);
  ExprPtr constant(Value value, int line);
  void check_target(const Expr& e);
  void measure(Expr& e);

  TokenStream& s_;
  int depth_ = 0;
};

}  // namespace planeloom::jinja
