"""Makes the files of the corpus that other programs write: images by Pillow 13, and what Pillow reads from them
(`*.pillow.png`); sounds by libsndfile 1.2 (soundfile 0.14), and AAC by FFmpeg (PyAV 18.1); tables by pandas 3.1, Polars 2.1 and pyarrow 23. Their bytes are those of
these versions, and Ogg files have random numbers, so `make.py` leaves them alone."""

import datetime
import decimal
import io
import json
import pathlib
import struct
import tarfile
import zlib

import av
import numpy
import pandas
import polars
import pyarrow.parquet
import soundfile
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
LANCZOS = Image.Resampling.LANCZOS


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def put(name, data):
    (HERE / "image" / name).write_bytes(data)


def with_pixels(name, data):
    put(name, data)
    image = Image.open(io.BytesIO(data))
    if image.mode in ("RGBA", "LA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    put(name + ".pillow.png", encoded(image.convert("RGB"), "PNG", optimize=True))


def palette_of_4_bits(image):
    """A TIFF file with two indices in a byte, which Pillow reads but does not write."""
    indices = numpy.asarray(image)
    data = (indices[:, ::2] << 4 | indices[:, 1::2]).tobytes()
    colors = numpy.array(image.getpalette(), "<u2").reshape(-1, 3)[:16].T * 257
    height, width = indices.shape
    short = lambda tag, value: struct.pack("<HHIHH", tag, 3, 1, value, 0)
    head = b"II*\0" + struct.pack("<IH", 8, 9)
    behind = len(head) + 9 * 12 + 4
    entries = [short(256, width), short(257, height), short(258, 4), short(259, 1), short(262, 3)]
    entries += [short(273, behind + 96), short(278, height), short(279, len(data))]
    entries += [struct.pack("<HHII", 320, 3, 48, behind)]
    return head + b"".join(entries) + bytes(4) + colors.tobytes() + data


def interlaced_png(pixels):
    """A PNG file in seven passes, which Pillow reads but does not write."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    lines = [line for x, y, dx, dy in passes for line in pixels[y::dy, x::dx]]
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width, _ = pixels.shape
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines)))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


WIDTH, HEIGHT = 24, 16
y, x = numpy.mgrid[:HEIGHT, :WIDTH]
picture = Image.fromarray(numpy.stack([x * 10, y * 15, (x * x + y * y) % 256 // 2 + 60], 2).astype("u1"))
noise = Image.fromarray(numpy.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype="u1"))
ramp = numpy.arange(48) * 5
smooth = Image.fromarray(numpy.stack([*numpy.meshgrid(ramp, ramp), numpy.full((48, 48), 90)], 2).astype("u1"))
glass = picture.convert("RGBA")
glass.putalpha(Image.fromarray(((y * 8 + x * 5) % 256).astype("u1")))

with_pixels("good.webp", encoded(picture, "WEBP", quality=90))
with_pixels("good-alpha.webp", encoded(glass, "WEBP", lossless=True))
moving = dict(save_all=True, append_images=[picture.rotate(180)], lossless=True, duration=100)
with_pixels("good-moving.webp", encoded(picture, "WEBP", **moving))
with_pixels("good.tiff", encoded(picture, "TIFF", compression="tiff_lzw"))
with_pixels("good-jpeg.tiff", encoded(picture, "TIFF", compression="jpeg", quality=95))
with_pixels("good-cmyk.tiff", encoded(picture.convert("CMYK"), "TIFF"))
with_pixels("good.ppm", encoded(picture, "PPM"))
with_pixels("good.ico", encoded(picture.resize((16, 16)), "ICO", sizes=[(16, 16)]))
with_pixels("good.jpeg", encoded(picture, "JPEG", quality=90))
with_pixels("good-gray.jpeg", encoded(picture.convert("L"), "JPEG", quality=90))
with_pixels("good-progressive.jpeg", encoded(noise, "JPEG", quality=85, progressive=True))
with_pixels("good-noise.jpeg", encoded(noise, "JPEG", quality=85))
with_pixels("good-smooth.jpeg", encoded(smooth, "JPEG", quality=85, optimize=True))
with_pixels("good-restarts.jpeg", encoded(noise, "JPEG", quality=50, restart_marker_rows=1))
with_pixels("good-flat.jpeg", encoded(Image.new("L", (32, 32), 200), "JPEG"))
cmyk = encoded(picture.convert("CMYK"), "JPEG", quality=95)
with_pixels("good-cmyk.jpeg", cmyk)
# The same numbers as YCCK: the last byte of Adobe's segment says so.
transform = cmyk.index(b"Adobe") + 11
with_pixels("good-ycck.jpeg", cmyk[:transform] + b"\2" + cmyk[transform + 1:])
deep = Image.fromarray(((y * 3000 + x * 500) % 65536).astype("<u2"))
put("good-16-bit.tiff", encoded(deep, "TIFF"))
put("good-16-bit.png", encoded(deep, "PNG"))
put("image.avif", encoded(picture.resize((8, 8)), "AVIF", quality=30))
put("good-interlaced.png", interlaced_png(numpy.asarray(noise)))
put("good-interlaced.gif", encoded(noise.quantize(), "GIF", interlace=1))
still = encoded(noise, "WEBP", quality=80)
put("cut.webp", still[:len(still) * 6 // 10])
put("good-noise.webp", still)
frames = dict(save_all=True, append_images=[noise.rotate(90), noise.rotate(180)], quality=60, duration=100)
put("good-moving-lossy.webp", encoded(noise, "WEBP", **frames))
# Pixels of the TIFF files below: Pillow shows floats and large integers only cut off at 255.
with_pixels("good-palette.tiff", encoded(picture.quantize(200), "TIFF"))
with_pixels("good-16-colors.tiff", palette_of_4_bits(picture.quantize(16)))
with_pixels("good-ycbcr.tiff", encoded(picture.convert("YCbCr"), "TIFF"))
gray = picture.convert("L")
faint = gray.convert("LA")
faint.putalpha(glass.getchannel("A"))
with_pixels("good-gray-alpha.tiff", encoded(faint, "TIFF"))
with_pixels("good-bits.tiff", encoded(picture.convert("1"), "TIFF", compression="group4"))
levels = numpy.asarray(gray)
put("good-float.tiff", encoded(Image.fromarray((levels / numpy.float32(255)).astype("<f4")), "TIFF"))
put("wide-float.tiff", encoded(Image.fromarray(levels.astype("<f4")), "TIFF"))
put("signed.tiff", encoded(Image.fromarray(levels.astype("<i4")), "TIFF"))
put("good-gray.png", encoded(gray, "PNG", optimize=True))
put("zstd.tiff", encoded(picture, "TIFF", compression="zstd"))
put("lzma.tiff", encoded(picture, "TIFF", compression="lzma"))
put("lab.tiff", encoded(picture.convert("LAB"), "TIFF"))
put("good-noise.tiff", encoded(noise, "TIFF"))
put("good-noise-lzw.tiff", encoded(noise, "TIFF", compression="tiff_lzw"))
put("good-noise-jpeg.tiff", encoded(noise, "TIFF", compression="jpeg", quality=80))
source = Image.open(HERE / "image" / "good-smooth.jpeg.pillow.png").convert("RGB")
for name, resized in [
    ("stretch", source.resize((21, 13), LANCZOS)),
    ("crop", ImageOps.fit(source, (21, 13), LANCZOS)),
    ("pad", ImageOps.pad(source, (21, 13), LANCZOS, color=(0, 0, 0))),
]:
    put(f"good-resized-{name}.png", encoded(resized, "PNG", optimize=True))


y, x = numpy.mgrid[:480, :640]
large = numpy.stack([x * y // 300 % 256, x * 2 % 256, (x + y) // 5 % 256], 2).astype("u1")
put("good-resized-large.png", encoded(Image.fromarray(large).resize((33, 21), LANCZOS), "PNG", optimize=True))
put("good-resized-large-gray.png", encoded(Image.fromarray(large[:, :, 0]).resize((33, 21), LANCZOS), "PNG", optimize=True))


def sound(name, samples, kind, coding=None):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=coding)
    (HERE / "audio" / name).write_bytes(file.getvalue())


RATE, FRAMES = 8000, 1200
n = numpy.arange(FRAMES)
tone = numpy.round(20000 * numpy.sin(numpy.pi * n / FRAMES) * numpy.sin(2 * numpy.pi * 440 * n / RATE)).astype("<i2")
sound("good.flac", tone, "FLAC", "PCM_16")
sound("good-stereo-24.flac", numpy.stack([tone, tone // 2], 1).astype("i4") << 16, "FLAC", "PCM_24")
sound("good.ogg", tone, "OGG", "VORBIS")
sound("good-opus.ogg", tone, "OGG", "OPUS")
sound("good.mp3", tone, "MP3")
sound("good.aiff", tone, "AIFF", "PCM_16")
sound("good.caf", tone, "CAF", "PCM_16")
sound("good-ima.wav", tone, "WAV", "IMA_ADPCM")
sound("good-ms.wav", tone, "WAV", "MS_ADPCM")
for name, kind in [("good.w64", "W64"), ("good-rf64.wav", "RF64"), ("good.au", "AU")]:
    sound(name, tone[:300], kind, "PCM_16")
for name, kind in [("good.m4a", "ipod"), ("good.aac", "adts")]:
    with av.open(str(HERE / "audio" / name), "w", format=kind) as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=24000)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        convert = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        for part in [*convert.resample(frame), *convert.resample(None), None]:
            container.mux(stream.encode(part))
t = numpy.arange(9000) / RATE
sound("good-long.flac", numpy.round(12000 * numpy.sin(2 * numpy.pi * (200 * t + 150 * t * t))).astype("<i2"), "FLAC", "PCM_16")

wide = polars.Series([1, 2], dtype=polars.Int128)
polars.DataFrame({"id": [1, 2], "big": wide}).write_parquet(HERE / "parquet" / "bad-int128.parquet")


rows = {"id": ["a", "b", "c"], "value": [0.5, -1.25, 3.0], "kind": ["cat", "dog", "cat"], "count": [1, 2, 3]}


def table(name, data, **options):
    pyarrow.parquet.write_table(data, HERE / "parquet" / name, **options)


# As the writers lay a table out: an index and categories; views of text; no Arrow schema; timestamps of 96 bits.
frame = pandas.DataFrame(rows).astype({"kind": "category"}).set_index("id")
frame[frame["count"] > 0].to_parquet(HERE / "parquet" / "good-pandas.parquet")
polars.DataFrame(rows).with_columns(polars.col("kind").cast(polars.Categorical)).write_parquet(HERE / "parquet" / "good-polars.parquet")
plain = pyarrow.table({**rows, "at": pyarrow.array([0, 1, 2], pyarrow.timestamp("us"))})
table("good-duckdb-like.parquet", plain.drop_columns("at"), store_schema=False, compression="snappy", row_group_size=2)
spark = plain.replace_schema_metadata({"org.apache.spark.version": "4.0.0"})
table("good-spark-like.parquet", spark, store_schema=False, use_deprecated_int96_timestamps=True, version="1.0", compression="snappy")

days = [datetime.date(2024, 2, 29), None, datetime.date(1969, 12, 31)]
times = [datetime.datetime(2024, 2, 29, 23, 59, 59, 123456), None, datetime.datetime(1900, 1, 1)]
table("good-types.parquet", pyarrow.table({
    **rows,
    "days": pyarrow.array(days, pyarrow.date64()),
    "times": pyarrow.array(times, pyarrow.timestamp("ns")),
    "pairs": pyarrow.array([[("a", 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int32())),
    "prices": pyarrow.array([decimal.Decimal("12345678901234567890.12"), None, decimal.Decimal("-0.01")], pyarrow.decimal128(25, 2)),
    "spans": pyarrow.array([1, None, -5], pyarrow.duration("ms")),
}), use_deprecated_int96_timestamps=True)

with tarfile.open(HERE / "tar" / "img2dataset.tar", "w") as tar:
    for key, caption in [("000000000", "a red square"), ("000000001", "ein grünes Dreieck")]:
        about = {"caption": caption, "key": key, "url": f"https://example.org/{key}", "status": "success", "error_message": None}
        files = {"jpg": encoded(picture, "JPEG"), "json": json.dumps(about).encode(), "txt": caption.encode()}
        for ending, data in files.items():
            member = tarfile.TarInfo(f"{key}.{ending}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
