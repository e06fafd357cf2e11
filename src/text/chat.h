// A model's chat template: messages in, prompt text out.
#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/template.h"

namespace planeloom {

struct ChatMessage {
  std::string role, content;  // role: system, user, assistant, ...
};

/// ChatML: for a caller whose model brings no template of its own.
extern const std::string_view kChatMl;

/// Renders as transformers' apply_chat_template does.
class ChatTemplate {
 public:
  static Result<ChatTemplate> parse(std::string_view source, std::string_view bos_token,
                                    std::string_view eos_token);

  /// `messages` is an array of objects; `extra` is an object of further variables (tools,
  /// documents, enable_thinking, ...) that win over the standard ones. An error when the template
  /// refuses the conversation, its message included.
  Result<std::string> apply(const nlohmann::ordered_json& messages, bool add_generation_prompt,
                            const nlohmann::ordered_json& extra = {},
                            const jinja::RenderOptions& options = {}) const;
  Result<std::string> apply(std::span<const ChatMessage> messages,
                            bool add_generation_prompt) const;

 private:
  jinja::Template template_;
  std::string bos_token_, eos_token_;
};

}  // namespace planeloom
