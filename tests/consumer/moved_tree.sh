#!/bin/sh
# usage: moved_tree.sh COMPILER PKG_CONFIG PREFIX PC_FOLDER OUT_FOLDER: moves an installed tree and
# checks that it still works. A model that exists only in the moved tree is found there, and the
# built-in model is read from there although the source tree has one, too.
set -eu
here=$(dirname "$0")
tree=$5/elsewhere/rae
rm -rf "$5"
mkdir -p "$5/elsewhere" "$5/cwd"
cp -R "$3" "$tree"
models=$tree/share/rae/models
cp "$models/fashion-mnist.safetensors" "$models/only-here.safetensors"
unset RAE_MODELS
cd "$5/cwd"

OMP_WAIT_POLICY=passive "$tree/bin/rae" generate --model builtin --count 2 --steps 2 --out two.npz
[ -s two.npz ] || { echo 'the moved command wrote nothing'; exit 1; }

export PKG_CONFIG_PATH="$tree/$4"
# shellcheck disable=SC2046  # flags are separate words
"$1" $("$2" --cflags rae) "$here/find_model.cpp" -o "$tree/bin/find_model" $("$2" --libs rae)
for name in only-here fashion-mnist; do
  found=$(LD_LIBRARY_PATH=$("$2" --variable=libdir rae) "$tree/bin/find_model" $name)
  [ "$found" = "$(realpath "$models")/$name.safetensors" ] ||
    { echo "$name was found at $found, expected in $models"; exit 1; }
done
