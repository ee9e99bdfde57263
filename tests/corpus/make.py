"""Makes the corpus: per plugin, files that are good, damaged, or lie about their size. `python make.py` beside this
file writes the same bytes each time. The films are made once, by `python make.py films` and ffmpeg 5.1, whose bytes
are those of its version."""

import io
import json
import pathlib
import struct
import subprocess
import sys
import wave
import zipfile
import zlib

HERE = pathlib.Path(__file__).parent


def png(width, height, rows, depth=8, colour=0, extra=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def gif(width, height, data):
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + data + b";"


def bmp(width, height, data):
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(data), 2835, 2835, 0, 0) + data


def jpeg_header(width, height):
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes([1, 0x11, 0])
    return b"\xff\xd8" + b"\xff\xc0" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9"


def pickled(tensors):
    """What `torch.save` pickles for an OrderedDict of f32 tensors: name -> (sizes, numbers)."""

    def text(word):
        return b"X" + struct.pack("<I", len(word)) + word.encode()

    def integers(numbers):
        return b"(" + b"".join(b"J" + struct.pack("<i", number) for number in numbers) + b"t"

    out = b"\x80\x02ccollections\nOrderedDict\n)R("
    for key, (name, (sizes, numbers)) in enumerate(tensors.items()):
        strides = [1]
        for size in sizes[:0:-1]:
            strides.insert(0, strides[0] * size)
        storage = text("storage") + b"ctorch\nFloatStorage\n" + text(str(key)) + text("cpu")
        storage = b"(" + storage + b"J" + struct.pack("<i", len(numbers)) + b"tQ"
        tensor = b"(" + storage + b"K\x00" + integers(sizes) + integers(strides) + b"\x89ccollections\nOrderedDict\n)Rt"
        out += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + tensor + b"R"
    return out + b"u."


def pth(tensors, pickle=None):
    """A file of `torch.save`: a zip archive with one stored member per tensor."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        add = lambda name, data: archive.writestr(zipfile.ZipInfo(f"model/{name}"), data)
        add("data.pkl", pickle or pickled(tensors))
        add("byteorder", b"little")
        for key, (_, numbers) in enumerate(tensors.values()):
            add(f"data/{key}", struct.pack(f"<{len(numbers)}f", *numbers))
    return file.getvalue()


def safetensors(tensors):
    header, data = {}, b""
    for name, (sizes, numbers) in tensors.items():
        end = len(data) + 4 * len(numbers)
        header[name] = {"dtype": "F32", "shape": sizes, "data_offsets": [len(data), end]}
        data += struct.pack(f"<{len(numbers)}f", *numbers)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


LAYER = {"0.weight": ([2, 3], [1.0, -2.0, 0.5, 0.25, 3.0, -1.5]), "0.bias": ([2], [0.125, -4.0])}


def wav(samples, channels=1, rate=8000, bits=16, data_size=None, riff_size=None, block=None):
    data = samples
    block = (channels * bits // 8 if block is None else block) & 0xFFFF
    fmt = struct.pack("<HHIIHH", 1, channels, rate, (rate * block) & 0xFFFFFFFF, block, bits)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    body += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def tone(count):
    return b"".join(struct.pack("<h", (i * 997) % 20000 - 10000) for i in range(count))


def written_wav():
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(11025)
        out.writeframes(tone(400))
    return file.getvalue()


def film(name, *options):
    """Twelve frames in which a square goes to the right, two pixels a frame."""
    lit = lambda frame, x, y: 2 * frame <= x < 2 * frame + 8 and 12 <= y < 20
    raw = bytes(255 if lit(frame, x, y) else 0 for frame in range(12) for y in range(32) for x in range(32))
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "32x32", "-r", "8", "-i", "-"]
    coded = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "20", "-threads", "1", "-bsf:v", "filter_units=remove_types=6"]
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]
    command = ["ffmpeg", "-v", "error", "-y", *source, *coded, *exact, *options, str(HERE / "video" / name)]
    subprocess.run(command, input=raw, check=True)


if sys.argv[1:] == ["films"]:
    film("good-baseline.mp4", "-profile:v", "baseline", "-g", "6")
    film("good-b-frames.mp4", "-bf", "3", "-x264-params", "b-adapt=0:b-pyramid=normal", "-movflags", "+faststart")
    film("good-fragments.mp4", "-bf", "2", "-g", "5", "-movflags", "frag_keyframe+empty_moov")


def patched(name, *changes):
    """A film in which, behind the name of a box, bytes are others: (box, how far behind, bytes)."""
    film = bytearray((HERE / "video" / name).read_bytes())
    for box, behind, new in changes:
        at = film.index(box) + len(box) + behind
        film[at:at + len(new)] = new
    return bytes(film)


def bits(text):
    """The bytes of an RBSP: its bits, the stop bit, and zeros."""
    text += "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def golomb(*values):
    digits = lambda value: bin(value + 1)[2:]
    return "".join(digits(value).zfill(2 * len(digits(value)) - 1) for value in values)


def sps(width, height, number=0):
    """Parameters of a sequence in blocks of 16 pixels: Rec. ITU-T H.264, 7.3.2.1."""
    return b"\x67\x42\xc0\x33" + bits(golomb(number, 0, 2, 1) + "0" + golomb(width - 1, height - 1) + "1100")


def pps(number):
    """Parameters of pictures of the sequence of the same number: 7.3.2.2."""
    return b"\x68" + bits(golomb(number, number) + "00" + golomb(0, 0, 0) + "000" + golomb(0, 0, 0) + "000")


def with_sets(name, sequences, pictures):
    """A film with other parameters, made of its own ones."""
    film = bytearray((HERE / "video" / name).read_bytes())
    at = film.index(b"avcC") + 9
    sized = lambda begin: (begin + 2, begin + 2 + struct.unpack(">H", film[begin:begin + 2])[0])
    (own, end), list_of = sized(at + 1), lambda sets: b"".join(struct.pack(">H", len(one)) + one for one in sets)
    (own_pps, behind) = sized(end + 1)
    sequences, pictures = sequences(bytes(film[own:end])), pictures(bytes(film[own_pps:behind]))
    new = bytes([0xE0 | len(sequences)]) + list_of(sequences) + bytes([len(pictures)]) + list_of(pictures)
    film[at:behind] = new
    for box in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1", b"avcC"]:
        # From the index on: the head of the file names `avc1` as well.
        size = film.index(box, film.index(b"moov")) - 4
        film[size:size + 4] = struct.pack(">I", struct.unpack(">I", film[size:size + 4])[0] + len(new) - (behind - at))
    return bytes(film)


small = b"".join(b"\0" + bytes((x * y) % 256 for x in range(9)) for y in range(7))
lzw = bytes([2, 4, 0x84, 0x51, 0x11, 0x05, 0])

FILES = {
    "image": {
        "good.png": png(9, 7, small),
        "good-16-bit-alpha.png": png(2, 2, (b"\0" + bytes(range(16))) * 2, 16, 6),
        "good.gif": gif(2, 2, lzw),
        "good.bmp": bmp(2, 2, bytes(range(16))),
        "bomb-of-dimensions.png": png(0x7FFFFFFF, 0x7FFFFFFF, b"\0"),
        "bomb-that-unpacks.png": png(16000, 16000, b"\0" * 16_000_000),
        "bomb-in-a-comment.png": png(9, 7, small, extra=(lambda d: struct.pack(">I", len(d)) + b"zTXt" + d + struct.pack(">I", zlib.crc32(b"zTXt" + d)))(b"k\0\0" + zlib.compress(b"a" * 8_000_000, 9))),
        "no-size.png": png(0, 0, b""),
        "cut.png": png(9, 7, small)[:50],
        "wrong-checksum.png": png(9, 7, small)[:-20] + bytes(20),
        "long-chunk.png": png(9, 7, small)[:33] + struct.pack(">I", 0xFFFFFFF0) + b"IDAT",
        "cut.gif": gif(2, 2, lzw)[:24],
        "vast.gif": gif(65535, 65535, lzw),
        "endless-codes.gif": gif(64, 64, bytes([8]) + b"\xff" + b"\xaa" * 255),
        "vast.bmp": bmp(0x7FFFFFFF, 0x7FFFFFFF, b""),
        "upside-down.bmp": bmp(2, -2147483648, b"\0" * 16),
        "vast.jpeg": jpeg_header(65535, 65535),
        "cut.jpeg": jpeg_header(16, 16)[:12],
    },
    "video": {
        "good.gif": gif(2, 2, lzw),
        "good.png": png(9, 7, small),
        "no-frames.gif": b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b";",
        "cut.gif": gif(2, 2, lzw)[:24],
        "vast.gif": gif(65535, 65535, lzw),
        "many-frames.gif": gif(2, 2, lzw)[:-1] + (b"," + struct.pack("<HHHHB", 0, 0, 2, 2, 0) + lzw) * 1100 + b";",
        "large-frames.gif": gif(4000, 4000, lzw)[:-1] + (b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + lzw) * 400 + b";",
        "endless-codes.gif": gif(64, 64, bytes([8]) + b"\xff" + b"\xaa" * 255),
        "frame-outside.gif": gif(2, 2, lzw).replace(struct.pack("<HHHH", 0, 0, 2, 2), struct.pack("<HHHH", 60000, 60000, 2, 2)),
        "bomb-of-dimensions.png": png(0x7FFFFFFF, 0x7FFFFFFF, b"\0"),
        "no-film.txt": b"not a film",
        "good-two-sets.mp4": with_sets("good-baseline.mp4", lambda own: [sps(1, 1, 1), own], lambda own: [pps(1), own]),
        "no-index.mp4": patched("good-baseline.mp4").split(b"moov")[0][:-4],
        "cut.mp4": patched("good-b-frames.mp4")[:-40],
        "countless.mp4": patched("good-baseline.mp4", (b"stsz", 4, b"\0\0\0\1" + b"\xff" * 4)),
        "countless-fragment.mp4": patched("good-fragments.mp4", (b"trun", 0, b"\0\0\0\0\0\xff\xff\xff")),
        "frames-outside.mp4": patched("good-baseline.mp4", (b"stco", 8, b"\xff" * 4)),
        "no-pictures.mp4": patched("good-baseline.mp4", (b"hdlr", 8, b"soun")),
        "other-codec.mp4": patched("good-baseline.mp4", (b"stsd", 12, b"mp4v")),
        "vast.mp4": with_sets("good-baseline.mp4", lambda own: [sps(4095, 4095)], lambda own: [own]),
        "large.mp4": with_sets("good-baseline.mp4", lambda own: [sps(256, 144)], lambda own: [own]),
    },
    "audio": {
        "good.wav": wav(tone(600)),
        "good-stereo.wav": written_wav(),
        "no-samples.wav": wav(b""),
        "cut.wav": wav(tone(600))[:300],
        "endless.wav": wav(tone(40), data_size=0xFFFFFFFE, riff_size=0xFFFFFFFF),
        "no-channels.wav": wav(tone(40), channels=0),
        "all-channels.wav": wav(tone(40), channels=65535),
        "no-rate.wav": wav(tone(40), rate=0),
        "highest-rate.wav": wav(tone(40), rate=0xFFFFFFFF),
        "lowest-rate.wav": wav(tone(40), rate=1),
        "no-bits.wav": wav(tone(40), bits=0),
        "all-bits.wav": wav(tone(40), bits=65535),
        "no-block.wav": wav(tone(40), block=0),
        "odd-block.wav": wav(tone(40), block=3),
        "long-format.wav": wav(tone(40))[:16] + struct.pack("<I", 0xFFFFFFF0) + wav(tone(40))[20:],
        "only-a-head.wav": b"RIFF\xff\xff\xff\xffWAVE",
    },
    "text": {
        "good.txt": b"zero",
        "good-words.txt": b"one two",
        "empty.txt": b"",
        "long-word.txt": b"a" * 5_000,
        "many-words.txt": b"one " * 4_000,
        "scripts.txt": "\u0130\u00df\ufb03 \u202e\u0000 \U0001f600\u0301\u0301\u0301".encode(),
        "spaces.txt": "\u2003\u00a0\t\r\n".encode(),
        "decomposed.txt": "Cafe\u0301 nai\u0308ve \U0001f9ed \u6570\u5b57".encode(),
    },
    "trajectory": {
        "strokes.f32": struct.pack("<24f", *range(24)),
        "empty.f32": b"",
        "one-number.f32": struct.pack("<f", 1.0),
        "not-finite.f32": struct.pack("<8f", *[float("nan"), float("inf"), -float("inf"), 0.0] * 2),
        "huge.f32": struct.pack("<12f", *[3.4e38, -3.4e38] * 6),
        "one-point-again-and-again.f32": struct.pack("<64f", *[0.5] * 64),
        "long.f32": bytes(16384),
    },
    "weights": {
        "good.pth": pth(LAYER),
        "good.safetensors": safetensors(LAYER),
        "plain.pkl": pickled({}),
        "code.pth": pth({}, b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR."),
        "other-sizes.pth": pth({"0.weight": ([2, 3], [1.0])}),
        "pointer.txt": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "page.html": b"<!DOCTYPE html><html><body>404</body></html>",
    },
    "label": {
        "good.i64": struct.pack("<q", 7),
        "next.i64": struct.pack("<q", 10),
        "negative.i64": struct.pack("<q", -1),
        "smallest.i64": struct.pack("<q", -2**63),
        "largest.i64": struct.pack("<q", 2**63 - 1),
    },
}

for folder, files in FILES.items():
    (HERE / folder).mkdir(exist_ok=True)
    for name, data in files.items():
        (HERE / folder / name).write_bytes(data)
