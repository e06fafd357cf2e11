// A model that is ready for text: weights, tokenizer, and its chat template where it has one.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/model.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace planeloom {

struct LoadedModel {
  Model model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat;  // a model without one continues plain text
};

/// Opens a path or the name of a pulled model. With `chat` off the template is not even parsed.
Result<std::unique_ptr<LoadedModel>> load_for_text(const std::string& name, bool chat);

/// The tokens of a conversation, ending where the assistant is to speak.
Result<std::vector<int32_t>> render_turns(const LoadedModel& loaded,
                                          std::span<const ChatMessage> turns);

}  // namespace planeloom
