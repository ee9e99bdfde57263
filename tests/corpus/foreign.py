"""Makes the files of the corpus that other programs write: images by Pillow 13, and what Pillow reads from them
(`*.pillow.png`); sounds by libsndfile 1.2 (soundfile 0.14), and AAC by FFmpeg (PyAV 18.1); a table by Polars 2.1. Their bytes are those of
these versions, and Ogg files have random numbers, so `make.py` leaves them alone."""

import io
import pathlib

import av
import numpy
import polars
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
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    put(name + ".pillow.png", encoded(image.convert("RGB"), "PNG", optimize=True))


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
