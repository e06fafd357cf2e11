#pragma once
#include <string_view>

#include "text/jinja/ast.h"

namespace planeloom::jinja {

/// The tree of a template, names not yet resolved. Raises kTemplate with the line.
Program parse(std::string_view source);

}  // namespace planeloom::jinja
