# Sourced by packaging/check: Debian's own rules; what a package may do all the same says its lintian-overrides.

echo 'packages: lintian finds nothing'
lintian --allow-root --fail-on error,warning "${debs[@]}"
