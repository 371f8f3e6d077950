"""Unpacks what the studio needs of a TensorFlow wheel: the two libraries, the C headers, licences.

usage: unpack_wheel.py WHEEL FOLDER
"""

import re
import sys
import zipfile

KEPT = re.compile(
    r"^tensorflow/libtensorflow_(cc|framework)(\.so\.2|\.2\.dylib)$"
    r"|^tensorflow/include/(tensorflow/c|tensorflow/core/platform|xla/tsl/c|tsl)/.*\.h$"
    r"|^tensorflow/include/external/.*/tsl/.*\.h$"
    r"|^tensorflow-[^/]*dist-info/|^tensorflow_cpu-[^/]*dist-info/|^tensorflow/THIRD_PARTY_NOTICES"
)

wheel, folder = sys.argv[1], sys.argv[2]
with zipfile.ZipFile(wheel) as archive:
    for info in archive.infolist():
        if KEPT.match(info.filename) and ".." not in info.filename.split("/"):
            archive.extract(info, folder)
