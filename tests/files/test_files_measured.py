"""Files whose descriptions would become far more than their bytes are refused unparsed."""

from __future__ import annotations

import re

import numpy as np

import simdrnn as sr
from helpers_files import npy, refused, skip_without_package, zipped
from helpers_loops import every

HOLLOW = {
    "objects": b"[" + b"{}," * 200_000 + b"{}]",
    "nested": b"[" * 500_000,
    "names": b'{"simdrnn":{' + b",".join(b'"%x":0' % k for k in range(60_000)) + b"}}",
}


@every("name", HOLLOW)
def test_descriptions_longer_than_any_are_not_parsed(name, tmp_path):
    path = zipped(tmp_path / "a.npz", [("simdrnn.npy", npy(np.frombuffer(HOLLOW[name], "u1")))])

    assert "expected a description of at most" in refused(path)


def test_headers_that_are_all_of_a_file_are_not_parsed(tmp_path):
    skip_without_package(".safetensors")
    names = b",".join(b'"%x":""' % k for k in range(300_000))
    header = b'{"__metadata__":{' + names + b"}}"
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)

    assert "expected a header of at most" in refused(path)


def test_archives_that_list_more_than_they_have_are_not_parsed(tmp_path):
    sr.RNN(2, 3).save(tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    entry = b"PK\x01\x02" + b"\0" * 42
    (tmp_path / "b.npz").write_bytes(whole[:-22] + entry * 25_000 + whole[-22:])

    assert re.search(r"expected at most \d+ members in", refused(tmp_path / "b.npz"))
