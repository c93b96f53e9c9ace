#!/bin/sh
# Installs Ferrosync below / or $DESTDIR, for systems without its package. Run as root.
set -eu

cd "$(dirname "$0")"
dest=${DESTDIR:-}
for other in /usr/sbin/corosync /usr/sbin/corosync-cfgtool; do
	if [ -e "$dest$other" ] && [ ! -e "$dest/usr/share/ferrosync/files" ]; then
		echo "install.sh: $dest$other is there and not from here: remove corosync first" >&2
		exit 1
	fi
done
if [ -e "$dest/usr/share/ferrosync/files" ]; then
	echo "install.sh: an older installation is replaced"
	"$dest/usr/share/ferrosync/uninstall.sh" --for-upgrade
fi

# Tar keeps modes and links.
mkdir -p "$dest/usr/share/ferrosync"
(cd root && tar -cf - .) | (cd "$dest/" && tar -xf - --no-same-owner)
(cd root && find . ! -type d) | sed 's/^\.//' | sort >"$dest/usr/share/ferrosync/files"
install -m 755 uninstall.sh "$dest/usr/share/ferrosync/uninstall.sh"

provide() {
	if [ ! -e "$dest$1" ] && [ ! -L "$dest$1" ]; then
		mkdir -p "$(dirname "$dest$1")"
		install -m 644 "$dest/usr/share/ferrosync/defaults/$2" "$dest$1"
	fi
}
provide /etc/corosync/corosync.conf corosync.conf
provide /etc/default/corosync default
provide /etc/logrotate.d/corosync logrotate
mkdir -p "$dest/etc/corosync/uidgid.d" "$dest/var/lib/corosync" "$dest/var/log/corosync"

if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
echo "install.sh: done. Edit $dest/etc/corosync/corosync.conf, then: systemctl enable --now corosync"
