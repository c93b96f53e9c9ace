# The tarball below a directory of its own.

mkdir /tmp/unpacked /tmp/dest
tar --directory /tmp/unpacked -xzf /tmp/packages/ferrosync-*.tar.gz
cd /tmp/unpacked/ferrosync-*
export DESTDIR=/tmp/dest
holds "it installs" ./install.sh
holds "the daemon runs" sh -c '/tmp/dest/usr/sbin/corosync -v | grep -q Ferrosync'
holds "the daemon takes the example" /tmp/dest/usr/sbin/corosync -t -c /tmp/dest/etc/corosync/corosync.conf
holds "the tools run" /tmp/dest/usr/sbin/corosync-keygen -k /tmp/key
holds "a key was made" test -s /tmp/key
echo '# edited' >>/tmp/dest/etc/corosync/corosync.conf
holds "it installs over itself" ./install.sh
holds "somebody's change stayed" grep -q '^# edited' /tmp/dest/etc/corosync/corosync.conf
holds "it goes" /tmp/dest/usr/share/ferrosync/uninstall.sh
holds "somebody's change is all that is left" test "$(cd /tmp/dest && find . ! -type d)" = ./etc/corosync/corosync.conf
rm -rf /tmp/dest
mkdir -p /tmp/dest/usr/sbin
touch /tmp/dest/usr/sbin/corosync
holds_not "it does not install over somebody else's corosync" ./install.sh
