# A machine without corosync: install, upgrade, remove, purge.

# Whatever uses corosync goes, too, and nothing comes instead.
if status_is corosync installed; then
	apt purge corosync pacemaker-remote- >/tmp/output 2>&1 || { cat /tmp/output; fail "corosync cannot be removed here"; }
fi
rm -rf /etc/corosync /var/lib/corosync /var/log/corosync
rm -f /etc/systemd/system/multi-user.target.wants/corosync.service /tmp/calls
every_file() {
	find /etc /usr /var /opt -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log/apt \
		-o -path /var/log/dpkg.log \) -prune -o -print | sort
}
every_file >/tmp/files.before

holds "apt installs the package" apt install "$package"
holds "there is a configuration, and the daemon takes it" corosync -t
holds "the programs are ours under every name" programs_are_ours
holds "the service is enabled" test -L /etc/systemd/system/multi-user.target.wants/corosync.service
holds "the service was started" called '^systemctl( -[^ ]+)* start( -[^ ]+)* corosync\.service'
holds_not "notifications are off until somebody wants them" called 'start.*notifyd'
holds "there are manual pages for the daemon, the tools and what they work with" sh -c '
	for page in 8/ferrosync.8 8/corosync.8 8/corosync-cfgtool.8 8/corosync-keygen.8 5/corosync.conf.5 5/votequorum.5 \
		7/cmap_keys.7 7/corosync_overview.7; do
		test -e /usr/share/man/man$page.gz || { echo $page; exit 1; }
	done'
holds "log files are rotated by a rule that logrotate takes" sh -c '
	command -v logrotate >/dev/null || exit 0; logrotate --debug /etc/logrotate.d/corosync'

echo '# edited' >>/etc/corosync/corosync.conf
newer=$(echo /tmp/packages/*+newer_*.deb)
holds "apt upgrades to a newer package" apt install "$newer"
holds "the service was restarted" called '^systemctl( -[^ ]+)* restart( -[^ ]+)* corosync\.service'
holds "somebody's change stayed" grep -q '^# edited' /etc/corosync/corosync.conf

holds "apt removes it" apt remove ferrosync
holds "the service was stopped" called 'stop.* corosync\.service'
holds "the changed configuration stays" test -e /etc/corosync/corosync.conf
holds "what nobody changed went" test ! -e /etc/default/corosync -a ! -e /etc/logrotate.d/corosync
holds "the programs went" test ! -e /usr/sbin/corosync -a ! -e /usr/bin/ferrosync -a ! -e /usr/sbin/corosync-cfgtool
holds "apt installs it again" apt install "$package"
holds "with the changed configuration" grep -q '^# edited' /etc/corosync/corosync.conf

holds "apt purges it" apt purge ferrosync
every_file >/tmp/files.after
holds "nothing of it is left" diff /tmp/files.before /tmp/files.after
holds "dpkg knows nothing of it any more" sh -c '! dpkg-query --show ferrosync 2>/dev/null | grep -q .'
