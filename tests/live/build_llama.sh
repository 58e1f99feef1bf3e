#!/usr/bin/env bash
# Builds llama.cpp's own server out of the tree that llama-cpp-python's sdist carries. Nothing is fetched but that sdist
# and what pip reads it with. Takes ten minutes of processor time, cmake and a C++ compiler.
#
#   tests/live/build_llama.sh FOLDER    leaves FOLDER/llama-server
#
#   PYTHON=python3.12   whose pip to fetch with
#   JOBS=2              compilers at a time
set -euo pipefail
release=0.3.36
mkdir -p "${1:?name the folder to build in}"
cd "$1"
exec 3>&2 >build.log 2>&1
trap 'tail -n 20 build.log >&3' ERR

"${PYTHON:-python3}" -m pip download --no-deps --no-binary llama-cpp-python "llama-cpp-python==$release"
tar -xzf "llama_cpp_python-$release.tar.gz"
# The web interface would be downloaded, and TLS is of no use on loopback.
cmake -S "llama_cpp_python-$release/vendor/llama.cpp" -B build -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
  -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_OPENSSL=OFF \
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
cmake --build build --target llama-server --parallel "${JOBS:-2}"
# It gets its name only once it is whole.
mv build/bin/llama-server .
rm -rf build "llama_cpp_python-$release" "llama_cpp_python-$release.tar.gz"
