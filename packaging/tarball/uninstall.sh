#!/bin/sh
# Removes what install.sh installed. Configuration that somebody changed, keys, state and logs stay.
set -eu

dest=${DESTDIR:-}
share=$dest/usr/share/ferrosync
if [ ! -e "$share/files" ]; then
	echo "uninstall.sh: nothing is installed below ${dest:-/}" >&2
	exit 1
fi
if [ "${1:-}" != --for-upgrade ]; then
	if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now corosync-notifyd.service corosync.service || true
	fi
	withdraw() {
		if cmp -s "$dest$1" "$share/defaults/$2"; then
			rm -f "$dest$1"
		fi
	}
	withdraw /etc/corosync/corosync.conf corosync.conf
	withdraw /etc/default/corosync default
	withdraw /etc/logrotate.d/corosync logrotate
fi
while read -r file; do
	rm -f "$dest$file"
done <"$share/files"
rm -f "$share/files" "$share/uninstall.sh"
rmdir "$share/defaults" "$share" "$dest/usr/share/doc/ferrosync/examples" "$dest/usr/share/doc/ferrosync" \
	"$dest/etc/corosync/uidgid.d" "$dest/etc/corosync" "$dest/var/lib/corosync" "$dest/var/log/corosync" \
	2>/dev/null || true
if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
