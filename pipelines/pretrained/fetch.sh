#!/bin/sh
# Fetches published weights into `weights` beside this script and checks their sizes and hashes.
# usage: fetch.sh [BASE], where BASE is the address of a folder that holds the files; by default the authors' repository.
set -eu
cd "$(dirname "$0")"
base=${1:-https://github.com/madebyollin/taesd/raw/main}
mkdir -p weights

# fetch FILE BYTES SHA256
fetch() {
    file=weights/$1
    if [ ! -e "$file" ]; then
        curl --fail --location --silent --show-error --output "$file.part" "$base/$1"
        bytes=$(wc -c <"$file.part")
        [ "$bytes" -eq "$2" ] || { echo "$1 has $bytes bytes, not $2; the download is incomplete or another file" >&2; exit 1; }
        echo "$3  $file.part" | sha256sum --check --quiet
        mv "$file.part" "$file"
    fi
    echo "$3  $file" | sha256sum --check
}

# MIT licence, Copyright (c) 2023 Ollin Boer Bohan
fetch taef2_encoder.pth 2704692 10a4e1021e89d7551eaf161352da8dbd0b1aa83872ae28b150c1df1ce2f147b6
fetch taef2_decoder.pth 2704756 0a44a31e1ae59eb9dbf9359d24942fd3ef5928162c1800d97a28c61d51be0ab5
