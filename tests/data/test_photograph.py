"""Single photographs, as they are decoded and cut. Witnesses: Pillow and numpy."""

import resource
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.data import photograph

RNG = np.random.default_rng(0)


def test_a_photograph_is_shrunk_to_its_short_side_and_cut_in_the_middle(tmp_path):
    # 40 x 20, halves of one color each: after shrinking by 2 the middle 10 x 10 are columns 5 to 14
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 20:] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    out = photograph.square(tmp_path / "wide.png", 10)
    assert out.shape == (10, 10, 3)
    assert (out[:, :4] == 0).all()
    assert (out[:, 6:] == 200).all()
    # 6 -> 2: bilinear with antialias is a triangle 6 pixels wide around the new pixel's middle, cut off at the border
    ramp = np.repeat(np.arange(6, dtype=np.uint8)[:, None, None] * 36, 6, 1).repeat(3, 2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    x = np.arange(6) + 0.5
    weights = np.maximum(0, 1 - np.abs(x - 1.5) / 3)
    expected = round(float((weights / weights.sum() * ramp[:, 0, 0]).sum()))
    assert photograph.square(tmp_path / "ramp.png", 2)[0, 0].tolist() == [expected] * 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_kind_of_photograph_becomes_rgb(tmp_path, mode):
    file = tmp_path / f"x.{'jpg' if mode == 'CMYK' else 'png'}"
    Image.fromarray(RNG.integers(0, 256, (30, 30, 3), np.uint8)).convert(mode).save(file)
    assert photograph.square(file, 8).shape == (8, 8, 3)


GRAY = np.arange(30 * 30, dtype=np.float64).reshape(30, 30) / 899  # black to white


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("16 bits.png", lambda: Image.fromarray(np.round(GRAY * 65535).astype(np.uint16))),
        ("16 bits.tif.png", lambda: Image.fromarray(np.round(GRAY * 65535).astype(np.uint16))),
        ("16 bits from high to low.tif.png", lambda: Image.fromarray(np.round(GRAY * 65535).astype(">u2"))),
        ("8 bits.png", lambda: Image.fromarray(np.round(GRAY * 255).astype(np.uint8))),
        ("with alpha.png", lambda: Image.fromarray(np.round(GRAY * 255).astype(np.uint8)).convert("LA")),
    ],
)
def test_gray_photographs_of_any_depth_keep_their_shades(tmp_path, name, photo):
    photo().save(tmp_path / name, format="TIFF" if ".tif" in name else None)
    out = photograph.square(tmp_path / name, 30)
    assert np.abs(out[..., 0] - GRAY * 255).max() <= 1
    assert (out == out[..., :1]).all()


def test_a_strip_takes_the_memory_of_a_photograph(tmp_path):
    """2 x 20,000 pixels, resized whole to 256 x 2,560,000, are 2 GB; the middle is the same."""
    strip = RNG.integers(0, 256, (20_000, 2, 3), np.uint8)
    for name, pixels in (("long", strip), ("wide", strip.transpose(1, 0, 2))):
        file = tmp_path / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(pixels)).save(file)
        before = peak_memory()
        out = photograph.square(file, 256)
        assert peak_memory() - before < 100_000_000
        assert out.shape == (256, 256, 3)
    short = Image.fromarray(strip[9980:10_020]).resize((64, 1280), Image.Resampling.BILINEAR)
    expected = np.asarray(short.crop((0, 608, 64, 672)))
    assert np.abs(photograph.square(tmp_path / "long.png", 64).astype(int) - expected).max() <= 1


def peak_memory():
    """Bytes of this process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("size", [(100_000, 100_000), (20_000, 5_000)])
def test_more_pixels_than_fit_are_refused_before_they_are_decoded(tmp_path, size):
    """A PNG of a few bytes: its header alone says how large it is."""
    header = struct.pack(">II5B", *size, 8, 2, 0, 0, 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    file = tmp_path / "bomb.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))))
    [(named, wrong)] = photograph.decoded([file], 8)
    assert named == file
    assert "pixels" in wrong or "DecompressionBomb" in wrong


@pytest.mark.parametrize(
    "error", [NotImplementedError, SyntaxError, IndexError, KeyError, MemoryError, ZeroDivisionError]
)
def test_whatever_a_reader_raises_is_said_of_its_file(tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error("out of its depth")

    monkeypatch.setattr(Image, "open", refuse)
    assert list(photograph.decoded([tmp_path / "x.png"], 8)) == [
        (tmp_path / "x.png", f"{error.__name__}: {error('out of its depth')}")
    ]


@pytest.mark.parametrize("kind", ["DDS", "EPS", "a float", "32 bits"])
def test_what_is_no_photograph_whatever_its_name_is_refused(tmp_path, kind):
    file = tmp_path / "x.jpeg"
    if kind == "DDS":
        Image.new("RGB", (8, 8)).save(file, format="DDS")
    elif kind == "EPS":
        Image.new("RGB", (8, 8)).save(file, format="EPS")
    else:
        Image.new("F" if kind == "a float" else "I", (8, 8), 300).save(file, format="TIFF")
    [(_, wrong)] = photograph.decoded([file], 8)
    assert ("which of them is white is not known" in wrong) == (kind in ("a float", "32 bits"))
    assert isinstance(wrong, str)
