"""Greedy answers that llama.cpp, through the Python package llama_cpp, gives from GGUF files: asked by the studio's certificate.

usage: python check_llama.py REQUEST.json

The request: {model, lora (or null), prompts (token ids), maxTokens, endIds, context}. Prints {software, answers} as its last line.
"""

import json
import sys
from pathlib import Path

import llama_cpp

F32 = 0


def answer(llama, prompt, request):
    found = []
    for token in llama.generate(prompt, temp=0.0, repeat_penalty=1.0, reset=True):
        found.append(token)
        if token in request["endIds"] or len(found) >= request["maxTokens"]:
            break
    return found


def main(request):
    llama = llama_cpp.Llama(
        model_path=request["model"],
        lora_path=request["lora"],
        n_ctx=request["context"],
        n_gpu_layers=0,
        type_k=F32,
        type_v=F32,
        verbose=False,
    )
    answers = [answer(llama, prompt, request) for prompt in request["prompts"]]
    print(json.dumps({"software": f"llama_cpp {llama_cpp.__version__}", "answers": answers}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
