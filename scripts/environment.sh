# Sourced by the other scripts: goes to the root of the repository, activates .venv unless another environment is
# active, and finds the real frames.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${VIRTUAL_ENV:-}" ] && [ -x .venv/bin/python ]; then
  export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$PATH"
fi
for tool in python pytest ruff mypy; do
  command -v "$tool" >/dev/null && continue
  echo "$tool is not installed: python3 -m venv .venv && .venv/bin/pip install -e '.[corruptions,generate,metrics,dev]'" >&2
  exit 1
done

frames="${POC_AUG_DATA:-../shared/data}"
if [ -d "$frames/scenes" ]; then
  POC_AUG_DATA="$(cd "$frames" && pwd)"
  export POC_AUG_DATA POC_AUG_REQUIRE_DATA=1  # tests of real frames must run, not be skipped
elif [ -n "${POC_AUG_DATA:-}" ]; then
  echo "POC_AUG_DATA=$POC_AUG_DATA has no folder scenes/: name the folder that has it, or unset POC_AUG_DATA" >&2
  exit 1
fi

for browser in chromium chromium-browser google-chrome; do
  command -v "$browser" >/dev/null || continue
  export POC_AUG_REQUIRE_BROWSER=1  # tests of the review page must run, not be skipped
  break
done

unset PYTHONDONTWRITEBYTECODE  # the tests and examples start many processes: none compiles what another has
export NO_ALBUMENTATIONS_UPDATE=1  # importing albumentations would ask a server for its newest version
