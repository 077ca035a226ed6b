# The one place for versions that are ours to choose. make includes it, shell scripts read it
# (so: NAME=value, no spaces). Libraries: deploy/packages.list (Debian), package.json (npm).
FOOTFALL_VERSION=0.1.0
DEBIAN_SUITE=bookworm
POSTGRES_MAJOR=15
NODE_MAJOR_LEAST=18
CLANG_MAJOR=14
