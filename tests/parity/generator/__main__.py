"""Reference values for the tests, computed by PyTorch, transformers and PEFT (f32, one thread, seeded).

usage: python tests/parity/generator record FIXTURES RECORDED [--only TEXT]
       python tests/parity/generator logits MODEL ADAPTER IDS OUT.safetensors


"""

import argparse
import pathlib
import sys

import torch
from transformers.utils import logging

from cases import CASES
from clusters import record_assignments, record_clusters
from foreign import write_logits
from models import record_real_model, write_fixtures
from record import record

SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data"


def record_all(fixtures, recorded, only):
    for folder in (fixtures, recorded):
        folder.mkdir(parents=True, exist_ok=True)
    if only is None:
        write_fixtures(fixtures)
        record_clusters(recorded)
        record_assignments(recorded)
        record_real_model(SHARED, recorded)
    chosen = [case for case in CASES if only is None or only in case.name]
    for number, case in enumerate(chosen, 1):
        print(f"{number} of {len(chosen)}: {case.name}", flush=True)
        record(case, fixtures, recorded)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("record", help="write the small models and the reference values")
    command.add_argument("fixtures", type=pathlib.Path)
    command.add_argument("recorded", type=pathlib.Path)
    command.add_argument("--only", help="cases whose name contains this, with the models that are there")
    command = commands.add_parser("logits", help="write the logits of a model folder with an adapter folder")
    command.add_argument("model", type=pathlib.Path)
    command.add_argument("adapter", help="'-': none")
    command.add_argument("ids", help="1,2,3")
    command.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    if arguments.command == "record":
        record_all(arguments.fixtures, arguments.recorded, arguments.only)
    else:
        ids = [int(text) for text in arguments.ids.split(",")]
        write_logits(arguments.model, None if arguments.adapter == "-" else pathlib.Path(arguments.adapter), ids, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
