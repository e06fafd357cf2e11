"""Conversations that a chat template may meet: roles, tools, tool calls, parts, reasoning, options."""
import itertools

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather in a \"city\" <now> & later.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Town, e.g. Łódź"},
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "days": {"type": "integer", "minimum": 1}, "exact": {"type": "boolean"},
        "where": {"type": "array", "items": {"type": "number"}},
        "more": {"type": "object", "properties": {"x": {"type": ["string", "null"]}}}},
        "required": ["city"]},
    "return": {"type": "string", "description": "text"}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time.",
                                          "parameters": {"type": "object", "properties": {}}}}
SYSTEM = {"role": "system", "content": " You are terse.\nVery. "}
USER = {"role": "user", "content": "Hi there!  "}
ANSWER = {"role": "assistant", "content": "Hello.\n\n"}
AGAIN = {"role": "user", "content": "And 日本 'quotes' \"double\" \\ {{ x }}?"}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "call12345", "type": "function", "function": {"name": "get_weather",
                                                         "arguments": {"city": "Łódź", "days": 2, "exact": True,
                                                                       "where": [1.5, -2], "more": {"x": None}}}}]}
CALL_TEXT = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Rome\"}"}}]}
CALLS = {"role": "assistant", "content": "Let me look.", "tool_calls": [
    {"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Rome"}}},
    {"id": "call67890", "type": "function", "function": {"name": "clock", "arguments": {}}}]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call12345", "content": "{\"t\": 21.5}"}
RESULT2 = {"role": "tool", "name": "clock", "tool_call_id": "call67890", "content": "12:00"}
RESULT_PARTS = {"role": "tool", "name": "get_weather", "tool_call_id": "call12345",
                "content": [{"type": "text", "text": "sunny"}]}
THOUGHT = {"role": "assistant", "reasoning_content": "Think first.\nThen act.", "content": "Done."}
THINKING = {"role": "assistant", "thinking": "Hm.", "content": "Yes."}
INLINE = {"role": "assistant", "content": "<think>\nwell\n</think>\n\nFine."}
PARTS = {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]}
IMAGE = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe."}]}
SYSTEM_PARTS = {"role": "system", "content": [{"type": "text", "text": "Be kind."}]}

CONVERSATIONS = {
    "user": [USER], "system": [SYSTEM, USER], "turns": [USER, ANSWER, AGAIN],
    "system turns": [SYSTEM, USER, ANSWER, AGAIN, THOUGHT, USER],
    "ends with assistant": [SYSTEM, USER, ANSWER], "thought": [USER, THOUGHT, AGAIN], "thinking": [USER, THINKING, AGAIN],
    "inline thought": [SYSTEM, USER, INLINE, AGAIN], "last thought": [USER, THOUGHT],
    "call": [SYSTEM, USER, CALL, RESULT], "call answered": [USER, CALL, RESULT, ANSWER, AGAIN],
    "call open": [USER, CALL], "call as text": [USER, CALL_TEXT, RESULT, ANSWER],
    "calls": [SYSTEM, USER, CALLS, RESULT, RESULT2, ANSWER, USER], "call thought": [USER, {**THOUGHT, **{
        "tool_calls": CALL["tool_calls"]}}, RESULT, THOUGHT],
    "result parts": [USER, CALL, RESULT_PARTS], "parts": [PARTS], "system parts": [SYSTEM_PARTS, PARTS, ANSWER, PARTS],
    "image": [SYSTEM, IMAGE, ANSWER, USER], "developer": [{"role": "developer", "content": "Rules."}, USER],
    "two users": [USER, AGAIN], "assistant first": [ANSWER, USER], "two systems": [SYSTEM, SYSTEM, USER],
    "odd role": [{"role": "narrator", "content": "x"}], "empty": [], "empty content": [{"role": "user", "content": ""}],
    "no content": [{"role": "user"}], "long": [SYSTEM] + [USER, ANSWER, AGAIN, THOUGHT] * 3 + [USER],
}
TOOLS = {"": {}, "tools": {"tools": [WEATHER, CLOCK]}, "no tools": {"tools": None}}
OPTIONS = {"": {}, "think": {"enable_thinking": True}, "no think": {"enable_thinking": False},
           "other": {"thinking": True, "reasoning_effort": "high", "builtin_tools": ["browser", "python"],
                     "documents": [{"title": "A", "text": "b"}], "date_string": "01 Jan 2025",
                     "preserve_thinking": True, "keep_past_thinking": True}}


def contexts():
    """(name, variables) of every render."""
    for (name, messages), (tools, t), (option, o) in itertools.product(CONVERSATIONS.items(), TOOLS.items(),
                                                                     OPTIONS.items()):
        # Options matter where there is something to think or to call; elsewhere one of each is enough.
        for prompt in (True, False):
            yield (f"{name}, {tools or 'plain'}, {option or 'plain'}, prompt={prompt}",
                   {"messages": messages, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>",
                    **t, **o})
