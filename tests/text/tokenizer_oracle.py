"""Compares Planeloom's tokenizers with the reference ones on at least 20,000 strings each.

  tokenizer_oracle.py DRIVER smollm GGUF    PyPI `tokenizers`, built from the vocabulary and merges in the file
  tokenizer_oracle.py DRIVER gemma GGUF     PyPI `sentencepiece`, built from the pieces and scores in the file
  tokenizer_oracle.py DRIVER split          the Llama 3 and Qwen2 splitting rules against `tokenizers`' Split

Broken UTF-8 is given to the references as Python's errors="replace" reads it, which is the rule that
text/tokenizer.h states.
"""
import random
import struct
import subprocess
import sys
import unicodedata

COUNT = 20000
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
WORDS = {
    "latin": "The quick brown fox don't it's I'LL we've naïve café Straße Ærøskøbing İstanbul ſs".split(),
    "greek": "Ελλάδα γλώσσα ἀρχή ὁ λόγος".split(), "cyrillic": "Привет мир щука ёлка їжак".split(),
    "han": "你好 世界 漢字 編碼 深度学习 龘".split(), "kana": "こんにちは カタカナ ﾊﾝｶｸ ー".split(),
    "hangul": "안녕하세요 세계 한국어 각".split(), "arabic": "مرحبا بالعالم لغة ١٢٣".split(),
    "hebrew": "שלום עולם עִבְרִית".split(), "devanagari": "नमस्ते दुनिया क्षत्रिय १२३".split(),
    "thai": "สวัสดี ชาวโลก ภาษาไทย".split(), "tamil": "வணக்கம் உலகம்".split(), "georgian": "გამარჯობა".split(),
    "emoji": "😀 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 ❤️ ☃ 🧑🏿‍🚀".split(),
    "math": "∑∫√∞ x² ½ Ⅷ ①② 𝔸𝕓 𝟙𝟚".split(), "digits": "0 7 42 1234 1000000 3.14159 1e-9 0xFF ٣٤ ９９".split(),
    "code": ["def f(x):\n    return x**2", "for (int i=0;i<n;++i) {", "\t\tif err != nil {", "<div class=\"a\">&nbsp;</div>",
             "SELECT * FROM t WHERE a='b';", "#include <vector>", "a->b::c[0] = {1, 2};", "https://example.com/?q=1&r=%20"],
    "special": ["<|im_start|>", "<|im_end|>", "<bos>", "<eos>", "<start_of_turn>", "<unused3>", "<|endoftext|>", "<0x0A>",
                "<mask>", "[multimodal]", "<|im_start", "<table>"],
    "space": [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\u180e", " \n ",
              "        ", "\x1c", "\x85", "\u2581", "\u2581\u2581"],
    "marks": ["e\u0301", "a\u0308\u0323", "\u0e01\u0e33", "क\u094d", "\u0301", "Å", "A\u030a", "ﬁ", "Ⅻ", "\ufeff", "\u00ad"],
    "control": ["\x00", "\x01", "\x07", "\x1b[0m", "\x7f"],
}


def assigned(character: str) -> bool:
    """Unassigned code points and surrogates are left out: their classes differ between Unicode versions."""
    return unicodedata.category(character) not in {"Cn", "Cs", "Co"}


def strings(count: int, seed: int):
    """Deterministic byte strings: mixtures of scripts, runs, random Unicode, look-alikes and broken UTF-8."""
    rng = random.Random(seed)
    pools = list(WORDS.values())
    yield b""
    for _ in range(count - 1):
        kind = rng.random()
        if kind < 0.55:
            parts = []
            for _ in range(rng.randint(1, 12)):
                parts.append(rng.choice(rng.choice(pools)))
                parts.append(rng.choice(["", " ", " ", " ", "  ", "\n", "'", "-", ".", ", "]))
            yield "".join(parts).encode()
        elif kind < 0.7:
            piece = rng.choice(rng.choice(pools))
            yield (piece * rng.randint(1, 30)).encode()
        elif kind < 0.85:
            limit = rng.choice([0x80, 0x250, 0x3000, 0xffff, 0x1ffff])
            text = [c for c in (chr(rng.randrange(limit)) for _ in range(rng.randint(1, 40))) if assigned(c)]
            yield "".join(text).encode()
        else:
            data = bytearray("".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 6))).encode())
            for _ in range(rng.randint(1, 4)):
                where = rng.randrange(len(data) + 1)
                if rng.random() < 0.5 and data:
                    del data[min(where, len(data) - 1)]
                else:
                    data.insert(where, rng.choice([0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xf5, 0xff]))
            yield bytes(data)


def run_driver(arguments, inputs):
    """The driver's answer to every input: a list of integers each."""
    stdin = b"".join(struct.pack("<I", len(s)) + s for s in inputs)
    raw = subprocess.run(arguments, input=stdin, stdout=subprocess.PIPE, check=True).stdout
    answers, at = [], 0
    while at < len(raw):
        n = struct.unpack_from("<I", raw, at)[0]
        answers.append(list(struct.unpack_from(f"<{n}i", raw, at + 4)))
        at += 4 + 4 * n
    return answers


def compare(name, inputs, got, want):
    assert len(got) == len(inputs) == len(want), (len(got), len(inputs), len(want))
    wrong = [i for i in range(len(inputs)) if got[i] != want[i]]
    for i in wrong[:10]:
        print(f"{name}: {inputs[i]!r}\n  got  {got[i]}\n  want {want[i]}")
    print(f"{name}: {len(inputs) - len(wrong)} of {len(inputs)} equal")
    return not wrong


def fields(path):
    from gguf import GGUFReader
    return {k: f.contents() for k, f in GGUFReader(path).fields.items() if k.startswith("tokenizer.")}


def smollm(driver, path):
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    f = fields(path)
    tokens, types = f["tokenizer.ggml.tokens"], f["tokenizer.ggml.token_type"]
    merges = [tuple(m.split(" ")) for m in f["tokenizer.ggml.merges"]]
    def build(with_special):
        t = Tokenizer(models.BPE({x: i for i, x in enumerate(tokens)}, merges))
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                   pre_tokenizers.ByteLevel(add_prefix_space=False)])
        if with_special:
            t.add_special_tokens([AddedToken(x, normalized=False) for x, k in zip(tokens, types) if k == 3])
        return t
    inputs = list(strings(COUNT, 1))
    texts = [s.decode("utf-8", "replace") for s in inputs]
    good = True
    for mode in ("plain", "parse"):
        want = [e.ids for e in build(mode == "parse").encode_batch(texts, add_special_tokens=False)]
        good &= compare(f"smollm {mode}", inputs, run_driver([driver, path, mode], inputs), want)
    return good


def gemma(driver, path):
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb
    f = fields(path)
    m = pb.ModelProto()
    for text, score, kind in zip(f["tokenizer.ggml.tokens"], f["tokenizer.ggml.scores"], f["tokenizer.ggml.token_type"]):
        # converters write user-defined pieces with plain spaces
        m.pieces.add(piece=text.replace(" ", "\u2581") if kind == 4 else text, score=score, type=kind)
    m.trainer_spec.model_type = pb.TrainerSpec.BPE
    m.trainer_spec.byte_fallback = True
    m.trainer_spec.unk_id = f["tokenizer.ggml.unknown_token_id"]
    m.trainer_spec.bos_id = f["tokenizer.ggml.bos_token_id"]
    m.trainer_spec.eos_id = f["tokenizer.ggml.eos_token_id"]
    m.trainer_spec.pad_id = f.get("tokenizer.ggml.padding_token_id", -1)
    m.trainer_spec.unk_piece, m.trainer_spec.bos_piece = m.pieces[m.trainer_spec.unk_id].piece, m.pieces[m.trainer_spec.bos_id].piece
    m.trainer_spec.eos_piece = m.pieces[m.trainer_spec.eos_id].piece
    m.normalizer_spec.name = "identity"
    m.normalizer_spec.add_dummy_prefix = False
    m.normalizer_spec.remove_extra_whitespaces = False
    sp = sentencepiece.SentencePieceProcessor()
    sp.LoadFromSerializedProto(m.SerializeToString())
    inputs = list(strings(COUNT, 2))
    want = [sp.EncodeAsIds(s.decode("utf-8", "replace")) for s in inputs]
    return compare("gemma plain", inputs, run_driver([driver, path, "plain"], inputs), want)


def split(driver):
    from tokenizers import Regex, pre_tokenizers
    inputs = [s.decode("utf-8", "replace").encode() for s in strings(COUNT, 3)]
    good = True
    for name, pattern in (("llama-bpe", LLAMA3), ("qwen2", QWEN2)):
        rule = pre_tokenizers.Split(Regex(pattern), "isolated")
        want = [[len(p.encode()) for p, _ in rule.pre_tokenize_str(s.decode())] for s in inputs]
        good &= compare(f"split {name}", inputs, run_driver([driver, "split", name], inputs), want)
    return good


if __name__ == "__main__":
    checks = {"smollm": smollm, "gemma": gemma, "split": split}
    sys.exit(0 if checks[sys.argv[2]](sys.argv[1], *sys.argv[3:]) else 1)
