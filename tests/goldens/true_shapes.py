"""Digests of the names and shapes of published models at their true sizes, from the classes of diffusers and transformers.

Run `python3 true_shapes.py` in this folder, with torch, diffusers and transformers installed (written with diffusers 0.42 and
transformers 5.24); it writes true-shapes.json. The configurations are those of `../corpus/published`; nothing is allocated.
"""

import json
import os
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../core/diffusion/tests/goldens"))
from unet import digest

NAMES = ["sd15", "sdxl", "sdxl-refiner", "clip", "minilm"]
# Classes by the name in `architectures`, with the configuration and the beginning that older files give their names.
TEXT = {
    "CLIPTextModel": (CLIPTextModel, CLIPTextConfig, "text_model."),
    "CLIPTextModelWithProjection": (CLIPTextModelWithProjection, CLIPTextConfig, ""),
    "CLIPModel": (CLIPModel, CLIPConfig, ""),
    "BertModel": (BertModel, BertConfig, ""),
}


def model(config):
    name = config.get("_class_name") or config["architectures"][0]
    with torch.device("meta"):
        if name == "UNet2DConditionModel":
            return UNet2DConditionModel.from_config(config), ""
        if name == "AutoencoderKL":
            return AutoencoderKL.from_config(config), ""
        kind, settings, beginning = TEXT[name]
        return kind(settings(**config)), beginning


def shapes(config):
    """The tensors that a model reads: no buffers of positions, and no head on the first token of BERT."""
    made, beginning = model(config)
    tensors = {}
    for name, tensor in made.state_dict().items():
        if not name.endswith("position_ids") and not name.startswith("pooler."):
            name = name if name.startswith(beginning) else beginning + name
            tensors[name] = list(tensor.shape)
    return tensors


def main():
    found = {}
    for name in NAMES:
        with open(f"{HERE}/../corpus/published/{name}.json") as file:
            files = json.load(file)
        weights = {}
        for path in [path for path, content in files.items() if content == "weights"]:
            config = files.get(os.path.join(os.path.dirname(path), "config.json"))
            if config is None:  # A part that nothing reads.
                continue
            tensors = shapes(config)
            numbers = sum(torch.Size(shape).numel() for shape in tensors.values())
            print(name, path, len(tensors), "tensors", numbers, "numbers")
            weights[path] = {"digest": digest(tensors), "tensors": len(tensors), "numbers": numbers}
        found[name] = {"weights": weights}
    with open(f"{HERE}/true-shapes.json", "w") as file:
        json.dump(found, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
