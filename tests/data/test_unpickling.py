"""A pickle from elsewhere: what is data comes out as numpy's own reader has it, and nothing is ever called."""

import os
import pickle
import pickletools
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
    assert [op.name for op, _, _ in pickletools.genops(bytes_)].count("STOP") == 1
    theirs = pickle.loads(bytes_.replace(b"numpy.core", b"numpy._core"), encoding="bytes")
    ours = unpickle(bytes_)
    assert np.array_equal(ours["data"], theirs[b"data"])
    assert ours["labels"] == theirs[b"labels"] == [3, 1, 4, 1]


@pytest.mark.parametrize("kind", ["u1", "i2", "<i4", ">u8", "f4", ">f8"])
def test_plain_arrays_of_either_order(kind):
    array = np.asfortranarray(np.arange(12).reshape(3, 4).astype(kind))
    [found] = unpickle(pickle.dumps([array], 4))
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


@pytest.mark.parametrize("value", [{"a": [1, b"x", "y", [2]], "b": -(2**70)}, [], {}, "text", b"bytes", 7])
def test_plain_values_come_out_as_they_went_in(value):
    assert unpickle(pickle.dumps(value)) == value


class Calls:
    """A pickle that calls `function` when it is read by pickle itself."""

    def __init__(self, function, *words):
        self.all = function, words

    def __reduce__(self):
        return self.all


def touch(path) -> str:
    return f"open({str(path)!r}, 'w').close()"


def poisons(mark):
    """Pickles that leave a mark when pickle reads them, or give numpy what it should not have."""
    shell, code = f"touch {mark}", touch(mark)
    os_system = b"\x80\x02cposix\nsystem\nU" + bytes([len(shell)]) + shell.encode() + b"\x85R."
    return {
        "os.system": pickle.dumps(Calls(os.system, shell)),
        "os.system by hand": os_system,
        "builtins.eval": pickle.dumps(Calls(eval, code)),
        "builtins.exec in a list": pickle.dumps([1, {"data": Calls(exec, code)}]),
        "os.system by INST": b"(S'" + shell.encode() + b"'\nios\nsystem\n.",
        "getattr": pickle.dumps(Calls(getattr, [], "append")),
        "numpy's loader": b"cnumpy\nload\n(S'" + str(mark).encode() + b"'\ntR.",
        "numpy's test runner": b"cnumpy.testing._private.utils\nrunstring\n(S'" + code.encode() + b"'\n}tR.",
        "an array of objects": pickle.dumps(np.array([Calls(eval, code)], dtype=object), 4),
        "an array of records": pickle.dumps(np.zeros(2, [("a", "u1")]), 4),
        "_reconstruct of another class": b"cnumpy.core.multiarray\n_reconstruct\n(cbuiltins\nlist\n(K\x00tU\x01btR.",
        "_reconstruct of a name": b"cnumpy.core.multiarray\n_reconstruct\n(U\x04evilK\x00\x85U\x01btR.",
        "a call of the name": b"cnumpy\nndarray\nK\x01\x85R.",
        "an object of the name": b"\x80\x02cnumpy\nndarray\n)\x81.",
        "attributes set on a stand-in": b"cnumpy\ndtype\n}U\x08__call__K\x01sb.",
        "slots set on a stand-in": b"\x80\x02cnumpy\ndtype\nN}U\x09__class__K\x01s\x86b.",
        "the stand-in itself": b"cnumpy\ndtype\n.",
        "an empty array": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR.",
        "more shape than bytes": published(DATA, [1]).replace(struct.pack("<i", 6), struct.pack("<i", 7), 1),
        "an extension code": b"\x80\x02\x82\x01.",
        "a persistent name": b"Pid\n.",
        "a set": pickle.dumps({1, 2}),
        "a tuple": pickle.dumps((1, 2)),
        "a float": pickle.dumps(1.5),
        "nothing": pickle.dumps(None),
        "a truth": pickle.dumps(True),
        "a list within itself": b"]2a.",
        "half a file": published(DATA, [1])[:-9],
        "no bytes": b"",
        "a page of HTML": b"<!DOCTYPE html><title>404</title>",
    }


@pytest.mark.parametrize("name", list(poisons("x")))
def test_anything_else_is_refused_and_runs_nothing(name, tmp_path):
    with pytest.raises(Untrusted):
        unpickle(poisons(tmp_path / "mark")[name])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["os.system", "os.system by hand", "builtins.eval", "builtins.exec in a list"])
def test_the_poison_is_poison(name, tmp_path):
    pickle.loads(poisons(tmp_path / "mark")[name])
    assert (tmp_path / "mark").exists()


def laughs(levels, width):
    """A list of `width` times a list of `width` times ..., in few bytes."""
    lists = (b"0]q" + bytes([n + 1]) + b"(" + (b"h" + bytes([n])) * width + b"e" for n in range(levels))
    return b"\x80\x02]q\x00" + b"".join(lists) + b"."


def bombs():
    """Small pickles that make a reader's memory, stack or time overflow."""
    return {
        "a tuple as deep as the stack for a key": b"\x80\x02})" + b"\x85" * 2_000_000 + b"K\x01s.",
        "a place for 2^31 values": b"\x80\x02]r" + struct.pack("<I", 2**31 - 16) + b".",
        "a text of a terabyte": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        "a deep tuple in a kind": b"cnumpy\ndtype\nU\x02u1\x85R(K\x03)" + b"\x85" * 100_000 + b"NNNtb.",
        "a deep list in a kind": b"\x80\x02cnumpy\ndtype\nU\x02u1\x85R(K\x03"
        + b"]" * 100_000
        + b"a" * 99_999
        + b"NNNtb.",
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_a_small_pickle_that_would_be_too_much_is_refused(name):
    with pytest.raises(Untrusted):
        unpickle(bombs()[name])


def test_lists_that_lie_in_several_places_are_looked_through_once():
    assert unpickle(laughs(2, 3)) == [[[]] * 3] * 3
    whole = unpickle(laughs(7, 60))  # 60^7 lists, were each copied
    assert len(whole) == 60
