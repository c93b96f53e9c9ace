# Makes a root of its own over this machine's, in namespaces that the caller made, and runs a scenario in it.
# Arguments: a directory to work in, the scenario, packages and archives for it.
set -eu
work=$1
scenario=$2
shift 2

mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
ip link set lo up

cp "$scenario" "$root/tmp/scenario.sh"
mkdir "$root/tmp/packages"
for file in "$@"; do
	cp "$file" "$root/tmp/packages/"
done
exec chroot "$root" /usr/bin/env -i \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
	/bin/sh -eu /tmp/scenario.sh </dev/null
