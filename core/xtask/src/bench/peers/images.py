#!/usr/bin/env python3
"""A JPEG file of about 500 kB -> `[channel, height, width]` between 0 and 1, by Pillow or by torchvision.

    images.py [--torchvision] FILE    times it on `file` of a safetensors file

torchvision knows no Lanczos filter for tensors: it resizes with its cubic one, which is the cheaper of the two."""
import io, sys
import numpy
from PIL import Image

SIDE, TIMES = 224, 20


def photo():
    """Smooth noise and a little sharp noise, as a camera's, in the quality that makes about 500 kB."""
    draw = numpy.random.default_rng(1)
    clouds = Image.fromarray(draw.integers(0, 256, (30, 40, 3), dtype=numpy.uint8)).resize((1600, 1200), Image.BICUBIC)
    levels = numpy.asarray(clouds, dtype=numpy.float32) + draw.normal(0, 8, (1200, 1600, 1))
    image = Image.fromarray(levels.clip(0, 255).astype(numpy.uint8))
    for quality in range(70, 100, 2):
        file = io.BytesIO()
        image.save(file, 'JPEG', quality=quality)
        if file.tell() > 480_000:
            break
    return file.getvalue()


def pixels(file):
    image = Image.open(io.BytesIO(file)).convert('RGB').resize((SIDE, SIDE), Image.LANCZOS)
    return numpy.ascontiguousarray(numpy.asarray(image).transpose(2, 0, 1)).astype(numpy.float32) / 255


def by_torchvision():
    """The same function, made of torchvision."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2.functional import InterpolationMode, resize
    torch.set_num_threads(1)

    def pixels(file):
        image = decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), mode=ImageReadMode.RGB)
        return resize(image, [SIDE, SIDE], interpolation=InterpolationMode.BICUBIC, antialias=True).float() / 255

    return pixels


if __name__ == '__main__':
    import json, statistics, time
    from safetensors.numpy import load_file
    library = 'torchvision' if '--torchvision' in sys.argv else 'Pillow'
    pixels = by_torchvision() if library == 'torchvision' else pixels
    file = load_file(sys.argv[-1])['file'].tobytes()
    wall, cpu = [], []
    for repetition in range(4):
        began, began_cpu = time.perf_counter(), time.process_time()
        for _ in range(TIMES):
            pixels(file)
        if repetition > 0:
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - began_cpu)
    print(json.dumps({'work': f'{TIMES} times a JPEG file of {len(file)} bytes, {library}',
                      'median_s': statistics.median(wall), 'cpu_median_s': statistics.median(cpu)}))
