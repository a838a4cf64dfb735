#!/bin/bash
# Makes, as root, what a Linux guest on the NIC needs, in the folder given (1 GB, some 40 s):
#   root/            a Debian trixie with QEMU 10.1 or later (vfio-user-pci), to be used with chroot
#   root/vmlinuz     Debian's kernel, unchanged
#   root/initrd.gz   a guest of busybox, ethtool, and that kernel's own modules; its /init is the file beside this one
# A part that is there is not made again; the initrd always is.
set -euo pipefail

folder=$1
root=$folder/root
here=$(cd "$(dirname "$0")" && pwd)
release=trixie
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

fail() {
    echo "$*" >&2
    exit 2
}

[ "$(id -u)" = 0 ] || fail "make.sh: only root can make a Debian system in $folder; run it as root"
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/$' | head -n 1 || true)}
mirror=${mirror:-http://deb.debian.org/debian/}
missing=()
for tool in debootstrap cpio; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ "${#missing[@]}" != 0 ]; then
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "make.sh: ${missing[*]} cannot be installed; install them by hand"
fi
mkdir -p "$folder"

if [ ! -e "$root/made" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$release" "$root" "$mirror" >"$folder/debootstrap.log" ||
        fail "make.sh: debootstrap failed; see $folder/debootstrap.log"
    # QEMU has vfio-user-pci since 10.1, and trixie itself has 10.0.
    echo "deb $mirror $release-backports main" >"$root/etc/apt/sources.list.d/backports.list"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    {
        chroot "$root" apt-get update -qq
        chroot "$root" apt-get install -qq -y --no-install-recommends busybox-static ethtool xz-utils
        chroot "$root" apt-get install -qq -y --no-install-recommends -t "$release-backports" qemu-system-x86
    } >"$folder/packages.log" 2>&1 || fail "make.sh: packages cannot be installed; see $folder/packages.log"
    chroot "$root" qemu-system-x86_64 -device help 2>&1 | grep -q vfio-user-pci ||
        fail "make.sh: $(chroot "$root" qemu-system-x86_64 --version | head -n 1) has no vfio-user-pci"
    # QEMU wants these, and debootstrap leaves them out where it may not make devices.
    for device in null:3 zero:5 urandom:9; do
        [ -c "$root/dev/${device%:*}" ] || mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
    done
    touch "$root/made"
fi

# The ordinary kernel: the one for clouds has no e1000. It is unpacked, not installed.
if [ ! -e "$root/vmlinuz" ]; then
    package=$(chroot "$root" apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
    mkdir -p "$root/kernel" && chmod 777 "$root/kernel"
    {
        chroot "$root" sh -c "cd /kernel && apt-get download -qq $package"
        dpkg-deb --extract "$root"/kernel/"$package"_*.deb "$root/kernel/tree"
    } >"$folder/kernel.log" 2>&1 || fail "make.sh: the kernel cannot be had; see $folder/kernel.log"
    mkdir -p "$root/kernel/modules"
    for module in drivers/net/ethernet/intel/e1000/e1000 net/llc/llc net/802/stp net/802/garp net/802/mrp net/8021q/8021q; do
        file=$(echo "$root"/kernel/tree/usr/lib/modules/*/kernel/"$module".ko.xz)
        chroot "$root" xz -dc <"$file" >"$root/kernel/modules/$(basename "$module").ko"
    done
    cp "$root"/kernel/tree/boot/vmlinuz-* "$root/kernel/vmlinuz"
    rm -rf "$root/kernel/tree" "$root"/kernel/*.deb
    mv "$root/kernel/vmlinuz" "$root/vmlinuz"
fi

guest=$folder/guest
rm -rf "$guest"
mkdir -p "$guest"/{bin,dev,lib/modules,proc,sys,tmp,usr/sbin}
cp "$root/bin/busybox" "$guest/bin/"
cp "$root"/kernel/modules/*.ko "$guest/lib/modules/"
cp "$root/usr/sbin/ethtool" "$guest/usr/sbin/"
chroot "$root" ldd /usr/sbin/ethtool | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | while read -r library; do
    install -D "$root$library" "$guest$library"
done
install -m 755 "$here/init" "$guest/init"
(cd "$guest" && find . -print0 | cpio --null --create --format=newc --quiet | gzip -1) >"$root/initrd.gz.part"
mv "$root/initrd.gz.part" "$root/initrd.gz"
