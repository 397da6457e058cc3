#!/bin/busybox sh
# First program of a guest, in the initial ramdisk: lays a writable overlay over the machine's
# root, which comes read-only over virtiofs, and goes on there with guest-init.sh.
bb=/bin/busybox
die() {
	$bb echo "initramfs: $*" >/dev/console
	$bb reboot -f
}
set -e
trap 'die "a step failed"' EXIT

. /settings.sh
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
	$bb insmod "$module" || die "cannot load $module"
done

$bb mount -t virtiofs -o ro root /lower || die "cannot mount the shared root"
$bb mount -t tmpfs -o mode=755 overlay /overlay
$bb mkdir /overlay/upper /overlay/work

# The files of the working tree that are in the ramdisk: into the layer above the shared ones.
preload() {
	$bb mkdir -p "$1"
	$bb cp -a /tree/. "$1"
}
case $PROJECT in
/tmp/* | /run/*) ;;
*) preload "/overlay/upper$PROJECT" ;;
esac
$bb mount -t overlay -o lowerdir=/lower,upperdir=/overlay/upper,workdir=/overlay/work \
	overlay /root || die "cannot mount the overlay"

for folder in dev proc sys; do
	$bb mount --move "/$folder" "/root/$folder"
done
$bb mkdir -p /root/dev/pts /root/dev/shm
$bb mount -t devpts -o ptmxmode=666 devpts /root/dev/pts
$bb mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
for name in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
	$bb ln -sfn "${name#*:}" "/root/dev/${name%%:*}"
done
$bb mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
$bb mount -t bpf bpf /root/sys/fs/bpf
$bb mount -t tracefs tracefs /root/sys/kernel/tracing
$bb mount -t debugfs debugfs /root/sys/kernel/debug
$bb mount -t tmpfs -o mode=1777 tmpfs /root/tmp
$bb mount -t tmpfs -o mode=755 tmpfs /root/run

mine=/root/run/tuplewatch-guest
$bb mkdir -p "$mine/bin" "$mine/host-root" "$mine/overlay"
$bb mount --move /lower "$mine/host-root"
$bb mount --move /overlay "$mine/overlay"
$bb cp /bin/busybox /settings.sh /command.sh /guest-init.sh "$mine"
$bb mkdir -p "/root/lib/modules/$RELEASE"
$bb mount --bind "$mine/host-root$KERNEL/lib/modules/$RELEASE" "/root/lib/modules/$RELEASE"
$bb cp "$mine/host-root$KERNEL/config" "/root/boot/config-$RELEASE"

# The tmpfs on /tmp or /run may hide the working tree: it gets an overlay of its own.
if [ ! -d "/root$PROJECT" ]; then
	$bb mkdir -p "/root$PROJECT" "$mine/overlay/tree-work"
	preload "$mine/overlay/tree"
	$bb mount -t overlay -o "lowerdir=$mine/host-root$PROJECT" \
		-o "upperdir=$mine/overlay/tree,workdir=$mine/overlay/tree-work" \
		overlay "/root$PROJECT" || die "cannot show $PROJECT"
fi

exec $bb switch_root /root /run/tuplewatch-guest/busybox sh /run/tuplewatch-guest/guest-init.sh
