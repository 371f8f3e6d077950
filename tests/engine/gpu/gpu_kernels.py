"""Writes recorded/gpuKernels.json: the GPU kernels of the operations that the engine's graphs use, from TensorFlow's own registry.

usage: gpu_kernels.py        (needs the wheel `tensorflow` in the version that src-main/setup/paths.mjs pins; no GPU)

A kernel accepts a node if each attribute that it names has one of its types. "host" are the arguments that it keeps in
the memory of the host. Kernels that differ in the types of one attribute alone are written as one.
"""

import json
import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow
from tensorflow.python.framework import dtypes, kernels

OPERATIONS = """
_SwitchN Abs AddN AddV2 ArgMax AssignAddVariableOp AssignSubVariableOp AssignVariableOp BatchMatMulV2 Bitcast BroadcastTo
Bucketize Case Cast ConcatV2 Const Cos DeepCopy DestroyResourceOp Equal Exp Fill FloorDiv FloorMod GatherV2
GreaterEqual Identity If IsFinite L2Loss Less LessEqual Log LogicalAnd MatMul Max Maximum Mean Merge Minimum Mul Neg Pad
PartitionedCall ReadVariableOp RealDiv Reshape ResourceApplyAdam ResourceStridedSliceAssign Rsqrt SelectV2 Sigmoid Sin
Slice Softmax SparseSoftmaxCrossEntropyWithLogits Sqrt Square StatefulPartitionedCall StatelessRandomUniform Sub Sum
Tanh Transpose UnsortedSegmentSum VarHandleOp
""".split()

NAMES = {
    "float32": "f32",
    "bfloat16": "bf16",
    "float16": "f16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "u8",
    "int8": "i8",
    "bool": "bool",
}


def types_of(constraint):
    names = (dtypes.as_dtype(value).name for value in constraint.allowed_values.list.type)
    return {NAMES[name] for name in names if name in NAMES}


def kernels_of(operation):
    """Of what remains the same, the union of what differs: (host arguments, constraints) of every kernel."""
    found = []
    for kernel in kernels.get_registered_kernels_for_op(operation).kernel:
        if kernel.device_type not in ("GPU", "DEFAULT") or kernel.label:
            continue
        types = {constraint.name: types_of(constraint) for constraint in kernel.constraint}
        host = sorted(kernel.host_memory_arg)
        if all(types.values()) and not any(merge(other, types, host) for other in found):
            found.append({"types": types, "host": host})
    return [
        {"types": {name: sorted(values) for name, values in kernel["types"].items()}, "host": kernel["host"]}
        for kernel in found
    ]


def merge(other, types, host):
    if other["host"] != host or other["types"].keys() != types.keys():
        return False
    different = [name for name in types if types[name] != other["types"][name]]
    if len(different) > 1:
        return False
    for name in different:
        other["types"][name] |= types[name]
    return True


lines = (f"    {json.dumps(name)}: {json.dumps(kernels_of(name))}" for name in OPERATIONS)
target = pathlib.Path(__file__).with_name("recorded") / "gpuKernels.json"
header = f'{{\n  "tensorflow": {json.dumps(tensorflow.__version__)},\n  "operations": {{\n'
target.write_text(header + ",\n".join(lines) + "\n  }\n}\n")
print(f"{target}: {len(OPERATIONS)} operations, {target.stat().st_size} bytes")
