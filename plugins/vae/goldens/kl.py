"""Reference outputs of diffusers' AutoencoderKL in float64: `python3 kl.py` writes kl.json beside it."""

import sys

from diffusers import AutoencoderKL

sys.path.insert(0, "../../../core/sdk/src/testkit")
from closed_form import closed_form, fill, numbers, write

CONFIGS = [
    {"in_channels": 3, "block_out_channels": [4, 8], "layers_per_block": 2, "latent_channels": 2, "norm_num_groups": 4,
     "scaling_factor": 2.5, "shift_factor": 0.0, "use_quant_conv": True, "use_post_quant_conv": True, "mid_block_add_attention": True},
    {"in_channels": 1, "block_out_channels": [4, 4, 8], "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 2,
     "scaling_factor": 1.5, "shift_factor": 0.1, "use_quant_conv": False, "use_post_quant_conv": False, "mid_block_add_attention": False},
]
goldens = []
for config in CONFIGS:
    channels, levels = config["in_channels"], len(config["block_out_channels"])
    down, up = ["DownEncoderBlock2D"] * levels, ["UpDecoderBlock2D"] * levels
    model = AutoencoderKL(out_channels=channels, down_block_types=down, up_block_types=up, **config)
    model = fill(model).double()
    image = closed_form("image", (1, channels, 16, 8), 0.5, 0.5).double()
    latent = closed_form("latent", (1, config["latent_channels"], 16 >> levels - 1, 8 >> levels - 1), 1.4, 0).double()
    scale, shift = config["scaling_factor"], config["shift_factor"]
    encoded = (model.encode(2 * image - 1).latent_dist.mean - shift) * scale
    decoded = model.decode(latent / scale + shift).sample / 2 + 0.5
    goldens.append({"config": config, "latent": numbers("latent", encoded), "image": numbers("image", decoded)})
write("kl.json", goldens)
