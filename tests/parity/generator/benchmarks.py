"""Scores of lm-evaluation-harness item by item, for the benchmarks of the studio.

usage: python tests/parity/generator/benchmarks.py MODEL_FOLDER SHARED_DATA OUT.json [--chat] [--limit 200]
       [--answers 40] [--batch 8] [--tasks "commonsenseqa;mmlu, 0 shots"] [--texts ANSWERS.json]

Of a task that generates, which takes long, the first --answers items are recorded. Tasks that OUT.json has already stay,
and so do answers without examples: what is recorded anew begins behind them. (Examples are drawn one item after the other.)
--texts keeps the prompts and answers themselves beside it, by task: for looking at where an answer differs.

Needs lm_eval==0.4.13 besides requirements.txt. The tasks are the harness's own (prompts, examples, filters), with their
data read from files: nothing is loaded from a network.
"""

import argparse
import csv
import hashlib
import json
import os
import pathlib
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

import lm_eval
import yaml
from lm_eval.api.task import ConfigurableTask

TASKS = pathlib.Path(lm_eval.__file__).parent / "tasks"
SUBJECTS = ("abstract_algebra", "anatomy")


def task_config(*path):
    """A task as the harness has it, without where its data comes from and what needs code."""
    text = (TASKS.joinpath(*path)).read_text()
    config = yaml.safe_load(text.replace("!function ", ""))
    for name in ("dataset_name", "tag", "include"):
        config.pop(name, None)
    return config


def with_files(config, name, **files):
    return ConfigurableTask(
        config={**config, "task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    )


def mmlu_rows(path, out):
    with open(path, newline="") as file, open(out, "w") as lines:
        for row in csv.DictReader(file):
            choices = [row[f"choice{i}"] for i in range(4)]
            lines.write(json.dumps({"question": row["question"], "choices": choices, "answer": int(row["answer"])}))
            lines.write("\n")
    return str(out)


def tasks_of(data, work):
    """Tasks by the names that the recorded values have."""
    commonsense = str(data / "commonsenseqa" / "dev_rand_split.jsonl")
    gsm8k = {name: str(data / "gsm8k" / f"{name}.jsonl") for name in ("train", "test")}
    found = {
        "commonsenseqa": [
            with_files(
                {**task_config("commonsense_qa", "default.yaml"), "training_split": None},
                "commonsenseqa",
                validation=commonsense,
            )
        ],
    }
    for shots in (0, 5):
        found[f"gsm8k, {shots} shots"] = [
            with_files({**task_config("gsm8k", "gsm8k.yaml"), "num_fewshot": shots}, f"gsm8k{shots}", **gsm8k)
        ]
        found[f"mmlu, {shots} shots"] = [
            with_files(
                {
                    **task_config("mmlu", "default", "_default_template_yaml"),
                    "num_fewshot": shots,
                    "description": "The following are multiple choice questions (with answers) about "
                    f"{subject.replace('_', ' ')}.\n\n",
                },
                f"mmlu{shots}_{subject}",
                test=mmlu_rows(data / "mmlu" / "test" / f"{subject}_test.csv", work / f"{subject}_test.jsonl"),
                dev=mmlu_rows(data / "mmlu" / "dev" / f"{subject}_dev.csv", work / f"{subject}_dev.jsonl"),
            )
            for subject in SUBJECTS
        ]
    return found


def short(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prompt_of(sample):
    arguments = sample["arguments"]
    return arguments["gen_args_0"]["arg_0"] if isinstance(arguments, dict) else arguments[0][0]


def item_of(sample):
    """The hash of the prompt with what the model made of it: log-likelihoods, or the hash of an answer without spaces around it."""
    prompt = prompt_of(sample)
    if "acc" in sample:
        likelihoods = [round(float(reply[0]), 5) for reply in sample["filtered_resps"]]
        return {"prompt": short(prompt), "choices": likelihoods, "correct": bool(sample["acc"])}
    return {"prompt": short(prompt), "output": short(sample["resps"][0][0].strip()), "correct": bool(sample["exact_match"])}


def record(model, data, out, limits, batch, chat, wanted, texts):
    values = json.loads(out.read_text())["tasks"] if out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, tasks in tasks_of(data, pathlib.Path(folder)).items():
            if wanted and name not in wanted:
                continue
            answers = []
            generates = tasks[0].config.output_type == "generate_until"
            limit = limits[generates]
            items = values.get(name, []) if generates and tasks[0].config.num_fewshot == 0 else []
            for task in tasks:
                result = lm_eval.simple_evaluate(
                    model="hf",
                    model_args={"pretrained": str(model), "dtype": "float32"},
                    tasks=[task],
                    **(
                        {"samples": {task.config.task: list(range(len(items), limit))}}
                        if generates and items
                        else {"limit": limit - len(items)}
                    ),
                    batch_size=batch,
                    device="cpu",
                    log_samples=True,
                    apply_chat_template=chat,
                    bootstrap_iters=0,
                )
                (samples,) = result["samples"].values()
                kept = [s for s in samples if s.get("filter", "none") in ("none", "flexible-extract")]
                kept.sort(key=lambda s: s["doc_id"])
                items += [item_of(s) for s in kept]
                answers += [{"prompt": prompt_of(s), "answer": s["resps"][0][0]} for s in kept if "acc" not in s]
                if len(items) == limit:
                    break
            values[name] = items
            print(name, len(items), sum(item["correct"] for item in items) / len(items), flush=True)
            recorded = {"harness": lm_eval.__version__, "chat": chat, "tasks": values}
            out.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
            if texts and answers:
                others = json.loads(texts.read_text()) if texts.exists() else {}
                texts.write_text(json.dumps({**others, name: answers}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--answers", type=int)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--tasks", default="")
    parser.add_argument("--texts", type=pathlib.Path)
    args = parser.parse_args()
    limits = (args.limit, args.answers or args.limit)
    tasks = [name for name in args.tasks.split(";") if name]
    record(args.model, args.data, args.out, limits, args.batch, args.chat, tasks, args.texts)
