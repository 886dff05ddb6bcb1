#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the sample plugins and both templates as an integrator would: against an installed SDK, out of the tree.
#
#   tests/sdk/build.sh BUILD [OUT]
#
# BUILD is a build folder in which quicklime-plugin is built. With OUT, an existing folder, the plugins stay there:
# widget.so, clockwatch.lua, sample.so and linewatch.lua.
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?build folder}" && pwd)
out=${2:-}
[ -z "$out" ] || out=$(cd "$out" && pwd)
umask 022 # the loader refuses what others may write
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
fail() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

cmake --install "$build" --prefix "$prefix" --component sdk >/dev/null
pc=$(find "$prefix" -name quicklime.pc -printf '%h\n')
export PKG_CONFIG_PATH=$pc${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} PATH=$prefix/bin:$PATH
plugindir=$(realpath -m "$(pkg-config --variable=plugindir quicklime)")
case $plugindir in
"$prefix"/*/quicklime/plugins) ;;
*) fail "plugindir is $plugindir" ;;
esac

# A copy without the source tree around it: a wrong include would not compile.
build_with_cmake() {
    cp -r "$1" "$work/src-$2"
    cmake -S "$work/src-$2" -B "$work/build-$2" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build "$work/build-$2" >/dev/null
    ctest --test-dir "$work/build-$2" --output-on-failure --no-tests=error >"$work/log" || { cat "$work/log"; fail "$2"; }
    cmake --install "$work/build-$2" >/dev/null
    [ -f "$plugindir/$2.so" ] || fail "$2.so was not installed into $plugindir"
}
build_with_cmake "$source/tests/sdk/widget" widget
build_with_cmake "$source/templates/c" sample

# Nothing of Quicklime is linked, and one symbol is exported.
exported=$(nm -D --defined-only "$plugindir/widget.so" | awk '$2 != "w" && $2 != "W" { print $3 }' | sort)
[ "$exported" = ql_plugin ] || fail "widget.so exports: $exported"
! readelf -d "$plugindir/widget.so" | grep NEEDED | grep -i 'quicklime\|jansson' || fail "widget.so links what it must not"

# The same with pkg-config alone.
cc -std=c17 -shared -fPIC -fvisibility=hidden $(pkg-config --cflags quicklime) \
    -D_GNU_SOURCE -o "$work/sample.so" "$source/templates/c/sample.c"
quicklime-plugin check "$work/sample.so" >/dev/null

# Lua: the template with its own tests, and the sample validator.
cp -r "$source/templates/lua" "$work/lua"
make -s -C "$work/lua" check >"$work/log" 2>&1 || { cat "$work/log"; fail "Lua template"; }
cp "$source/tests/sdk/clockwatch/clockwatch.lua" "$plugindir/"
quicklime-plugin check "$plugindir/clockwatch.lua" "$plugindir/widget.so" >"$work/log"
grep -q '^  validator clockwatch$' "$work/log" || fail "clockwatch is not a validator"
grep -q '^  evidence widget, bound by nonce$' "$work/log" || fail "widget has no evidence"

# Policies: written by the plugin, compiled by the plugin, and refused with a reason.
printf 'one' >"$work/one"
quicklime-plugin author widget "$plugindir/widget.so" "$work/one" >"$work/policy.json"
grep -q "$(sha256sum <"$work/one" | cut -d' ' -f1)" "$work/policy.json" || fail "policy lacks the digest"
quicklime-plugin prepare widget "$work/policy.json" "$plugindir/widget.so" | grep -q '^evidence widget, bound by nonce$' ||
    fail "widget needs nothing"
printf '{"allowed": ["AB"]}' >"$work/bad.json"
! quicklime-plugin prepare widget "$work/bad.json" "$plugindir/widget.so" 2>"$work/log" || fail "a bad policy was taken"
grep -q 'allowed: item 1: wanted 64' "$work/log" || fail "no reason for a bad policy"
! echo '{"max_resets": -1}' | quicklime-plugin prepare clockwatch - "$plugindir/clockwatch.lua" 2>"$work/log" ||
    fail "a bad policy was taken"
grep -q 'clockwatch.lua: prepare: wanted' "$work/log" || fail "no reason for a bad policy"

# A mistake in a plugin is found by its check, with status 1.
sed 's/\.validate = validator_validate,//' "$source/templates/c/sample.c" >"$work/broken.c"
cc -std=c17 -shared -fPIC -w $(pkg-config --cflags quicklime) -D_GNU_SOURCE -o "$work/broken.so" "$work/broken.c"
status=0
quicklime-plugin check "$work/broken.so" 2>"$work/log" || status=$?
[ "$status" = 1 ] && grep -q 'validator sample: function 4' "$work/log" || fail "a missing function was not found"
chmod o+w "$work/sample.so"
status=0
quicklime-plugin check "$work/sample.so" 2>"$work/log" || status=$?
[ "$status" = 1 ] && grep -q 'mode: wanted' "$work/log" || fail "a file that others may write was loaded"

if [ -n "$out" ]; then
    cp "$plugindir/widget.so" "$plugindir/clockwatch.lua" "$plugindir/sample.so" "$out/"
    cp "$work/lua/linewatch.lua" "$out/"
fi
echo "SDK: widget, clockwatch and both templates build, load and refuse as they must"
