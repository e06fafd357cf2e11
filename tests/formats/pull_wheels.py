#!/usr/bin/env python3
"""Builds a wheel (a zip with three pages of metadata) for the tests of `pull`.

    pull_wheels.py FOLDER PACKAGE VERSION [damage=KIND] MEMBER=FILE...

KIND: crc (a wrong checksum), size (the directory claims a size that the data does not have), bomb (it claims 4 GiB).
"""
import struct
import sys
import zipfile


def main():
    folder, package, version = sys.argv[1:4]
    members = [a.split("=", 1) for a in sys.argv[4:]]
    damage = [v for k, v in members if k == "damage"]
    stem = package.replace("-", "_")
    path = "%s/%s-%s-py3-none-any.whl" % (folder, stem, version)
    info = "%s-%s.dist-info/" % (stem, version)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, source in members:
            if name != "damage":
                with open(source, "rb") as file:
                    wheel.writestr(name, file.read())
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (package, version))
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    if damage:
        spoil(path, damage[0])


def spoil(path, kind):
    """Changes the first entry of the central directory and its local header (APPNOTE 4.3.7 and 4.3.12)."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    central = data.find(b"PK\x01\x02")
    for crc, size in ((14, 22), (central + 16, central + 24)):
        if kind == "crc":
            data[crc] ^= 0xFF
        else:
            struct.pack_into("<I", data, size, 0xFFFFFFF0 if kind == "bomb" else 5)
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main()
