// Chat templates: which variables they see, and the fallback.
#include "text/chat.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

using namespace planeloom;
using Json = nlohmann::ordered_json;

namespace {

const std::vector<ChatMessage> kTurns = {
    {"system", "Be kind."}, {"user", "Hi"}, {"assistant", "Hello"}, {"user", "Łódź?"}};

std::string shown(std::string_view source, const Json& extra = {}) {
  const auto chat = ChatTemplate::parse(source, "<s>", "</s>");
  if (!chat) return chat.error().message;
  const auto text = chat->apply(Json::array({{{"role", "user"}, {"content", "Hi"}}}), true, extra);
  return text ? *text : text.error().message;
}

TEST(chat, fallback_is_chatml) {
  const auto chat = ChatTemplate::parse(kChatMl, "", "").value();
  EXPECT_EQ(chat.apply(kTurns, true).value(),
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nŁódź?<|im_end|>\n<|im_start|"
            ">assistant\n");
  EXPECT_EQ(chat.apply(std::vector<ChatMessage>{}, false).value(), "");
}

TEST(chat, standard_variables) {
  EXPECT_EQ(
      shown("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ add_generation_prompt }}"),
      "<s>Hi</s>True");
  EXPECT_EQ(shown("{{ tools is defined }} {{ tools }} {{ documents }}"), "True None None");
}

TEST(chat, extra_variables_win) {
  EXPECT_EQ(shown("{{ tools[0] | tojson }}",
                  {{"tools", {{{"name", "f"}, {"args", {{"b", 1}, {"a", 2}}}}}}}),
            R"({"name": "f", "args": {"b": 1, "a": 2}})");
  EXPECT_EQ(shown("{{ bos_token }}{{ enable_thinking }}",
                  {{"bos_token", "B"}, {"enable_thinking", false}}),
            "BFalse");
}

TEST(chat, time_is_the_callers) {
  const auto chat =
      ChatTemplate::parse("{{ strftime_now('%Y') }} {{ strftime_now('100%') }}", "", "").value();
  jinja::RenderOptions options;
  options.now = std::chrono::system_clock::from_time_t(1'000'000'000);  // September 2001 everywhere
  EXPECT_EQ(chat.apply(Json::array(), true, {}, options).value(), "2001 100%");
}

TEST(chat, refusals_carry_the_templates_words) {
  EXPECT_NE(shown("{{ raise_exception('roles must alternate') }}").find("roles must alternate"),
            std::string::npos);
  EXPECT_NE(shown("{% for m in messages %}").find("[jinja] line 1"), std::string::npos);
  const auto chat = ChatTemplate::parse(kChatMl, "", "").value();
  EXPECT_FALSE(chat.apply(Json("text"), true).has_value());
  EXPECT_FALSE(chat.apply(Json::array(), true, Json::array()).has_value());
  EXPECT_FALSE(
      chat.apply(Json::array({{{"role", "user"}, {"content", nullptr}}}), true).has_value());
  EXPECT_FALSE(jinja::Template().render(Json::object()).has_value());
}

TEST(chat, broken_utf8_becomes_replacement_characters) {
  const std::vector<ChatMessage> broken = {{"user", "a\xff\xc3"}};
  EXPECT_NE(
      ChatTemplate::parse(kChatMl, "", "")->apply(broken, false).value().find("a\ufffd\ufffd"),
      std::string::npos);
  EXPECT_EQ(shown("\xff{{ 'x' }}"), "\ufffdx");
}

/// A template is read-only once parsed, so threads share it (this test is for TSan).
TEST(chat, one_template_many_threads) {
  const auto chat = ChatTemplate::parse(
                        "{% for m in messages %}{{ m.role | upper ~ 'x' * 3 }}{% endfor %}", "", "")
                        .value();
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts)
    threads.emplace_back([&chat, &text] {
      for (int i = 0; i < 50; ++i) text = chat.apply(kTurns, true).value_or("");
    });
  for (std::thread& t : threads) t.join();
  for (const std::string& text : texts) EXPECT_EQ(text, "SYSTEMxxxUSERxxxASSISTANTxxxUSERxxx");
}

TEST(Chat, ModelsTemplateAndItsTokensWithOneBos) {
  Metadata m;
  m.set("planeloom.tokenizer_json",
        std::string(R"({"added_tokens":[{"id":2,"content":"<s>","special":true}],
          "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},
          "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}]},
          "model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})"));
  const auto tokenizer = Tokenizer::from_metadata(m);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto none = chat_template_of(m, **tokenizer);
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_FALSE(*none);

  m.set("tokenizer.chat_template", std::string("{{ bos_token }}{{ messages[0].content }}"));
  const auto chat = chat_template_of(m, **tokenizer);
  ASSERT_TRUE(chat && *chat);
  const auto text = (*chat)->apply(std::array{ChatMessage{"user", "ab"}}, true);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "<s>ab");
  EXPECT_EQ(encode_rendered(**tokenizer, *text), (std::vector<int32_t>{2, 0, 1}));
  EXPECT_EQ(encode_rendered(**tokenizer, "ab"), (std::vector<int32_t>{2, 0, 1}));

  m.set("tokenizer.chat_template", std::string("{% if %}"));
  EXPECT_FALSE(chat_template_of(m, **tokenizer));
}

}  // namespace
