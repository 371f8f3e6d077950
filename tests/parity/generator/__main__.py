"""Reference values for the tests, computed by PyTorch, transformers and PEFT (f32, one thread, seeded).

usage: python tests/parity/generator record FIXTURES RECORDED [--only TEXT]
       python tests/parity/generator logits REQUESTS.json

`npm run parity` calls both; `npm run parity -- --record` rewrites tests/fixtures and tests/parity/recorded.
"""

import argparse
import json
import pathlib
import sys

import torch
from transformers.utils import logging

from cases import CASES
from clusters import record_assignments, record_clusters
from decoding import record_decoding
from dropout import record_dropout
from elsewhere import record_elsewhere
from foreign import write_logits
from models import record_real_model, write_fixtures
from optimizers import record_optimizers
from package import record_package
from nf4 import record_nf4
from packed import record_packed
from quantization import record_quantization
from record import record
from ropes import record_ropes
from schedules import record_schedules
from templates import record_templates, record_tokens

SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data"


def record_all(fixtures, recorded, only):
    for folder in (fixtures, recorded):
        folder.mkdir(parents=True, exist_ok=True)
    if only is None:
        write_fixtures(fixtures)
        record_clusters(SHARED, recorded)
        record_assignments(recorded)
        record_decoding(fixtures, recorded)
        record_ropes(recorded)
        record_dropout(recorded)
        record_optimizers(fixtures, recorded)
        record_package(fixtures, recorded)
        record_elsewhere(fixtures, recorded)
        record_nf4(recorded)
        record_packed(recorded)
        record_schedules(recorded)
        record_quantization(recorded)
        record_templates(SHARED, recorded)
        record_tokens(SHARED, recorded)
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
    command = commands.add_parser("logits", help="write the logits of model and adapter folders")
    command.add_argument("requests", type=pathlib.Path, help="a list of {model, adapter (or null), ids, out}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    if arguments.command == "record":
        record_all(arguments.fixtures, arguments.recorded, arguments.only)
    else:
        for request in json.loads(arguments.requests.read_text()):
            write_logits(**request)


if __name__ == "__main__":
    sys.exit(main())
