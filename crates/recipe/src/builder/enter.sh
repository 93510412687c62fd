set -eu
umask 022
root=$1 stage=$2 cwd=$3 count=$4
shift 4

# A mount keeps what it was forbidden (nosuid, …): leaving it out would be refused.
read_only() {
    options=$(findmnt --noheadings --output VFS-OPTIONS --mountpoint "$1" | tail -n 1 | sed 's/^rw/ro/')
    mount -o "remount,bind,${options:-ro}" "$1"
}

mount -t tmpfs -o mode=0755 builder "$stage"
for from in "$root"/*; do
    name=${from##*/}
    case $name in dev | proc | run | sys | tmp) continue ;; esac
    if [ -L "$from" ]; then
        cp -P "$from" "$stage/$name"
    elif [ -d "$from" ]; then
        mkdir "$stage/$name"
        mount --rbind "$from" "$stage/$name"
        read_only "$stage/$name"
    fi
done

mkdir -p "$stage/proc" "$stage/dev" "$stage/tmp"
chmod 1777 "$stage/tmp"
# In a container the kernel may refuse a new one.
mount -t proc proc "$stage/proc" 2>/dev/null || mount --rbind /proc "$stage/proc"
for device in null zero full random urandom; do
    : >"$stage/dev/$device"
    mount --bind "/dev/$device" "$stage/dev/$device"
done
ln -s /proc/self/fd "$stage/dev/fd"

while [ "$count" -gt 0 ]; do
    to=$stage$3
    if [ -d "$2" ]; then
        mkdir -p "$to"
    else
        mkdir -p "${to%/*}"
        : >"$to"
    fi
    mount --rbind "$2" "$to"
    [ "$1" = rw ] || read_only "$to"
    shift 3
    count=$((count - 1))
done

exec chroot "$stage" /bin/sh -c 'cd "$0" && exec "$@"' "$cwd" "$@"
