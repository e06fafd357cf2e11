// A model's chat template: messages in, prompt text out.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/metadata.h"
#include "text/jinja/template.h"
#include "text/tokenizer.h"

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

/// The template that a model brings, none where it has none.
Result<std::optional<ChatTemplate>> chat_template_of(const Metadata& metadata,
                                                     const Tokenizer& tokenizer);

/// Tokens of what a template rendered. Most templates write BOS themselves; where one does not, it
/// is put before the text if the tokenizer wants it.
std::vector<int32_t> encode_rendered(const Tokenizer& tokenizer, std::string_view text);

}  // namespace planeloom
