"""What transformers' apply_chat_template makes of 200 conversations: texts, what generation marks stand around, and token masks.

Templates that mark nothing have their turns found by TRL's prompt-completion way: the tokens that a conversation up to an answer has and
the prompt for that answer has not, here by characters, once for each answer."""

import datetime
import hashlib
import json
import os
import pathlib
import random
import re

from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils
from transformers.utils.chat_template_utils import render_jinja_template



class OneDay(datetime.datetime):
    """Templates ask for today: the studio always tells them of one day."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


HERE = pathlib.Path(__file__).resolve().parents[1]
TEMPLATES = HERE / "templates"
NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
#: Tokenizers of the shared data and templates that go with them.
MASKED = [
    ("smollm2-135m-instruct", "qwen2_5_training"),
    ("smollm2-135m-instruct", "smollm2"),
    ("tokenizers/phi-3-mini", "phi3_training"),
    ("tokenizers/mistral", "llama3-marks"),
    ("tokenizers/gpt-neox-20b", "qwen3_training"),
    ("tokenizers/torchtune-tiny-llama3-like", "llama3-marks"),
]

WORDS = ("the of and to in is that it was for on are as with his they at be this have from or one had by word but not what all were we when "
         "your can said there use an each which she do how their if will up other about out many then them these so some her would make like "
         "Zürich naïve 東京 привет 😀 👩‍👩‍👧 café ½ €12.50 \"quoted\" 'single' back\\slash <b>bold</b> {braces} {{double}} {%percent%} a\tb C++ 3.14159 "
         "</think> [INST] x=1; http://e.org/?q=1&r=2 ---").split(" ")


def text(rng, most=30):
    parts = [rng.choice(WORDS) for _ in range(rng.randint(1, most))]
    joined = ""
    for part in parts:
        joined += part + rng.choice([" ", " ", " ", " ", "\n", "\n\n", "  ", ", "])
    kind = rng.random()
    return joined if kind < 0.1 else "\n " + joined.strip() if kind < 0.2 else joined.strip()


def tool(rng, number):
    return {"type": "function", "function": {
        "name": f"tool_{number}", "description": text(rng, 6),
        "parameters": {"type": "object", "properties": {
            "place": {"type": "string", "description": text(rng, 4)},
            "count": {"type": "integer", "enum": [1, 2, -3]},
            "ratio": {"type": "number", "default": 0.5},
            "flag": {"type": "boolean"}}, "required": ["place"]}}}


def conversation(rng):
    turns = []
    if rng.random() < 0.5:
        turns.append({"role": "system", "content": text(rng, 12)})
    tools = [tool(rng, n) for n in range(rng.randint(1, 3))] if rng.random() < 0.25 else None
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 5])):
        turns.append({"role": "user", "content": text(rng)})
        if tools and rng.random() < 0.6:
            arguments = {"place": text(rng, 3), "count": rng.randint(-3, 900), "ratio": rng.choice([0.5, 1.25, 0.001]), "flag": rng.random() < 0.5,
                         "nested": {"list": [1, "zwei", None], "empty": {}}}
            turns.append({"role": "assistant", "content": "", "tool_calls": [
                {"type": "function", "id": f"call{rng.randint(10000, 99999)}", "function": {"name": rng.choice(tools)["function"]["name"], "arguments": arguments}}]})
            turns.append({"role": "tool", "content": text(rng, 6), "name": "tool_0"})
        answer = {"role": "assistant", "content": text(rng)}
        if rng.random() < 0.15:
            answer["reasoning_content"] = text(rng, 8)
        turns.append(answer)
    if rng.random() < 0.1:
        turns.append({"role": "user", "content": text(rng)})
    return {"messages": turns, "tools": tools}


def conversations():
    rng = random.Random(14)
    return [conversation(rng) for _ in range(200)]


def has_marks(source):
    return re.search(r"\{%-?\s*generation\s*-?%\}", source) is not None


def rendered(source, messages, tools, prompt=False):
    """Text and marked characters, or None where the template refuses."""
    marks = has_marks(source)
    try:
        texts, spans = render_jinja_template([messages], tools=tools, chat_template=source, return_assistant_tokens_mask=marks,
                                             add_generation_prompt=prompt, **NAMED)
    except Exception:
        return None
    return texts[0], [list(span) for span in spans[0]] if marks else None


def differences(source, messages, tools, whole):
    """What an answer's conversation has and its prompt has not; None where one does not begin with the other."""
    spans = []
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt, until = rendered(source, messages[:i], tools, True), rendered(source, messages[:i + 1], tools)
        if prompt is None or until is None or not whole.startswith(prompt[0]) or not whole.startswith(until[0]):
            return None
        spans.append([len(prompt[0]), len(until[0])])
    return spans


def utf16(text, at):
    """Places as JavaScript counts them."""
    return len(text[:at].encode("utf-16-le")) // 2


def digest(value):
    data = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def one(source, messages, tools):
    made = rendered(source, messages, tools)
    if made is None:
        return None
    whole, marked = made
    spans = marked if marked is not None else differences(source, messages, tools, whole)
    if spans is not None:
        spans = [[utf16(whole, a), utf16(whole, b)] for a, b in spans]
    prompt = rendered(source, messages, tools, True)
    return [digest(whole), None if spans is None else digest(spans), None if prompt is None else digest(prompt[0])]


def tokenizer_of(folder, source):
    config = folder / "tokenizer_config.json"
    named = json.loads(config.read_text()) if config.exists() else {}
    content = lambda token: token.get("content") if isinstance(token, dict) else token
    tokens = {key: content(named[key]) for key in ("bos_token", "eos_token", "unk_token", "pad_token") if named.get(key)}
    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), chat_template=source, **tokens)


def masks(shared, chats):
    found = {}
    for folder, name in MASKED:
        source = (TEMPLATES / f"{name}.jinja").read_text()
        tokenizer = tokenizer_of(shared / folder, source)
        rows = []
        for chat in chats:
            try:
                out = tokenizer.apply_chat_template(chat["messages"], tools=chat["tools"], tokenize=True, return_dict=True,
                                                    return_assistant_tokens_mask=has_marks(source))
                rows.append([digest(list(out["input_ids"])), digest(list(out["assistant_masks"])) if "assistant_masks" in out else None])
            except Exception:
                rows.append(None)
        found[f"{folder} {name}"] = rows
    return found


def record_templates(shared, out):
    chat_template_utils.datetime = OneDay
    chats = conversations()
    folders = [TEMPLATES] + [pathlib.Path(folder) for folder in os.environ.get("CHAT_TEMPLATES", "").split(os.pathsep) if folder]
    sources = {path.stem: path.read_text() for folder in folders for path in sorted(folder.glob("*.jinja"))}
    recorded = {"named": NAMED, "conversations": chats,
                "templates": {name: [one(source, **chat) for chat in chats] for name, source in sources.items()}}
    if shared.is_dir():
        recorded["masks"] = masks(shared, chats)
    (out / "templates.json").write_text(json.dumps(recorded, ensure_ascii=False, separators=(",", ":")) + "\n")


#: Texts of a kind that are tokenized, and how many: with the turns of the conversations 5,000.
TEXTS = 5000
BLOCK = 50


def texts(shared, chats):
    """Sums, instructions, programs, and the turns of the conversations."""
    lines = (shared / "gsm8k" / "train.jsonl").read_text().splitlines()[:1500]
    sums = [f'{row["question"]}\n{row["answer"]}' for row in map(json.loads, lines)]
    tasks = [f'{row["instruction"]}\n{row["input"]}\n{row["output"]}' for row in json.loads((shared / "alpaca" / "alpaca_data_subset_2000.json").read_text())[:1300]]
    code = [row["output"] for row in json.loads((shared / "codealpaca" / "new_codealpaca.json").read_text())]
    turns = [message["content"] for chat in chats for message in chat["messages"]]
    return (turns + sums + tasks + code)[:TEXTS]


def record_tokens(shared, out):
    """One hash for each block of texts and tokenizer, without special tokens."""
    if not shared.is_dir():
        return
    rows = texts(shared, conversations())
    found = {}
    for folder in sorted({folder for folder, _ in MASKED} | {"tokenizers/gpt2", "tokenizers/t5-small"}):
        tokenizer = tokenizer_of(shared / folder, None)
        ids = [tokenizer(row, add_special_tokens=False)["input_ids"] for row in rows]
        found[folder] = [digest(ids[i:i + BLOCK]) for i in range(0, len(ids), BLOCK)]
    (out / "tokens.json").write_text(json.dumps({"texts": len(rows), "block": BLOCK, "tokenizers": found}) + "\n")
