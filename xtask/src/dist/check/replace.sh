# A node with Debian's corosync and Pacemaker, its configuration made by somebody: ours takes corosync's place and gives
# it back.

cat >/etc/corosync/corosync.conf <<'END'
# somebody's own
totem {
    version: 2
    transport: udpu
}
nodelist {
    node {
        ring0_addr: 127.0.0.1
        nodeid: 77
    }
}
END
echo 'COROSYNC_OPTIONS="-f"' >/etc/default/corosync
head -c 256 /dev/urandom >/etc/corosync/authkey
mkdir -p /var/lib/corosync
echo 12345678 >/var/lib/corosync/ringid_77
touch /tmp/active/corosync.service /tmp/active/pacemaker.service
sums() {
	find /etc/corosync /etc/default/corosync /etc/logrotate.d/corosync /var/lib/corosync -type f -exec md5sum {} + | sort
}
sums >/tmp/sums.before
same_configuration() {
	sums >/tmp/sums.now
	diff /tmp/sums.before /tmp/sums.now
}
others() {
	dpkg-query --show --showformat '${Package} ${Version} ${db:Status-Status}\n' |
		grep -Ev '^(corosync|corosync-notifyd|ferrosync) '
}
others >/tmp/others.before
same_others() {
	others >/tmp/others.now
	diff /tmp/others.before /tmp/others.now
}

holds "apt installs the package over corosync, and asks nothing" apt install "$package"
cp /tmp/output /tmp/install.txt
holds "ferrosync is installed" status_is ferrosync installed
holds "corosync is removed" status_is corosync config-files
holds "Pacemaker and everything else stayed" same_others
holds "no dependency is broken" apt check
holds "dpkg finds nothing half done" test -z "$(dpkg --audit)"
holds "the configuration, the key and the state are the same bytes" same_configuration
holds "the programs are ours under every name" programs_are_ours
holds "the daemon takes the configuration" corosync -t
holds "files are as packed" sh -c 'test -z "$(dpkg --verify ferrosync)"'
holds "the unit is ours" grep -q WatchdogSec /lib/systemd/system/corosync.service
holds "the service is enabled as it was" test -L /etc/systemd/system/multi-user.target.wants/corosync.service
holds "the old daemon was stopped" called 'stop.* corosync\.service'
holds "the new one was started" called '^systemctl( -[^ ]+)* start( -[^ ]+)* corosync\.service'
holds "it says that Pacemaker waits" grep -q 'systemctl start pacemaker' /tmp/install.txt
holds "it warns of purging corosync" grep -q 'do not purge corosync' /tmp/install.txt

systemctl start pacemaker.service
holds "the same package again is no change" apt install --reinstall "$package"
holds "Pacemaker was restarted with it, not left behind" test -e /tmp/active/pacemaker.service
holds "the configuration is still the same" same_configuration

back=$(echo /tmp/packages/corosync_*.deb)
if [ -e "$back" ]; then
	holds "corosync takes its place back" apt install "$back"
	holds "corosync is installed" status_is corosync installed
	holds "ferrosync is removed" sh -c '! dpkg-query --show --showformat "\${db:Status-Status}" ferrosync | grep -qx installed'
	holds "Pacemaker and everything else stayed" same_others
	holds "the configuration is what it was" same_configuration
	holds_not "the daemon is theirs" sh -c 'corosync -v | grep -q Ferrosync'
	holds "their daemon takes the configuration" corosync -t
	holds "what is left of ferrosync is purged" dpkg --purge ferrosync
	holds "the configuration survives that" same_configuration
	holds "corosync is whole" sh -c 'test -z "$(dpkg --verify corosync | grep -v " c ")"'
	holds "the service is enabled as it was" test -L /etc/systemd/system/multi-user.target.wants/corosync.service
else
	echo "not run: the way back, for want of corosync's package"
fi
