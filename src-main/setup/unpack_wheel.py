"""Unpacks what the studio needs of a TensorFlow wheel: the two libraries, the C headers, licences, the list of CUDA packages.

usage: unpack_wheel.py WHEEL FOLDER
"""

import os
import re
import sys
import zipfile

KEPT = re.compile(
    r"^tensorflow/libtensorflow_(cc|framework)\.so\.2$"
    r"|^tensorflow/include/(tensorflow/c|tensorflow/core/platform|xla/tsl/c|tsl)/.*\.h$"
    r"|^tensorflow/include/external/.*/tsl/.*\.h$"
    r"|^tensorflow-[^/]*dist-info/|^tensorflow_cpu-[^/]*dist-info/|^tensorflow/THIRD_PARTY_NOTICES"
)

wheel, folder = sys.argv[1], sys.argv[2]
with zipfile.ZipFile(wheel) as archive:
    metadata = ""
    for info in archive.infolist():
        if not KEPT.match(info.filename) or ".." in info.filename.split("/"):
            continue
        archive.extract(info, folder)
        if info.filename.endswith(".dist-info/METADATA"):
            metadata = archive.read(info).decode()
    requirements = [
        re.split(r";", line[len("Requires-Dist: "):])[0].strip()
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ") and "and-cuda" in line
    ]
with open(os.path.join(folder, "cuda-requirements.txt"), "w") as file:
    file.write("\n".join(requirements) + "\n")
