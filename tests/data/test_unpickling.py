"""A pickle from elsewhere: what is data comes out as pickle's own reader has it, and nothing is ever called."""

import os
import pickle
import struct

import numpy as np
import pytest

from pipeline.data.unpickling import Untrusted, unpickle


def published(data: np.ndarray, labels: list[int]) -> bytes:
    """A CIFAR file as Python 2 and numpy 1 wrote it, by hand: protocol 2, numpy.core, text as bytes."""
    raw, rows, columns = data.tobytes(), *data.shape

    def word(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    def number(n: int) -> bytes:
        return b"J" + struct.pack("<i", n)

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + number(0) + b"\x85" + word(b"b") + b"tR"
        b"(" + number(1) + number(rows) + number(columns) + b"\x86"
        b"cnumpy\ndtype\n(" + word(b"u1") + number(0) + number(1) + b"tR"
        b"(" + number(3) + word(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
        b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    )  # fmt: skip
    listed = b"](" + b"".join(number(label) for label in labels) + b"e"
    return b"\x80\x02}(" + word(b"data") + array + word(b"labels") + listed + b"u."


DATA = np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8)


def test_what_python_2_wrote_is_read_as_pickle_itself_reads_it():
    bytes_ = published(DATA, [3, 1, 4, 1])
    theirs = pickle.loads(bytes_.replace(b"numpy.core", b"numpy._core"), encoding="bytes")
    ours = unpickle(bytes_)
    assert np.array_equal(ours["data"], theirs[b"data"])
    assert np.array_equal(ours["data"], DATA)
    assert ours["labels"] == theirs[b"labels"] == [3, 1, 4, 1]


@pytest.mark.parametrize("value", [{"a": [1, b"x", "y", [2]], "b": -(2**70)}, [], {}, 7])
def test_plain_values_come_out_as_they_went_in(value):
    assert unpickle(pickle.dumps(value)) == value


class Calls:
    """A pickle that calls `function` when it is read by pickle itself."""

    def __init__(self, function, *words):
        self.all = function, words

    def __reduce__(self):
        return self.all


def poisons(mark):
    """Pickles that leave a mark when pickle reads them."""
    shell, code = f"touch {mark}", f"open({str(mark)!r}, 'w').close()"
    by_hand = b"\x80\x02cposix\nsystem\nU" + bytes([len(shell)]) + shell.encode() + b"\x85R."
    return {
        "os.system": pickle.dumps(Calls(os.system, shell)),
        "os.system by hand": by_hand,
        "os.system by INST": b"(S'" + shell.encode() + b"'\nios\nsystem\n.",
        "builtins.eval": pickle.dumps(Calls(eval, code)),
        "builtins.exec in a list": pickle.dumps([1, {"data": Calls(exec, code)}]),
        "in an array of objects": pickle.dumps(np.array([Calls(eval, code)], dtype=object), 4),
    }


@pytest.mark.parametrize("name", list(poisons("x")))
def test_a_poison_is_refused_and_runs_nothing(name, tmp_path):
    """Read by pickle itself it does run: so it is one."""
    poison, mark = poisons(tmp_path / "mark")[name], tmp_path / "mark"
    with pytest.raises(Untrusted, match="wants to call"):
        unpickle(poison)
    assert not mark.exists()
    pickle.loads(poison)
    assert mark.exists()


@pytest.mark.parametrize(
    "other",
    [
        pickle.dumps(Calls(getattr, [], "append")),
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy\nndarray.tofile\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cbuiltins\nlist\n(K\x00tU\x01btR.",
        b"\x80\x02\x82\x01.",
        b"Pid\n.",
        published(DATA, [1])[:-9],
        published(DATA, [1]).replace(struct.pack("<i", 6), struct.pack("<i", 7), 1),
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        b"",
        b"<!DOCTYPE html><title>404</title>",
    ],
)
def test_anything_else_is_refused(other):
    with pytest.raises(Untrusted):
        unpickle(other)
