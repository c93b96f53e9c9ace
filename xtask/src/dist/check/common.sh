# What all scenarios begin with. They run in a root of their own, so that they may install and remove what they like.

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# Says what holds, and ends the scenario where it does not.
holds() {
	what=$1
	shift
	if "$@" >/tmp/output 2>&1; then
		echo "ok: $what"
	else
		cat /tmp/output >&2
		fail "$what"
	fi
}

# The same for what must not be so.
holds_not() {
	what=$1
	shift
	if "$@" >/tmp/output 2>&1; then
		cat /tmp/output >&2
		fail "$what"
	else
		echo "ok: $what"
	fi
}

status_is() {
	[ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null || echo unknown)" = "$2" ]
}

# A systemd that keeps only what the packages' scripts ask for: which units run. Pacemaker needs corosync, so it stops
# with it and is restarted with it. What works on files alone the real program does.
mkdir -p /tmp/active /run/systemd/system
cp /usr/bin/systemctl /tmp/systemctl.real
cat >/tmp/systemctl <<'END'
#!/bin/sh
echo "systemctl $*" >>/tmp/calls
case $* in
*--root=*) exec /tmp/systemctl.real "$@" ;;
esac
verb=
units=
for word in "$@"; do
	case $word in
	-*) ;;
	*) if [ -z "$verb" ]; then verb=$word; else units="$units $word"; fi ;;
	esac
done
for unit in $units; do
	unit=${unit%.service}.service
	case $verb in
	start | restart) touch "/tmp/active/$unit" ;;
	stop)
		rm -f "/tmp/active/$unit"
		[ "$unit" != corosync.service ] || rm -f /tmp/active/pacemaker.service
		;;
	is-active) [ -e "/tmp/active/$unit" ] || exit 3 ;;
	is-enabled)
		[ -L "/etc/systemd/system/multi-user.target.wants/$unit" ] || exit 1
		echo enabled
		;;
	esac
done
END
chmod 755 /tmp/systemctl
touch /tmp/calls
# A machine may forbid packages to start and stop services, as images for containers do; a node does not.
rm -f /usr/sbin/policy-rc.d
# apt gives scripts a search path of its own.
mount --bind /tmp/systemctl /usr/bin/systemctl

apt() {
	apt-get --quiet --yes --option APT::Get::AutomaticRemove=false "$@"
}

called() {
	grep -E "$1" /tmp/calls && return
	cat /tmp/calls
	return 1
}

# Every name that other packages call, and that it is ours.
programs_are_ours() {
	corosync -v | grep -q Ferrosync || return 1
	for name in ferrosyncd corosync-cfgtool corosync-cmapctl corosync-cpgtool corosync-quorumtool corosync-keygen \
		corosync-notifyd corosync-blackbox ferrosync; do
		command -v "$name" >/dev/null || { echo "no $name"; return 1; }
	done
	for name in corosync-cfgtool corosync-keygen corosync-blackbox; do
		[ "$(readlink -f "$(command -v $name)")" = /usr/bin/ferrosync ] || { echo "$name is not ours"; return 1; }
	done
}

package=$(find /tmp/packages -name 'ferrosync_*.deb' ! -name '*+newer_*')
