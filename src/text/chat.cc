#include "text/chat.h"

namespace planeloom {

using Json = nlohmann::ordered_json;

namespace {

std::string spelled(const Tokenizer& tokenizer, std::optional<int32_t> id) {
  return id ? tokenizer.token_text(*id) : std::string();
}

}  // namespace

const std::string_view kChatMl =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, std::string_view bos_token,
                                         std::string_view eos_token) {
  ChatTemplate chat;
  PL_TRY(chat.template_, jinja::Template::parse(source));
  chat.bos_token_ = bos_token;
  chat.eos_token_ = eos_token;
  return chat;
}

Result<std::string> ChatTemplate::apply(const Json& messages, bool add_generation_prompt,
                                        const Json& extra,
                                        const jinja::RenderOptions& options) const {
  if (!messages.is_array())
    return fail("[chat] messages are {}, wanted an array", messages.type_name());
  if (!extra.is_null() && !extra.is_object())
    return fail("[chat] extra is {}, wanted an object", extra.type_name());
  // transformers always passes tools and documents, None when there are none.
  Json context = Json::object();
  context["messages"] = messages;
  context["tools"] = nullptr;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = add_generation_prompt;
  context["bos_token"] = bos_token_;
  context["eos_token"] = eos_token_;
  for (const auto& [key, value] : extra.items()) context[key] = value;
  return template_.render(context, options);
}

Result<std::string> ChatTemplate::apply(std::span<const ChatMessage> messages,
                                        bool add_generation_prompt) const {
  Json list = Json::array();
  for (const ChatMessage& m : messages) list.push_back({{"role", m.role}, {"content", m.content}});
  return apply(list, add_generation_prompt);
}

Result<std::optional<ChatTemplate>> chat_template_of(const Metadata& metadata,
                                                     const Tokenizer& tokenizer) {
  const std::string source = metadata.string_or("tokenizer.chat_template", "");
  if (source.empty()) return std::optional<ChatTemplate>();
  PL_TRY(ChatTemplate chat, ChatTemplate::parse(source, spelled(tokenizer, tokenizer.bos()),
                                                spelled(tokenizer, tokenizer.eos())));
  return std::optional(std::move(chat));
}

std::vector<int32_t> encode_rendered(const Tokenizer& tokenizer, std::string_view text) {
  const std::string bos = spelled(tokenizer, tokenizer.bos());
  return tokenizer.encode(text, {.add_special = bos.empty() || !text.starts_with(bos)});
}

}  // namespace planeloom
