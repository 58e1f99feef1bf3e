#!/bin/sh
# The steps of both images, as the Dockerfile runs them and as the tests do without Docker:
#
#   install.sh proxy|full SOURCE VENV
#
# SOURCE (this tree; may be read-only) becomes a wheel, and VENV a new virtual environment with that wheel and the
# image's extras. `proxy` is without torch. For `full`, torch comes from TORCH_INDEX first where that is set (an index
# with CPU-only wheels), so that nothing else is looked for there. PYTHON names the interpreter.
set -eu

[ $# -eq 3 ] || { echo "usage: install.sh proxy|full SOURCE VENV" >&2; exit 2; }
target=$1 source=$2 venv=$3

case $target in
  proxy) extras=postgres,archive ;;
  full) extras=local,hosted,encoder,postgres,archive ;;
  *) echo "install.sh: '$target' is no image; there are proxy and full" >&2; exit 2 ;;
esac

"${PYTHON:-python3}" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
pip wheel -q --no-deps --wheel-dir "$wheels" "$source"

if [ "$target" = full ] && [ -n "${TORCH_INDEX:-}" ]; then
  pip install -q "torch>=2.6,<2.14" --index-url "$TORCH_INDEX"
fi
for wheel in "$wheels"/premise_guard-*.whl; do
  pip install -q "$wheel[$extras]"
done
