import gc
import io
import threading
import time

import numpy as np
import pytest

from pipeline.data.npy import array_of, npy


def written_by_numpy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.array([True]), np.zeros((0, 3), np.int16), np.array(7),
        np.arange(3, dtype=">u4"), np.zeros((1,) * 32, np.float16),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape[:3]}",
)  # fmt: skip
def test_npy_files_are_numpys(array):
    assert bytes(npy(array)) == written_by_numpy(array)
    read = array_of(npy(array))
    assert read.dtype == array.dtype
    assert read.shape == array.shape
    assert np.array_equal(read, array)


@pytest.mark.parametrize(
    "array",
    [np.asfortranarray(np.ones((2, 3))), np.array([None]), np.zeros(2, [("x", np.uint8)])],
    ids=["fortran", "objects", "records"],
)
def test_what_strive_does_not_write_is_refused(array):
    with pytest.raises(ValueError, match="strive does not write"):
        array_of(written_by_numpy(array))


def test_threads_read_headers_at_once():
    """What parses with `ast` mostly fails here under Python 3.11: a collection of garbage switches threads."""
    data, failed, until = bytes(npy(np.zeros((5, 8, 8, 3), np.uint8))), [], time.monotonic() + 0.5

    def read():
        while time.monotonic() < until:
            try:
                array_of(data)
            except SystemError as error:
                failed.append(error)

    def switch(*_):
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.set_threshold(10)
    gc.callbacks.append(switch)
    try:
        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.callbacks.remove(switch)
        gc.set_threshold(*threshold)
    assert not failed
