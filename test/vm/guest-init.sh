# Process 1 of a guest in its final root: runs the command with its output on virtio-serial ports
# and tells its progress on the control port, in lines "ready", "beat", "report LINE", "exit CODE".
mine=/run/tuplewatch-guest
. $mine/settings.sh
$mine/busybox --install -s $mine/bin
system_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH=$mine/bin:$system_path

port() {
	for entry in /sys/class/virtio-ports/*; do
		if [ "$(cat "$entry/name")" = "$1" ]; then echo "/dev/${entry##*/}"; fi
	done
}

exec 7>"$(port control)"
ip link set lo up
hostname tuplewatch-guest
ulimit -Hn 1048576
ulimit -Sn 65536
(
	while echo beat >&7; do sleep 2; done
) &

run_with_terminal() {
	echo ready >&7
	PATH=$system_path setsid -c /bin/sh $mine/command.sh <>/dev/hvc0 >&0 2>&1 7>&-
}

# The command runs under /bin/sh: plain "sh" would be busybox, whose applets hide the programs.
# Through FIFOs, because a port can be opened once only and a command may open /dev/stderr again.
run_with_ports() {
	mkfifo $mine/stdout $mine/stderr
	for name in stdout stderr; do
		{
			cat $mine/$name
			printf '\0%s' "$END_MARK"
		} >"$(port $name)" 7>&- &
	done
	echo ready >&7
	PATH=$system_path /bin/sh $mine/command.sh </dev/null >$mine/stdout 2>$mine/stderr 7>&-
}

work() {
	if [ "$MODE" = shell ]; then run_with_terminal; else run_with_ports; fi
	code=$?
	if [ -s $mine/report.tap ]; then
		sed -nE "/^ *not ok /,/^ *\\.\\.\\.$/p; /$REPORT_LINES/p" $mine/report.tap |
			sed 's/^/report /' >&7
	fi
	echo "exit $code" >&7
}

# A target of its own: no getty, no udev, none of the units of the machine whose root this is.
become_systemd() {
	# The machine's own root may be a container's; this is none. What is mounted later, such as
	# named network namespaces, reaches the sandboxes of services only by shared mounts.
	rm -f /.dockerenv /run/.containerenv
	mount --make-rshared /
	mkdir -p /run/systemd/system
	cat >/run/systemd/system/tuplewatch-guest.target <<-END
		[Unit]
		Description=A guest with systemd
		Requires=systemd-journald.service
		After=systemd-journald.service
	END
	exec 7>&-
	exec /usr/bin/env -i PATH=$system_path /lib/systemd/systemd --unit=tuplewatch-guest.target
}

if [ "$INIT" = systemd ]; then
	{
		PATH=$system_path
		until systemctl is-active --quiet tuplewatch-guest.target; do sleep 1; done 2>/dev/null
		work
	} &
	become_systemd
fi
work

# The host ends the machine once it has the whole output: powering off here could lose its end.
while :; do sleep 60; done
