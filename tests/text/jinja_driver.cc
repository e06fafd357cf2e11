// For jinja_oracle.py: each line of stdin is {"template", "context"}; each line of stdout {"text"}
// or {"error"}.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/jinja/template.h"

using namespace planeloom;

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("template") || !request.contains("context"))
      return 2;
    nlohmann::ordered_json reply;
    const auto parsed = jinja::Template::parse(request["template"].get_ref<const std::string&>());
    const auto text = parsed ? parsed->render(request["context"]) : tl::unexpected(parsed.error());
    if (text)
      reply["text"] = *text;
    else
      reply["error"] = text.error().message;
    std::cout << reply.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n"
              << std::flush;
  }
  return 0;
}
